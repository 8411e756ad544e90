package resources_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// Each scan of a JPEG goes over all pixels, and costs the sender a few bytes.
func TestPreview_JPEGWithManyScans(t *testing.T) {
	l := open(t, t.TempDir())
	file := jpegPhoto(t, 64, 48)
	scan := append(bytes.Repeat([]byte{0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0}, resources.MaxScans), 0xff, 0xd9)
	file = append(file[:len(file)-2], scan...)
	_, err := l.Preview(t.Context(), saveFile(t, l, "image/jpeg", ".jpg", file, 64, 48))
	require.ErrorIs(t, err, resources.ErrCorrupt)
	require.ErrorContains(t, err, "scans")
}

// Whatever a file holds, decoding it ends.
func TestPreview_SlowDecoding(t *testing.T) {
	var seconds atomic.Int64
	start := time.Now()
	l := resources.New(resources.Options{
		Folder: t.TempDir(), Random: randomReader{}, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return start.Add(time.Duration(seconds.Load()) * time.Second) },
	})
	defer l.Close()
	for mime, file := range map[string][]byte{"image/png": pngPhoto(t, 800, 600), "image/jpeg": jpegPhoto(t, 2400, 1800)} {
		i := saveFile(t, l, mime, ".x", file, 800, 600)
		_, err := l.MakePreview(t.Context(), i)
		require.NoError(t, err, "a control: time stands still")
		done := make(chan struct{})
		go func() {
			for {
				select {
				case <-done:
					return
				default:
					seconds.Add(1) // a processor that is much slower
				}
			}
		}()
		_, err = l.MakePreview(t.Context(), i)
		close(done)
		require.ErrorContains(t, err, "too long", mime)
	}
}

func TestPreview_TooManyPixels(t *testing.T) {
	l := open(t, t.TempDir())
	for _, colours := range []byte{rgb, rgba} { // read by our decoder and by the standard library's
		file := pngHeader(4096, 4096, colours)
		_, err := l.Preview(t.Context(), saveFile(t, l, "image/png", ".png", file, 4096, 4096))
		require.ErrorIs(t, err, resources.ErrCorrupt)
		require.ErrorContains(t, err, "too many")
	}
	assert.Less(t, resources.MaxPixels, 4096*4096)
}

// What comes after the last row of a PNG is not unpacked.
func TestShrinkPNG_DataBehindLastRow(t *testing.T) {
	const width, height, extra = 16, 16, 8 << 20
	var pixels bytes.Buffer
	z := zlib.NewWriter(&pixels)
	_, _ = z.Write(make([]byte, height*(1+3*width)))
	_, _ = io.CopyN(z, rand.NewChaCha8([32]byte{}), extra)
	require.NoError(t, z.Close())
	file := append(pngHeader(width, height, rgb), pngChunk("IDAT", pixels.Bytes())...)
	file = append(file, pngChunk("IEND", nil)...)
	r := bytes.NewReader(file)
	_, err := resources.ShrinkPNG(r, 512)
	require.ErrorContains(t, err, "more pixels than rows")
	assert.Greater(t, r.Len(), extra/2, "the rest is not read")
}

// Colour types of PNG.
const (
	rgb  = 2
	rgba = 6
)

func pngHeader(width, height uint32, colours byte) []byte {
	size := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	return append([]byte("\x89PNG\r\n\x1a\n"), pngChunk("IHDR", append(size, 8, colours, 0, 0, 0))...)
}

func pngChunk(name string, data []byte) []byte {
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	body := append([]byte(name), data...)
	return binary.BigEndian.AppendUint32(append(chunk, body...), crc32.ChecksumIEEE(body))
}
