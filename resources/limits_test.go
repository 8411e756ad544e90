package resources_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// The client and the library have separate limits for dimensions, so that neither
// package imports the other. The limits are equal: the library decodes the images
// that the client accepts and refuses the others.
func TestLimits_DimensionsSameAsClient(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	accepted := 0
	for _, size := range [][2]uint32{
		{1, 1}, {1 << 14, 1}, {1<<14 + 1, 1}, {1, 1 << 14}, {1, 1<<14 + 1}, {1 << 14, 512}, {1 << 14, 513}, {1 << 13, 1 << 10}, {1<<13 + 1, 1 << 10},
		{2896, 2896}, {2897, 2896}, {1 << 15, 256}, {4096, 2048}, {4096, 2049}, {1 << 30, 1 << 30},
	} {
		for _, colors := range []byte{testrig.RGB, testrig.RGBA} {
			header := testrig.PNGHeader(size[0], size[1], colors)
			_, clientErr := zai.OpenImage(bytes.NewReader(append(header, testrig.PNGChunk("IDAT", nil)...)))
			// The file has no pixels, so decoding always fails; the error shows the reason.
			_, err := l.Preview(t.Context(), saveFile(t, l, "image/png", ".png", header, int(size[0]), int(size[1])))
			require.ErrorIs(t, err, resources.ErrCorrupt)
			refused := strings.Contains(err.Error(), "pixels are too many") || strings.Contains(err.Error(), "dimension overflow")
			assert.Equal(t, clientErr != nil, refused, "%v: %v, %v", size, clientErr, err)
			if clientErr == nil {
				accepted++
			}
		}
	}
	assert.Equal(t, 2*7, accepted)
}

// Every format that the client accepts can be saved, previewed, recognized by
// Check, and restored by Reindex with the same type.
func TestLimits_FormatsSameAsClient(t *testing.T) {
	t.Parallel()
	img := image.NewGray(image.Rect(0, 0, 1, 1))
	var asPNG, asJPEG, asGIF bytes.Buffer
	require.NoError(t, errors.Join(png.Encode(&asPNG, img), jpeg.Encode(&asJPEG, img, nil), gif.Encode(&asGIF, img, nil)))
	asWebP, err := base64.StdEncoding.DecodeString("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==") // 1x1, lossless
	require.NoError(t, err)
	for name, file := range map[string][]byte{"PNG": asPNG.Bytes(), "JPEG": asJPEG.Bytes(), "GIF": asGIF.Bytes(), "WebP": asWebP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content, err := zai.OpenImage(bytes.NewReader(file))
			require.NoError(t, err)
			folder := t.TempDir()
			l := open(t, folder)
			i, err := l.Save(t.Context(), reserve(t, l, "x"), resources.Content{
				Reader: bytes.NewReader(file), MIMEType: content.MIMEType, Extension: content.Extension, Width: content.Width, Height: content.Height,
			}, "")
			require.NoError(t, err)
			_, err = l.Preview(t.Context(), i)
			require.NoError(t, err)
			require.NoError(t, l.Close())
			catalog, err := filepath.Glob(filepath.Join(folder, ".catalog.db*"))
			require.NoError(t, err)
			for _, path := range catalog {
				require.NoError(t, os.Remove(path))
			}
			l = open(t, folder)
			report, err := l.Check(t.Context(), true, nil)
			require.NoError(t, err)
			assert.Equal(t, map[resources.ProblemKind][]string{resources.Orphan: {i.ID}}, found(report), "the file name is recognized")
			_, err = l.Reindex(t.Context(), "local", nil)
			require.NoError(t, err)
			restored, err := l.Image(t.Context(), "local", i.ID)
			require.NoError(t, err)
			assert.Equal(t, []any{content.MIMEType, content.Width, content.Height}, []any{restored.MIMEType, restored.Width, restored.Height})
		})
	}
}
