package label_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources/label"
)

func recipe() label.Label {
	return label.Label{
		ID: "01m7c5v8q0x2k4n6p8r0t2w4y6", Model: "cogview-4-250304",
		CreatedAt: time.Date(2026, 11, 24, 9, 8, 7, 654_000_000, time.UTC),
		AltText:   "A fox & a <hen>, 狐狸",
		Recipe:    true, Prompt: "A fox & a <hen>, 狐狸 in the snow.\nSoft light.", Size: "1024x1024", Quality: "hd",
		Producer: "Füchse & Söhne 易",
	}
}

// labelled returns a file of a sample with a label, and its marks.
func labelled(t *testing.T, s sample, l label.Label) ([]byte, label.Marks) {
	t.Helper()
	file, err := label.Add(s.data, s.mimeType, l)
	require.NoError(t, err)
	return file, marks(t, file, s.mimeType)
}

func marks(t *testing.T, file []byte, mimeType string) label.Marks {
	t.Helper()
	if mimeType == typeICO {
		file, mimeType = largest(file), typePNG
	}
	m, err := label.Find(bytes.NewReader(file), mimeType)
	require.NoError(t, err)
	return m
}

func largest(ico []byte) []byte {
	var most []byte
	for _, png := range entries(ico) {
		if most == nil || png[19] > most[19] {
			most = png
		}
	}
	return most
}

func TestAdd_KeepsPixelsAndCanBeUndone(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			original := bytes.Clone(s.data)
			file, m := labelled(t, s, recipe())
			assert.Equal(t, original, s.data, "the original")

			want, err := pixels(s.mimeType, s.data)
			require.NoError(t, err)
			got, err := pixels(s.mimeType, file)
			require.NoError(t, err)
			assert.Equal(t, want, got, "pixels")
			if s.mimeType == typeICO {
				assert.Equal(t, entries(s.data)[1], withoutLabel(typePNG, entries(file)[1], false))
				assert.Equal(t, entries(s.data)[0], entries(file)[0])
				assert.Equal(t, entries(s.data)[2], entries(file)[2])
			} else {
				assert.Equal(t, s.data, withoutLabel(s.mimeType, file, string(s.data[12:16]) == "VP8X"), "without the label")
			}

			parsed, ok := label.Parse(m.XMP)
			assert.True(t, ok)
			assert.Equal(t, recipe(), parsed)
			assert.Equal(t, []string{label.XMP, label.AIGC}, m.Names())

			again, err := label.Add(s.data, s.mimeType, recipe())
			require.NoError(t, err)
			assert.Equal(t, file, again, "the same label")
			twice, err := label.Add(file, s.mimeType, recipe())
			require.NoError(t, err)
			assert.Equal(t, file, twice, "the label added twice")
		})
	}
}

func TestAdd_Fields(t *testing.T) {
	source, sandbox := recipe(), recipe()
	source.Recipe, source.Producer = false, ""
	sandbox.Sandbox = true
	const newscodes = "<Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/"
	for _, test := range []struct {
		name      string
		label     label.Label
		has, lack []string
	}{
		{"source", source, []string{
			newscodes + "trainedAlgorithmicMedia<",
			"<Iptc4xmpExt:AISystemUsed>Z.AI<", "<Iptc4xmpExt:AISystemVersionUsed>cogview-4-250304<",
			"<photoshop:Credit>Made with AI (Z.AI)<", "<dc:identifier>zai-image://images/01m7c5v8q0x2k4n6p8r0t2w4y6<",
			"<xmp:CreatorTool>zai-image-mcp<", "<xmp:CreateDate>2026-11-24T09:08:07.654Z<",
			`<Iptc4xmpCore:AltTextAccessibility><rdf:Alt><rdf:li xml:lang="x-default">A fox &amp; a &lt;hen&gt;, 狐狸<`,
		}, []string{"snow", "1024x1024", "hd", "AIGC", "parameters"}},
		{"recipe", recipe(), []string{
			"<Iptc4xmpExt:AIPromptInformation>A fox &amp; a &lt;hen&gt;, 狐狸 in the snow.\nSoft light.<", "1024x1024", "hd",
			`<TC260:AIGC>{"Label":"1","ContentProducer":"Füchse &amp; Söhne 易","ProduceID":"01m7c5v8q0x2k4n6p8r0t2w4y6",` +
				`"ReservedCode1":"","ContentPropagator":"","PropagateID":"","ReservedCode2":""}<`,
			"AIGC\x00" + `{"Label":"1","ContentProducer":"F\u00fcchse & S\u00f6hne \u6613","ProduceID":"01m7`,
			"parameters\x00\x00\x00\x00\x00A fox & a <hen>, 狐狸 in the snow.\nSoft light.\n" +
				"Size: 1024x1024, Model: cogview-4-250304, Quality: hd, Software: zai-image-mcp",
		}, nil},
		{"sandbox", sandbox, []string{
			newscodes + "algorithmicMedia<", "<Iptc4xmpExt:AISystemUsed>Z.AI sandbox<", "<photoshop:Credit>Made by the Z.AI sandbox<",
		}, []string{"trained", "Made with AI"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, m := labelled(t, samples(t)[0], test.label)
			for _, text := range test.has {
				assert.Contains(t, string(file), text)
			}
			for _, text := range test.lack {
				assert.NotContains(t, string(file), text)
			}
			parsed, ok := label.Parse(m.XMP)
			assert.True(t, ok)
			want := test.label
			if !want.Recipe {
				want.Prompt, want.Size, want.Quality = "", "", ""
			}
			assert.Equal(t, want, parsed)
		})
	}
}

func TestAdd_PlaceInJPEG(t *testing.T) {
	for _, s := range samples(t) {
		if s.mimeType != typeJPEG {
			continue
		}
		file, _ := labelled(t, s, recipe())
		seen := map[string]int{}
		for i, p := range parts(typeJPEG, file) {
			if strings.HasPrefix(string(p.data), "http://ns.adobe.com/xap/1.0/\x00") {
				p.name = "XMP"
			}
			seen[p.name] = i
		}
		assert.Greater(t, seen["XMP"], seen["e0"], s.name)
		assert.Greater(t, seen["XMP"], seen["e1"], s.name)
		if icc, ok := seen["e2"]; ok {
			assert.Less(t, seen["XMP"], icc, s.name)
		}
	}
}

func TestAdd_HeaderOfWebP(t *testing.T) {
	for _, test := range []struct {
		name  string
		flags byte
	}{
		{"WebP lossy", 0x04},
		{"WebP lossy with alpha", 0x14},
		{"WebP lossless", 0x04},
		{"WebP lossless with alpha", 0x14},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, _ := labelled(t, named(t, test.name), recipe())
			header := parts(typeWebP, file)[1]
			assert.Equal(t, "VP8X", header.name)
			assert.Equal(t, []byte{test.flags, 0, 0, 0, 11, 0, 0, 9, 0, 0}, header.data, "flags, width-1, height-1")
			assert.Equal(t, len(file)-8, int(binary.LittleEndian.Uint32(file[4:])))
		})
	}
}

func named(t testing.TB, name string) sample {
	for _, s := range samples(t) {
		if s.name == name {
			return s
		}
	}
	t.Fatal(name)
	return sample{}
}

func TestAdd_HostileText(t *testing.T) {
	all := samples(t)
	for _, test := range []struct{ name, text, want string }{
		{"markup", `<a href="x">&amp;</rdf:RDF>`, `<a href="x">&amp;</rdf:RDF>`},
		{"end of CDATA", "]]>", "]]>"},
		{"NUL and controls", "a\x00b\x01c\x1bd\x7fe", "abcd\x7fe"},
		{"line ends", "a\r\nb\rc\td", "a\r\nb\rc\td"},
		{"noncharacters", "a\ufffeb\uffffc", "abc"},
		{"invalid UTF-8", "a\xffb\xc3c\xed\xa0\x80d", "abcd"},
		{"replacement character", "a\ufffdb", "a\ufffdb"},
		{"beyond the BMP", "🦊", "🦊"},
		{"quotes and backslashes", `"\"\u0041\`, `"\"\u0041\`},
		{"comment and instruction", "<!-- <?xpacket end='w'?> -->", "<!-- <?xpacket end='w'?> -->"},
	} {
		for _, s := range all {
			t.Run(test.name+" in "+s.name, func(t *testing.T) {
				l := recipe()
				l.Prompt, l.AltText, l.Producer, l.Model, l.Size = test.text, test.text, "P"+test.text, test.text, test.text
				file, m := labelled(t, s, l)
				l.Prompt, l.AltText, l.Producer, l.Model, l.Size = test.want, test.want, "P"+test.want, test.want, test.want
				parsed, ok := label.Parse(m.XMP)
				assert.True(t, ok)
				assert.Equal(t, l, parsed)
				_, err := pixels(s.mimeType, file)
				assert.NoError(t, err)
			})
		}
	}
}

func TestAdd_ParametersHaveNoControlCharacters(t *testing.T) {
	l := recipe()
	l.Prompt, l.Size = "a\x00b\u0085c\r\nd\te\x7f\u202e", "1\x002\n"
	file, _ := labelled(t, samples(t)[0], l)
	var text string
	for _, p := range parts(typePNG, file) {
		if head := "parameters\x00\x00\x00\x00\x00"; strings.HasPrefix(string(p.data), head) {
			text = string(p.data[len(head):])
		}
	}
	assert.Equal(t, "abc\nde\u202e\nSize: 12, Model: cogview-4-250304, Quality: hd, Software: zai-image-mcp", text)
}

func TestAdd_LongPrompts(t *testing.T) {
	for _, s := range samples(t) {
		for name, prompt := range map[string]string{
			"Chinese":     strings.Repeat("狐", 10_000),
			"more":        strings.Repeat("狐", 30_000),
			"ampersands":  strings.Repeat("&", 10_000),
			"more escape": strings.Repeat("a&", 20_000),
		} {
			t.Run(name+" in "+s.name, func(t *testing.T) {
				l := recipe()
				l.Prompt = prompt
				_, m := labelled(t, s, l)
				parsed, ok := label.Parse(m.XMP)
				require.True(t, ok)
				if s.mimeType != typeJPEG || name == "Chinese" || name == "ampersands" {
					assert.Equal(t, prompt, parsed.Prompt)
					return
				}
				clipped, ok := strings.CutSuffix(parsed.Prompt, "…")
				assert.True(t, ok, "a mark that it is clipped")
				assert.True(t, strings.HasPrefix(prompt, clipped))
				assert.InDelta(t, 65_502, len(m.XMP), 6)
				l.Prompt = parsed.Prompt
				assert.Equal(t, l, parsed, "the other fields")
			})
		}
	}
}

func TestAdd_LongAltTextInJPEG(t *testing.T) {
	l := recipe()
	l.AltText = strings.Repeat("b", 70_000)
	_, m := labelled(t, named(t, "JPEG baseline"), l)
	parsed, ok := label.Parse(m.XMP)
	require.True(t, ok)
	assert.Empty(t, parsed.Prompt)
	assert.Greater(t, len(parsed.AltText), 60_000)

	l.Model = strings.Repeat("m", 70_000)
	_, err := label.Add(named(t, "JPEG baseline").data, typeJPEG, l)
	assert.ErrorContains(t, err, "too long")
}

func TestAdd_Refusals(t *testing.T) {
	png, jpeg, webp := named(t, "PNG RGB").data, named(t, "JPEG with JFIF").data, named(t, "WebP lossy with alpha").data
	jumbf := "JP\x00\x01\x00\x00\x00\x01\x00\x00\x00\x10jumbc2pa"
	for _, test := range []struct {
		name, mimeType string
		file           []byte
		want           error
	}{
		{"signed PNG", typePNG, insert(png, 33, chunk("caBX", "jumb")), label.ErrSigned},
		{"PNG signed after its pixels", typePNG, insert(png, len(png)-12, chunk("caBX", "jumb")), label.ErrSigned},
		{"signed JPEG", typeJPEG, insert(jpeg, 20, segment(0xeb, jumbf)), label.ErrSigned},
		{"signed WebP", typeWebP, signedWebP(webp), label.ErrSigned},
		{"signed PNG in ICO", typeICO, encodeICO(insert(png, 33, chunk("caBX", "jumb"))), label.ErrSigned},
		{"empty", typePNG, nil, label.ErrMalformed},
		{"PNG as JPEG", typeJPEG, png, label.ErrMalformed},
		{"JPEG as PNG", typePNG, jpeg, label.ErrMalformed},
		{"PNG as WebP", typeWebP, png, label.ErrMalformed},
		{"PNG as ICO", typeICO, png, label.ErrMalformed},
		{"ICO without PNG", typeICO, encodeICO(make([]byte, 40)), label.ErrMalformed},
		{"ICO with images that overlap", typeICO, overlapping(png), label.ErrMalformed},
		{"PNG without end", typePNG, png[:len(png)-12], label.ErrMalformed},
		{"JPEG without pixels", typeJPEG, []byte("\xff\xd8\xff\xd9"), label.ErrMalformed},
		{"WebP without image", typeWebP, []byte("RIFF\x04\x00\x00\x00WEBP"), label.ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := label.Add(test.file, test.mimeType, recipe())
			require.ErrorIs(t, err, test.want)
			_, err = label.Carry(test.file, test.mimeType, label.Marks{XMP: []byte(foreign)})
			assert.ErrorIs(t, err, test.want)
		})
	}
	_, err := label.Add([]byte("GIF89a"), "image/gif", recipe())
	assert.ErrorContains(t, err, `"image/gif" cannot be labelled`)
}

func signedWebP(file []byte) []byte {
	file = append(bytes.Clone(file), "C2PA\x04\x00\x00\x00jumb"...)
	binary.LittleEndian.PutUint32(file[4:], uint32(len(file)-8))
	return file
}

func overlapping(png []byte) []byte {
	file := encodeICO(png, png[:len(png)-1])
	first := binary.LittleEndian.Uint32(file[6+12:])
	binary.LittleEndian.PutUint32(file[6+16+12:], first)
	return file
}

func TestAdd_ICOWithOneImageTwice(t *testing.T) {
	png := named(t, "PNG RGB").data
	file := encodeICO(png, png)[:6+2*16+len(png)]
	copy(file[6+16:], file[6:6+16])
	out, err := label.Add(file, typeICO, recipe())
	require.NoError(t, err)
	assert.Equal(t, entries(out)[0], entries(out)[1])
	_, ok := label.Parse(marks(t, out, typeICO).XMP)
	assert.True(t, ok)
}

func BenchmarkAdd(b *testing.B) {
	for _, s := range []sample{
		{"PNG", typePNG, encodePNG(b, picture(1024, 1024, false))},
		{"JPEG", typeJPEG, encodeJPEG(b, picture(1024, 1024, false))},
		{"WebP", typeWebP, encodeWebP(b, picture(256, 256, false), false)},
	} {
		b.Run(fmt.Sprintf("%s of %d KB", s.name, len(s.data)>>10), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := label.Add(s.data, s.mimeType, recipe()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
