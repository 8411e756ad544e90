package resources_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/png"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// A JPEG with very many scans is not decoded: each scan takes only a few bytes of the
// file, but covers all pixels.
func TestPreview_JPEGWithManyScans(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	file := testrig.JPEGPhoto(t, 64, 48)
	scan := append(bytes.Repeat([]byte{0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0}, 100), 0xff, 0xd9)
	file = append(file[:len(file)-2], scan...)
	_, err := l.Preview(t.Context(), saveFile(t, l, "image/jpeg", ".jpg", file, 64, 48))
	require.ErrorIs(t, err, resources.ErrCorrupt)
	require.ErrorContains(t, err, "scans")
}

// Decoding stops after a time limit, whatever the file contains.
func TestPreview_SlowDecoding(t *testing.T) {
	t.Parallel()
	var now atomic.Int64 // nanoseconds
	var step time.Duration
	start := time.Now()
	l := newLibrary(libraryOptions{
		Folder: t.TempDir(), Random: randomReader{}, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return start.Add(time.Duration(now.Add(int64(step)))) },
	})
	defer l.Close()
	for mime, file := range map[string][]byte{"image/png": testrig.PNGPhoto(t, 600, 450), "image/jpeg": testrig.JPEGPhoto(t, 1200, 900)} {
		step = 0
		_, err := l.Preview(t.Context(), saveFile(t, l, mime, ".x", file, 800, 600))
		require.NoError(t, err, "control: the clock does not advance")
		i := saveFile(t, l, mime, ".x", file, 800, 600)
		step = 2 * time.Second // for each read of the file
		_, err = l.Preview(t.Context(), i)
		require.ErrorContains(t, err, "too long", mime)
	}
}

// An image with too many pixels is not decoded.
func TestPreview_TooManyPixels(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	for _, colors := range []byte{testrig.RGB, testrig.RGBA} { // decoded by ShrinkPNG and by the standard library
		file := testrig.PNGHeader(4096, 4096, colors)
		_, err := l.Preview(t.Context(), saveFile(t, l, "image/png", ".png", file, 4096, 4096))
		require.ErrorIs(t, err, resources.ErrCorrupt)
		require.ErrorContains(t, err, "too many")
	}
}

// A file of a few hundred bytes whose header declares a gigabyte of pixels is not
// decoded.
func TestPreview_DecompressionBomb(t *testing.T) {
	t.Parallel()
	for name, colorType := range map[string]byte{"gray": 0, "RGB": 2} {
		var b bytes.Buffer
		require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 9, 9))))
		file := b.Bytes()
		binary.BigEndian.PutUint32(file[16:], 30_000)
		binary.BigEndian.PutUint32(file[20:], 30_000)
		file[25] = colorType
		binary.BigEndian.PutUint32(file[29:], crc32.ChecksumIEEE(file[12:29]))
		l := open(t, t.TempDir())
		_, err := l.Preview(t.Context(), saveFile(t, l, "image/png", ".png", file, 30_000, 30_000))
		require.ErrorIs(t, err, resources.ErrCorrupt, name)
		require.ErrorContains(t, err, "30000x30000 pixels are too many", name)
	}
}
