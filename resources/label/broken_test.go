package label_test

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources/label"
)

// checkBroken fails unless Add and Find return errors for a file or treat it as Add treats
// valid files.
func checkBroken(t testing.TB, mimeType string, file []byte) {
	t.Helper()
	found, findErr := label.Find(bytes.NewReader(file), mimeType)
	_, err := label.Carry(file, mimeType, label.Marks{XMP: []byte(foreign), AIGC: aigc})
	if err != nil && !errors.Is(err, label.ErrMalformed) && !errors.Is(err, label.ErrSigned) {
		t.Fatal(err)
	}
	out, err := label.Add(file, mimeType, recipe())
	switch {
	case errors.Is(err, label.ErrSigned) && (found.C2PA || mimeType == typeICO), errors.Is(err, label.ErrMalformed):
		return
	case err != nil || findErr != nil:
		t.Fatal(err, findErr)
	}
	if mimeType != typeICO {
		m, err := label.Find(bytes.NewReader(out), mimeType)
		require.NoError(t, err)
		if m.XMP == nil {
			t.Fatal("no packet")
		}
	}
	want, err := pixels(mimeType, file)
	if err != nil {
		return
	}
	if got, err := pixels(mimeType, out); err != nil || !reflect.DeepEqual(want, got) {
		t.Fatalf("pixels of %s changed: %v\n%x\n%x", mimeType, err, file, out)
	}
	if found.XMP == nil && (mimeType == typePNG || mimeType == typeJPEG) && !isOneInsertion(file, out) {
		t.Fatal("the label cannot be taken out")
	}
}

// isOneInsertion reports whether removing adjacent bytes from out returns file.
func isOneInsertion(file, out []byte) bool {
	at := 0
	for at < len(file) && file[at] == out[at] {
		at++
	}
	return bytes.HasSuffix(out, file[at:])
}

// TestAdd_BrokenFiles cuts files at every byte and flips every byte. With ZAI_TEST_LOAD, it
// also flips every bit, and takes more files.
func TestAdd_BrokenFiles(t *testing.T) {
	load := os.Getenv("ZAI_TEST_LOAD") != ""
	masks := []byte{0xff}
	if load {
		masks = []byte{0xff, 1, 2, 4, 8, 16, 32, 64, 128}
	}
	count := 0
	var all []sample
	for _, s := range samples(t) {
		if load || s.mimeType != typeJPEG || s.name == "JPEG with JFIF, Exif, ICC" {
			all = append(all, s)
		}
	}
	for _, name := range []string{"PNG palette", "JPEG with Exif", "WebP lossy", "WebP lossy with alpha"} {
		all = append(all, carried(t, named(t, name), label.Marks{XMP: []byte(foreign), AIGC: aigc}))
	}
	for _, s := range all {
		for i := range s.data {
			checkBroken(t, s.mimeType, s.data[:i])
			count++
			for _, mask := range masks {
				file := bytes.Clone(s.data)
				file[i] ^= mask
				checkBroken(t, s.mimeType, file)
				count++
			}
		}
	}
	t.Logf("%d files", count)
}

func FuzzAdd(f *testing.F) {
	types := []string{typePNG, typeJPEG, typeWebP, typeICO}
	for _, s := range samples(f) {
		for i, mimeType := range types {
			if mimeType == s.mimeType {
				f.Add(s.data, uint8(i), "A fox & a <hen>\x00\xff")
				f.Add(carried(f, s, label.Marks{XMP: []byte(foreign), AIGC: aigc}).data, uint8(i), "]]>")
			}
		}
	}
	small := named(f, "PNG RGB").data
	f.Fuzz(func(t *testing.T, file []byte, index uint8, prompt string) {
		mimeType := types[int(index)%len(types)]
		checkBroken(t, mimeType, file)
		l := recipe()
		l.Prompt, l.AltText = prompt, prompt
		png, err := label.Add(small, typePNG, l)
		require.NoError(t, err)
		m, err := label.Find(bytes.NewReader(png), typePNG)
		require.NoError(t, err)
		if _, ok := label.Parse(m.XMP); !ok {
			t.Fatal("the label cannot be parsed")
		}
	})
}

func FuzzFind(f *testing.F) {
	types := []string{typePNG, typeJPEG, typeWebP, "image/gif"}
	for _, s := range samples(f) {
		for i, mimeType := range types {
			if mimeType == s.mimeType {
				f.Add(carried(f, s, label.Marks{XMP: []byte(foreignAIGC)}).data, uint8(i))
			}
		}
	}
	f.Add([]byte(foreignAIGC), uint8(0))
	f.Fuzz(func(t *testing.T, file []byte, index uint8) {
		m, err := label.Find(bytes.NewReader(file), types[int(index)%len(types)])
		if err != nil && !errors.Is(err, label.ErrMalformed) {
			t.Fatal(err)
		}
		label.Parse(m.XMP)
		label.Parse(file)
	})
}
