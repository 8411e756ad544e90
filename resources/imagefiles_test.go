package resources_test

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

// tiny returns a small PNG that differs for each n.
func tiny(t testing.TB, n int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 4, 3))
	img.Set(0, 0, color.RGBA{uint8(n), uint8(n >> 8), uint8(n >> 16), 255})
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

// Color types of PNG.
const (
	rgb  = 2
	rgba = 6
)

// pngHeader returns the beginning of a PNG with 8 bits per channel.
func pngHeader(width, height uint32, colors byte) []byte {
	size := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	return append([]byte("\x89PNG\r\n\x1a\n"), pngChunk("IHDR", append(size, 8, colors, 0, 0, 0))...)
}

func pngChunk(name string, data []byte) []byte {
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	body := append([]byte(name), data...)
	return binary.BigEndian.AppendUint32(append(chunk, body...), crc32.ChecksumIEEE(body))
}

// photo returns an image that compresses like a photograph: soft shapes with grain.
func photo(width, height int) *image.RGBA {
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

func pngPhoto(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, photo(width, height)))
	return b.Bytes()
}

func jpegPhoto(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, photo(width, height), &jpeg.Options{Quality: 85}))
	return b.Bytes()
}
