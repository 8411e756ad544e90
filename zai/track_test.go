package zai_test

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai"
)

// jpegWithPreview returns a JPEG with an embedded preview, as cameras and
// editors write.
func jpegWithPreview(t *testing.T) []byte {
	t.Helper()
	preview := append([]byte("Exif\x00\x00"), jpegOf(t, 8, 8)...)
	segment := append([]byte{0xFF, 0xE1, byte((len(preview) + 2) >> 8), byte(len(preview) + 2)}, preview...)
	img := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i)
	}
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, img, &jpeg.Options{Quality: 100}))
	return append(append(b.Bytes()[:2:2], segment...), b.Bytes()[2:]...)
}

// animatedGIF returns a GIF of two images, each with its own colour table.
func animatedGIF(t *testing.T) []byte {
	t.Helper()
	var g gif.GIF
	for _, colors := range [][2]int{{0, 16}, {100, 200}} {
		img := image.NewPaletted(image.Rect(0, 0, 32, 32), palette.WebSafe[colors[0]:colors[1]])
		for i := range img.Pix {
			img.Pix[i] = byte(i % len(img.Palette))
		}
		g.Image, g.Delay = append(g.Image, img), append(g.Delay, 1)
	}
	var b bytes.Buffer
	require.NoError(t, gif.EncodeAll(&b, &g))
	return b.Bytes()
}

// Reading a file that is cut off anywhere fails.
func TestImage_IncompleteFile(t *testing.T) {
	for name, file := range map[string][]byte{
		"png": pngOf(t, 40, 30), "jpeg": jpegOf(t, 40, 30), "jpeg with a preview": jpegWithPreview(t),
		"gif": gifOf(t, 40, 30), "animated gif": animatedGIF(t), "webp": webpOf(40, 30),
	} {
		t.Run(name, func(t *testing.T) {
			read := func(r io.Reader) ([]byte, error) {
				img, err := zai.OpenImage(r)
				if err != nil {
					return nil, err
				}
				return io.ReadAll(img)
			}
			for n := range file {
				_, err := read(bytes.NewReader(file[:n]))
				require.Error(t, err, "%d of %d bytes", n, len(file))
			}
			_, err := read(bytes.NewReader(file[:len(file)-1]))
			require.ErrorIs(t, err, zai.KindDownload)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			var final *zai.Error
			require.NotErrorAs(t, err, &final, "an *Error would mean that the client has already retried")

			for _, appended := range []string{"", "\x00\x00\x00", "metadata of some service"} {
				whole := slices.Concat(file, []byte(appended))
				all, err := read(bytes.NewReader(whole))
				require.NoError(t, err)
				assert.Equal(t, whole, all)
				_, err = read(iotest.OneByteReader(bytes.NewReader(whole)))
				require.NoError(t, err)
			}
		})
	}
}

// A body without a length ends with its connection, so it is complete only if
// its image is.
func TestDownload_CutOffBodyWithoutLength(t *testing.T) {
	file := pngOf(t, 100, 100)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Transfer-Encoding", "identity")
		_, _ = w.Write(file[:len(file)/2])
	}))
	c := newClient(t, s.URL)
	img, err := c.Download(t.Context(), zai.ImageData{URL: s.URL})
	require.NoError(t, err, "the header is complete")
	defer img.Close()
	_, err = io.Copy(io.Discard, img)
	require.ErrorIs(t, err, zai.KindDownload)

	img, err = c.Download(t.Context(), zai.ImageData{B64JSON: base64.StdEncoding.EncodeToString(file[:len(file)/2])})
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, img)
	require.ErrorIs(t, err, zai.KindDownload)
}
