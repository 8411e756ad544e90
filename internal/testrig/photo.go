package testrig

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Photo returns an image that compresses like a photograph: soft shapes with grain. As a
// PNG, 1024x1024 pixels have about 1.5 MB.
func Photo(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	random := rand.New(rand.NewPCG(1, 2))
	for y := range height {
		for x := range width {
			fx, fy := float64(x)/float64(width), float64(y)/float64(height)
			grain := random.NormFloat64() * 4
			at := func(phase float64) uint8 {
				v := 128 + 70*math.Sin(6*fx+phase)*math.Cos(5*fy-phase) + 40*math.Sin(31*fx*fy+phase) + grain
				return uint8(max(0, min(255, v)))
			}
			img.SetRGBA(x, y, color.RGBA{at(0), at(1), at(2), 255})
		}
	}
	return img
}

// PNGPhoto returns a Photo as a PNG.
func PNGPhoto(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, Photo(width, height)))
	return b.Bytes()
}

// JPEGPhoto returns a Photo as a JPEG of quality 85.
func JPEGPhoto(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, Photo(width, height), &jpeg.Options{Quality: 85}))
	return b.Bytes()
}

// Color types of PNG.
const (
	RGB  = 2
	RGBA = 6
)

// PNGHeader returns the beginning of a PNG with 8 bits per channel.
func PNGHeader(width, height uint32, colors byte) []byte {
	size := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	return append([]byte("\x89PNG\r\n\x1a\n"), PNGChunk("IHDR", append(size, 8, colors, 0, 0, 0))...)
}

// PNGChunk returns a chunk of a PNG with its checksum.
func PNGChunk(name string, data []byte) []byte {
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	body := append([]byte(name), data...)
	return binary.BigEndian.AppendUint32(append(chunk, body...), crc32.ChecksumIEEE(body))
}
