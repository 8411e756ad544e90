package label_test

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources/label"
)

// foreign is a packet of another program.
const foreign = `<?xpacket begin="` + "\ufeff" + `" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="uuid:a&quot;b" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Upstream">
   <dc:title xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Alt><rdf:li xml:lang="x-default">Title</rdf:li></rdf:Alt></dc:title>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>`

const aigc = `{"Label":"1","ContentProducer":"001191110108","ProduceID":"x"}`

// foreignAIGC is a packet with an AIGC label.
var foreignAIGC = strings.Replace(foreign, "<dc:title", `<TC260:AIGC xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/">
`+aigc+`
</TC260:AIGC><dc:title`, 1)

// carried returns a file of a sample with marks.
func carried(t testing.TB, s sample, m label.Marks) sample {
	t.Helper()
	file, err := label.Carry(s.data, s.mimeType, m)
	require.NoError(t, err)
	return sample{s.name, s.mimeType, file}
}

func TestCarry(t *testing.T) {
	all := samples(t)
	for _, test := range []struct {
		name  string
		marks label.Marks
	}{
		{"nothing", label.Marks{}},
		{"XMP", label.Marks{XMP: []byte(foreign)}},
		{"AIGC", label.Marks{AIGC: aigc}},
		{"AIGC beyond ASCII", label.Marks{AIGC: `{"ContentProducer":"易 🦊 ü"}`}},
		{"XMP with AIGC", label.Marks{XMP: []byte(foreignAIGC), AIGC: aigc}},
		{"XMP that is not valid", label.Marks{XMP: []byte("<x:xmpmeta")}},
		{"Content Credentials", label.Marks{C2PA: true}},
	} {
		for _, s := range all {
			t.Run(test.name+" in "+s.name, func(t *testing.T) {
				file := carried(t, s, test.marks).data
				want, err := pixels(s.mimeType, s.data)
				require.NoError(t, err)
				got, err := pixels(s.mimeType, file)
				require.NoError(t, err)
				assert.Equal(t, want, got)

				m := marks(t, file, s.mimeType)
				if test.marks.XMP != nil || test.marks.AIGC == "" {
					assert.Equal(t, test.marks.XMP, m.XMP)
				}
				assert.Equal(t, test.marks.AIGC, m.AIGC)
				if s.mimeType == typePNG && test.marks.AIGC != "" {
					assert.Contains(t, string(file), "AIGC\x00{")
				}
				assert.False(t, m.C2PA)
				if test.name == "nothing" || test.name == "Content Credentials" {
					assert.Equal(t, s.data, file)
				}
			})
		}
	}
}

func TestCarry_AIGCIntoAPacketWithout(t *testing.T) {
	for _, s := range samples(t) {
		m := marks(t, carried(t, s, label.Marks{XMP: []byte(foreign), AIGC: aigc}).data, s.mimeType)
		assert.JSONEq(t, aigc, m.AIGC, s.name)
		before, after, _ := strings.Cut(foreign, "</rdf:RDF>")
		assert.True(t, strings.HasPrefix(string(m.XMP), before), s.name)
		assert.True(t, strings.HasSuffix(string(m.XMP), after), s.name)
	}
}

func TestCarry_LeavesOutWhatJPEGCannotHold(t *testing.T) {
	long := strings.Replace(foreign, "<?xpacket end", strings.Repeat(" ", 70_000)+"<?xpacket end", 1)
	s := named(t, "JPEG baseline")
	assert.Equal(t, s.data, carried(t, s, label.Marks{XMP: []byte(long)}).data)
	m := marks(t, carried(t, s, label.Marks{XMP: []byte(long), AIGC: aigc}).data, s.mimeType)
	assert.JSONEq(t, aigc, m.AIGC)
	assert.NotContains(t, string(m.XMP), "Upstream")

	s = named(t, "PNG RGB")
	assert.Equal(t, long, string(marks(t, carried(t, s, label.Marks{XMP: []byte(long)}).data, s.mimeType).XMP))
}

func TestAdd_ExtendsAPacket(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			s := carried(t, s, label.Marks{XMP: []byte(foreign)})
			file, m := labelled(t, s, recipe())
			assert.Equal(t, 1, bytes.Count(file, []byte("<rdf:RDF")), "packets")
			assert.Equal(t, 2, bytes.Count(m.XMP, []byte(`rdf:about="uuid:a&quot;b"`)), "descriptions of one resource")
			assert.Equal(t, 1, bytes.Count(m.XMP, []byte("CreatorTool")), "a property that was there")

			at := bytes.LastIndex(m.XMP, []byte("<rdf:Description"))
			end := bytes.LastIndex(m.XMP, []byte("</rdf:RDF>"))
			assert.Equal(t, foreign, string(m.XMP[:at])+string(m.XMP[end:]), "without the label")

			parsed, ok := label.Parse(m.XMP)
			assert.True(t, ok)
			assert.Equal(t, recipe(), parsed)
			_, err := pixels(s.mimeType, file)
			require.NoError(t, err)
			twice, err := label.Add(file, s.mimeType, recipe())
			require.NoError(t, err)
			assert.Equal(t, file, twice)
		})
	}
}

func TestAdd_KeepsAPacketThatIsNotUsable(t *testing.T) {
	all := samples(t)
	for name, broken := range map[string]string{
		"empty":                "",
		"not XML":              "hello",
		"cut":                  foreign[:300],
		"no RDF":               `<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>`,
		"empty RDF element":    `<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>`,
		"two roots":            foreign + "<a></a>",
		"text after the end":   foreign + "a",
		"text before":          "a" + foreign,
		"undeclared prefix":    strings.Replace(foreign, "<dc:title", "<dd:x></dd:x><dc:title", 1),
		"undeclared attribute": strings.Replace(foreign, "xmp:CreatorTool", `y:z="" xmp:CreatorTool`, 1),
		"document type":        "<!DOCTYPE x>" + foreign,
		"entity":               strings.Replace(foreign, "Title", "&x;", 1),
		"NUL":                  foreign + "\x00",
		"invalid UTF-8":        strings.Replace(foreign, "Title", "\xff", 1),
		"UTF-16":               `<?xml version="1.0" encoding="UTF-16"?>` + foreign,
		"deep":                 strings.Replace(foreign, "Title", strings.Repeat("<dc:a>", 200)+strings.Repeat("</dc:a>", 200), 1),
	} {
		for _, s := range all {
			t.Run(name+" in "+s.name, func(t *testing.T) {
				s := carried(t, s, label.Marks{XMP: []byte(broken)})
				file, m := labelled(t, s, recipe())
				parsed, ok := label.Parse(m.XMP)
				assert.True(t, ok, "readers use the first packet")
				assert.Equal(t, recipe(), parsed)
				assert.Contains(t, string(file), broken)
				_, err := pixels(s.mimeType, file)
				assert.NoError(t, err)
			})
		}
	}
}

func TestAdd_FullPacketInJPEG(t *testing.T) {
	padding := strings.Repeat(" ", 65_502-len(foreign)-100)
	full := strings.Replace(foreign, "<?xpacket end", padding+"<?xpacket end", 1)
	s := carried(t, named(t, "JPEG with JFIF"), label.Marks{XMP: []byte(full)})
	file, m := labelled(t, s, recipe())
	assert.Contains(t, string(file), full)
	_, ok := label.Parse(m.XMP)
	assert.True(t, ok)
}

func TestAdd_KeepsAnAIGCLabel(t *testing.T) {
	for _, s := range samples(t) {
		for name, m := range map[string]label.Marks{
			"its own":  {AIGC: aigc},
			"in a XMP": {XMP: []byte(foreignAIGC)},
		} {
			file, after := labelled(t, carried(t, s, m), recipe())
			assert.JSONEq(t, aigc, after.AIGC, s.name+name)
			assert.NotContains(t, string(file), "Söhne", s.name+name)
		}
	}
}

func TestAdd_KeepsParameters(t *testing.T) {
	png := insert(named(t, "PNG RGB").data, 33, chunk("tEXt", "parameters\x00upstream"))
	file, _ := labelled(t, sample{"", typePNG, png}, recipe())
	assert.Equal(t, 1, bytes.Count(file, []byte("parameters\x00")))
}

func TestFind(t *testing.T) {
	png, jpeg, webp := named(t, "PNG RGB").data, named(t, "JPEG with JFIF, Exif, ICC").data, named(t, "WebP lossy with alpha").data
	end := len(png) - 12
	exif := "Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x00ASCII\x00\x00\x00{\"AIGC\":" + aigc + "}"
	xmp := "XML:com.adobe.xmp\x00\x00\x00\x00\x00"
	both := []string{label.XMP, label.AIGC}
	for _, test := range []struct {
		name, mimeType string
		file           []byte
		marks          []string
		xmp            string
	}{
		{"plain PNG", typePNG, png, []string{}, ""},
		{"PNG, XMP", typePNG, insert(png, 33, chunk("iTXt", xmp+foreign)), []string{label.XMP}, foreign},
		{"PNG, XMP after the pixels", typePNG, insert(png, end, chunk("iTXt", xmp+foreign)), []string{label.XMP}, foreign},
		{"PNG, compressed XMP", typePNG, insert(png, 33, chunk("iTXt", "XML:com.adobe.xmp\x00\x01\x00en\x00\x00"+deflate(foreign))), []string{label.XMP}, foreign},
		{"PNG, two XMP", typePNG, insert(png, 33, chunk("iTXt", xmp+foreign), chunk("iTXt", xmp+"x")), []string{label.XMP}, foreign},
		{"PNG, XMP with AIGC", typePNG, insert(png, 33, chunk("iTXt", xmp+foreignAIGC)), both, foreignAIGC},
		{"PNG, tEXt AIGC", typePNG, insert(png, end, chunk("tEXt", "AIGC\x00"+aigc)), []string{label.AIGC}, ""},
		{"PNG, zTXt AIGC", typePNG, insert(png, 33, chunk("zTXt", "AIGC\x00\x00"+deflate(aigc))), []string{label.AIGC}, ""},
		{"PNG, iTXt AIGC", typePNG, insert(png, 33, chunk("iTXt", "AIGC\x00\x00\x00zh\x00k\x00"+aigc)), []string{label.AIGC}, ""},
		{"PNG, Exif", typePNG, insert(png, 33, chunk("eXIf", exif[6:])), []string{label.AIGC}, ""},
		{"PNG, Content Credentials", typePNG, insert(png, 33, chunk("caBX", "")), []string{label.C2PA}, ""},
		{"PNG, all", typePNG, insert(png, 33, chunk("caBX", ""), chunk("iTXt", xmp+foreignAIGC)), []string{label.XMP, label.AIGC, label.C2PA}, foreignAIGC},
		{"plain JPEG", typeJPEG, jpeg, []string{}, ""},
		{"JPEG, XMP", typeJPEG, insert(jpeg, 2, segment(0xe1, "http://ns.adobe.com/xap/1.0/\x00"+foreignAIGC)), both, foreignAIGC},
		{"JPEG, Exif", typeJPEG, insert(jpeg, 2, segment(0xe1, exif)), []string{label.AIGC}, ""},
		{"JPEG, Exif without JSON", typeJPEG, insert(jpeg, 2, segment(0xe1, exif[:len(exif)-20])), []string{}, ""},
		{"JPEG, Content Credentials", typeJPEG, insert(jpeg, 2, segment(0xeb, "JP\x00\x01\x00\x00\x00\x01\x00\x00\x00\x10jumb")), []string{label.C2PA}, ""},
		{"JPEG, another APP11", typeJPEG, insert(jpeg, 2, segment(0xeb, "HDR_RI ver=11")), []string{}, ""},
		{"plain WebP", typeWebP, webp, []string{}, ""},
		{"WebP, XMP", typeWebP, carried(t, sample{"", typeWebP, webp}, label.Marks{XMP: []byte(foreignAIGC)}).data, both, foreignAIGC},
		{"WebP, Content Credentials", typeWebP, signedWebP(webp), []string{label.C2PA}, ""},
		{"GIF", "image/gif", []byte("GIF89a"), []string{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := label.Find(iotest.OneByteReader(bytes.NewReader(test.file)), test.mimeType)
			require.NoError(t, err)
			assert.Equal(t, test.marks, m.Names())
			assert.Equal(t, test.xmp, string(m.XMP))
			if m.AIGC != "" {
				assert.JSONEq(t, aigc, m.AIGC)
			}
		})
	}
}

func deflate(text string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func TestAdd_InflatesAPacket(t *testing.T) {
	png := insert(named(t, "PNG RGB").data, 33, chunk("iTXt", "XML:com.adobe.xmp\x00\x01\x00\x00\x00"+deflate(foreign)))
	file, m := labelled(t, sample{"", typePNG, png}, recipe())
	assert.Contains(t, string(file), "Upstream")
	_, ok := label.Parse(m.XMP)
	assert.True(t, ok)
	_, err := pixels(typePNG, file)
	assert.NoError(t, err)
}

func TestFind_MarksBeforeTheEndOfACutFile(t *testing.T) {
	png := named(t, "PNG RGB").data
	file := insert(png, 33, chunk("tEXt", "AIGC\x00"+aigc))
	m, err := label.Find(bytes.NewReader(file[:len(file)-20]), typePNG)
	require.ErrorIs(t, err, label.ErrMalformed)
	assert.JSONEq(t, aigc, m.AIGC)
}

func TestFind_ReturnsErrorsOfTheReader(t *testing.T) {
	down := errors.New("the store is down")
	for _, s := range samples(t) {
		if s.mimeType == typeICO {
			continue
		}
		_, err := label.Find(io.MultiReader(bytes.NewReader(s.data[:20]), iotest.ErrReader(down)), s.mimeType)
		require.ErrorIs(t, err, down)
		assert.NotErrorIs(t, err, label.ErrMalformed)
	}
}

func TestFind_RefusesLargeMarks(t *testing.T) {
	png := named(t, "PNG RGB").data
	xmp := "XML:com.adobe.xmp\x00\x00\x00\x00\x00"
	large := strings.Repeat("a", 4<<20)
	for name, c := range map[string]string{
		"packet":            chunk("iTXt", xmp+large),
		"compressed packet": chunk("iTXt", "XML:com.adobe.xmp\x00\x01\x00\x00\x00"+deflate(large)),
		"compressed AIGC":   chunk("zTXt", "AIGC\x00\x00"+deflate(large)),
		"cut packet":        "\x7f\xff\xff\xffiTXt" + xmp,
		"wrong checksum":    strings.Replace(chunk("iTXt", xmp+foreign), "Title", "Titel", 1),
		"no compression":    chunk("iTXt", "XML:com.adobe.xmp\x00\x01"),
		"not compressed":    chunk("zTXt", "AIGC\x00\x00{"),
		"no language":       chunk("iTXt", "AIGC\x00\x00\x00{"),
	} {
		_, err := label.Find(bytes.NewReader(insert(png, 33, c)), typePNG)
		require.ErrorIs(t, err, label.ErrMalformed, name)
	}
	m, err := label.Find(bytes.NewReader(insert(png, 33, chunk("tEXt", "AIGC\x00"+large[:20<<10]), chunk("tEXt", "Comment\x00"+large))), typePNG)
	require.NoError(t, err, "other texts")
	assert.Equal(t, []string{}, m.Names(), "a text that is too long for a label")
}

func TestParse_OtherPackets(t *testing.T) {
	for _, packet := range []string{"", "x", foreign, foreignAIGC} {
		_, ok := label.Parse([]byte(packet))
		assert.False(t, ok)
	}
}
