package pixels_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources/pixels"
)

// jpegFile returns a file in testdata. They contain testrig.Photo(64, 64) and were made by
// libjpeg-turbo's cjpeg -quality 75, with options as their names say: -sample 2x2 and so
// on, -optimize, -restart 2B, -grayscale, -progressive, -arithmetic, -rgb, and -scans with
// a scan for each component. 422-wide.jpg has -sample 4x1,2x1,2x1, and mixed.jpg has
// -sample 2x2,1x2,2x1. odd.jpg is testrig.Photo(60, 50) with -sample 2x2. fine.jpg has
// -quality 90 -sample 1x1 -optimize. coarse.jpg has -quality 10, which needs quantization
// tables of 16 bits. Pillow made cmyk.jpg.
func jpegFile(t testing.TB, name string) []byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("testdata", name+".jpg"))
	require.NoError(t, err)
	return file
}

func supportedJPEGs() []string {
	return []string{"444", "422", "422-wide", "420", "440", "411", "410", "optimized", "restart", "gray", "fine", "odd"}
}

// The pixels are those of the standard library followed by Shrink, at all scales.
func TestShrinkJPEG_SameAsDecoder(t *testing.T) {
	t.Parallel()
	for _, name := range supportedJPEGs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := jpegFile(t, name)
			full, err := jpeg.Decode(bytes.NewReader(file))
			require.NoError(t, err)
			for limit := 1; limit <= 30; limit++ {
				img, err := pixels.ShrinkJPEG(bytes.NewReader(file), limit)
				require.NoError(t, err)
				want := pixels.Shrink(full, limit)
				require.Equal(t, want.Bounds(), img.Bounds())
				assert.Positive(t, compareBlocks(t, file, full, limit))
				if 64%limit == 0 && full.Bounds().Dx() == 64 { // else Shrink uses another filter
					compareShrunk(t, img, want, 1, 1)
				}
			}
		})
	}
}

// Incomplete pixels at the edges are dropped: they depend on padding, which may have any
// color.
func TestShrinkJPEG_Edges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ limit, width, height, scale int }{
		{30, 30, 25, 2}, {16, 16, 13, 2}, {15, 15, 13, 2}, {14, 14, 12, 4}, {8, 8, 7, 4}, {7, 7, 6, 8}, {2, 2, 2, 8}, {1, 1, 1, 8},
	} {
		file := jpegFile(t, "odd")
		img, err := pixels.ShrinkJPEG(bytes.NewReader(file), tt.limit)
		require.NoError(t, err)
		assert.Equal(t, image.Rect(0, 0, tt.width, tt.height), img.Bounds())
		_, scale, err := pixels.JPEGPlanes(file, tt.limit)
		require.NoError(t, err)
		assert.Equal(t, tt.scale, scale, "limit %d", tt.limit)
	}
}

// The padding to whole blocks does not show, whatever color it has.
func TestShrinkJPEG_Padding(t *testing.T) {
	t.Parallel()
	const side, visible = 64, 57
	img := image.NewGray(image.Rect(0, 0, side, side))
	for y := range visible {
		for x := range visible {
			img.SetGray(x, y, color.Gray{255})
		}
	}
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, img, &jpeg.Options{Quality: 100}))
	file := b.Bytes()
	size := bytes.Index(file, []byte("\xff\xc0")) + 5
	require.Equal(t, []byte{0, side, 0, side}, file[size:size+4])
	copy(file[size:], []byte{0, visible, 0, visible})
	for _, limit := range []int{28, 14, 7} {
		small, err := pixels.ShrinkJPEG(bytes.NewReader(file), limit)
		require.NoError(t, err)
		for _, v := range small.(*image.Gray).Pix {
			require.Equal(t, byte(255), v, "limit %d", limit)
		}
	}
}

// Photographs of the sizes that the models generate look the same.
func TestShrinkJPEG_Photo(t *testing.T) {
	t.Parallel()
	for _, size := range []struct {
		width, height, most int
		mean                float64
	}{{1024, 1024, 1, 0.2}, {1344, 768, 1, 0.2}, {1728, 960, 8, 1}} { // the last one with another filter
		t.Run(fmt.Sprintf("%dx%d", size.width, size.height), func(t *testing.T) {
			t.Parallel()
			file := testrig.JPEGPhoto(t, size.width, size.height)
			full, err := jpeg.Decode(bytes.NewReader(file))
			require.NoError(t, err)
			img, err := pixels.ShrinkJPEG(bytes.NewReader(file), 512)
			require.NoError(t, err)
			compareShrunk(t, img, pixels.Shrink(full, 512), size.most, size.mean)
			assert.Positive(t, compareBlocks(t, file, full, 512))
		})
	}
}

// compareShrunk compares the planes of two images. most and mean are the largest and the
// mean difference that are allowed.
func compareShrunk(t *testing.T, got, want image.Image, most int, mean float64) {
	t.Helper()
	require.Equal(t, want.Bounds(), got.Bounds())
	if gray, ok := got.(*image.Gray); ok {
		rgba := want.(*image.RGBA)
		for i, v := range gray.Pix {
			require.InDelta(t, rgba.Pix[4*i], v, float64(most))
		}
		return
	}
	a, b := got.(*image.YCbCr), want.(*image.YCbCr)
	require.Equal(t, b.SubsampleRatio, a.SubsampleRatio)
	require.Equal(t, [2]int{b.YStride, b.CStride}, [2]int{a.YStride, a.CStride})
	for _, p := range [][2][]byte{{a.Y, b.Y}, {a.Cb, b.Cb}, {a.Cr, b.Cr}} {
		require.Len(t, p[0], len(p[1]))
		sum, worst := 0, 0
		for i := range p[0] {
			d := difference(p[0][i], p[1][i])
			sum, worst = sum+d, max(worst, d)
		}
		assert.LessOrEqual(t, worst, most, "the largest difference")
		assert.Less(t, float64(sum)/float64(len(p[0])), mean, "the mean difference")
	}
}

func difference(a, b byte) int { return max(int(a), int(b)) - min(int(a), int(b)) }

// compareBlocks compares each scaled block with the means of the standard library's pixels.
// It skips blocks with a pixel that is or may be clipped, and returns the number of others.
func compareBlocks(t *testing.T, file []byte, full image.Image, limit int) (compared int) {
	t.Helper()
	planes, scale, err := pixels.JPEGPlanes(file, limit)
	require.NoError(t, err)
	var want []pixels.Plane
	switch img := full.(type) {
	case *image.Gray:
		want = []pixels.Plane{{Pix: img.Pix, Stride: img.Stride}}
	case *image.YCbCr:
		want = []pixels.Plane{{Pix: img.Y, Stride: img.YStride}, {Pix: img.Cb, Stride: img.CStride}, {Pix: img.Cr, Stride: img.CStride}}
	default:
		t.Fatalf("a %T is supported", full)
	}
	for c, p := range planes {
		side := 8 / scale
		for y := 0; y < len(p.Pix)/p.Stride; y += side {
			for x := 0; x < p.Stride; x += side {
				means, ok := blockMeans(want[c], x*scale, y*scale, scale)
				if !ok {
					continue
				}
				compared++
				for i, mean := range means {
					got := p.Pix[(y+i/side)*p.Stride+x+i%side]
					if difference(got, mean) > 1 && !overflows(t, file, limit, c, y/side*(p.Stride/side)+x/side) {
						t.Fatalf("component %d at (%d,%d) of 1/%d: %d instead of %d", c, x+i%side, y+i/side, scale, got, mean)
					}
				}
			}
		}
	}
	return compared
}

// overflows reports whether the inverse DCT of the standard library may overflow for a block of
// a component, because its coefficients are larger than those of any image: it has 11 bits
// for what is less than half of their sum.
func overflows(t *testing.T, file []byte, limit, component, block int) bool {
	t.Helper()
	sums, err := pixels.JPEGMagnitudes(file, limit)
	require.NoError(t, err)
	return sums[component][block] > 4000
}

// blockMeans returns the means of the squares of scale by scale pixels in a block of 8x8,
// or false if a pixel is black or white.
func blockMeans(p pixels.Plane, x, y, scale int) (means []byte, ok bool) {
	side := 8 / scale
	sums := make([]int, side*side)
	for dy := range 8 {
		for dx, v := range p.Pix[(y+dy)*p.Stride+x:][:8] {
			if v == 0 || v == 255 {
				return nil, false
			}
			sums[dy/scale*side+dx/scale] += int(v)
		}
	}
	for _, sum := range sums {
		means = append(means, byte((sum+scale*scale/2)/(scale*scale)))
	}
	return means, true
}

// Scaled blocks are the means of the pixels of a full inverse DCT without rounding.
func TestShrinkJPEG_InverseDCT(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var coefs [64]int32
		var quant [64]byte
		var block [8][8]float64
		for i, at := range zigzag {
			quant[i] = byte(1 + random.IntN(60))
			limit := []int{40, 8, 1}[random.IntN(3)]
			coefs[i] = int32(random.IntN(2*limit+1) - limit)
			block[at/8][at%8] = float64(coefs[i]) * float64(quant[i])
		}
		for _, side := range []int{1, 2, 4} {
			for i, got := range pixels.JPEGBlock(coefs, quant, side) {
				scale := 8 / side
				sum := 0.0
				for j := range scale * scale {
					sum += inverseDCT(&block, i%side*scale+j%scale, i/side*scale+j/scale)
				}
				want := min(max(128+sum/float64(scale*scale), 0), 255)
				require.InDelta(t, want, float64(got), 0.6, "side %d", side)
			}
		}
	}
}

// inverseDCT returns a pixel of a block by the definition in section A.3.3 of ITU-T T.81.
func inverseDCT(block *[8][8]float64, x, y int) float64 {
	sum := 0.0
	for v := range 8 {
		for u := range 8 {
			f := block[v][u] * math.Cos(float64((2*x+1)*u)*math.Pi/16) * math.Cos(float64((2*y+1)*v)*math.Pi/16)
			if u == 0 {
				f /= math.Sqrt2
			}
			if v == 0 {
				f /= math.Sqrt2
			}
			sum += f / 4
		}
	}
	return sum
}

// zigzag is the order of figure A.6 of ITU-T T.81.
var zigzag = [64]int{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

// Unsupported variants of JPEG fail with ErrUnsupported, so that the standard library
// decodes them.
func TestShrinkJPEG_Unsupported(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"progressive", "arithmetic", "rgb", "cmyk", "scans", "mixed", "coarse"} {
		_, err := pixels.ShrinkJPEG(bytes.NewReader(jpegFile(t, name)), 20)
		require.ErrorIs(t, err, pixels.ErrUnsupported, name)
	}
	_, err := pixels.ShrinkJPEG(bytes.NewReader(jpegFile(t, "420")), 33)
	require.ErrorIs(t, err, pixels.ErrUnsupported, "less than twice the limit")
}

// A JPEG that is changed in one place is refused, unless the standard library accepts it.
func TestShrinkJPEG_Changed(t *testing.T) {
	t.Parallel()
	const (
		sof0   = "\xff\xc0\x00\x11\x08\x00\x40\x00\x40\x03\x01\x22\x00"
		sos    = "\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00"
		eoi    = "\xff\xd9"
		jfif   = "\xff\xe0\x00\x10JFIF\x00"
		noJFIF = "\xff\xe0\x00\x10NONE\x00"
		adobe  = "\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
	)
	swap := func(file []byte, old, with string) []byte {
		require.Equal(t, 1, bytes.Count(file, []byte(old)), "%q", old)
		return bytes.Replace(file, []byte(old), []byte(with), 1)
	}
	plain, restart := jpegFile(t, "420"), jpegFile(t, "restart")
	header, _, _ := bytes.Cut(plain, []byte(sos))
	for name, tt := range map[string]struct {
		file []byte
		want string // an error, or empty
	}{
		"extended":            {swap(plain, "\xff\xc0", "\xff\xc1"), ""},
		"data after the end":  {append(bytes.Clone(plain), "\xff\xd8more"...), ""},
		"bytes before marker": {swap(plain, sos, "ab\xff\x00c"+sos), ""},
		"fill bytes":          {swap(plain, sos, "\xff\xff\xff"+sos), ""},
		"restart at the end":  {swap(plain, eoi, "\xff\xd3"+eoi), ""},
		"bytes after a scan":  {swap(plain, eoi, "abc"+eoi), ""},
		"comment after scan":  {swap(plain, eoi, "\xff\xfe\x00\x03c"+eoi), ""},
		"Adobe YCbCr":         {swap(swap(plain, jfif, noJFIF), sos, adobe+"\x01"+sos), ""},
		"Adobe RGB":           {swap(swap(plain, jfif, noJFIF), sos, adobe+"\x00"+sos), "unsupported"},
		"Adobe RGB at end":    {swap(swap(plain, jfif, noJFIF), eoi, adobe+"\x00"+eoi), "unsupported"},
		"two scans":           {swap(plain, eoi, sos+eoi), "unsupported"},
		"two frames":          {swap(plain, sof0, sof0+"\x02\x11\x01\x03\x11\x01"+sof0), "several frames"},
		"12 bits":             {swap(plain, sof0, "\xff\xc1\x00\x11\x0c\x00\x40\x00\x40\x03\x01\x22\x00"), "unsupported"},
		"no width":            {swap(plain, sof0, "\xff\xc0\x00\x11\x08\x00\x40\x00\x00\x03\x01\x22\x00"), "0x64"},
		"too wide":            {swap(plain, sof0, "\xff\xc0\x00\x11\x08\x00\x40\x40\x01\x03\x01\x22\x00"), "16385x64"},
		"too many pixels":     {swap(plain, sof0, "\xff\xc0\x00\x11\x08\x10\x00\x08\x01\x03\x01\x22\x00"), "2049x4096"},
		"same identifiers":    {swap(plain, sof0, "\xff\xc0\x00\x11\x08\x00\x40\x00\x40\x03\x02\x22\x00"), "same identifier"},
		"quantization table":  {swap(plain, sof0, "\xff\xc0\x00\x11\x08\x00\x40\x00\x40\x03\x01\x22\x04"), "quantization"},
		"sampling":            {swap(plain, sof0, "\xff\xc0\x00\x11\x08\x00\x40\x00\x40\x03\x01\x33\x00"), "unsupported"},
		"large MCUs":          {swap(swap(plain, sof0, "\xff\xc0\x00\x11\x08\x00\x40\x00\x40\x03\x01\x42\x00"), "\x02\x11\x01\x03\x11\x01", "\x02\x12\x01\x03\x12\x01"), "unsupported"},
		"missing table":       {swap(plain, sos, "\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00"[:6]+"\x21\x02\x11\x03\x11\x00\x3f\x00"), "Huffman"},
		"removed table":       {swap(plain, "\xff\xc4\x00\xb5\x11", "\xff\xfe\x00\xb5\x11"), "unsupported"},
		"order of components": {swap(plain, sos, "\xff\xda\x00\x0c\x03\x02\x00\x01\x11\x03\x11\x00\x3f\x00"), "unsupported"},
		"no scan":             {append(bytes.Clone(header), eoi...), "no scan"},
		"no frame":            {[]byte("\xff\xd8" + sos + eoi), "without a frame"},
		"short segment":       {swap(plain, sos, "\xff\xfe\x00\x01"+sos), "length"},
		"no end":              {plain[:len(plain)-2], "unexpected EOF"},
		"short quantization":  {swap(plain, sos, "\xff\xdb\x00\x03\x00"+sos), "unsupported"},
		"short scan":          {swap(plain, sos, sos+eoi), "unexpected EOF"},
		"missing restart":     {swap(restart, "\xff\xd1", "\xff\xd2"), "unsupported"},
		"restart interval":    {swap(restart, "\xff\xdd\x00\x04\x00\x02", "\xff\xdd\x00\x05\x00\x02\x00"), "restart interval"},
		"lossless":            {swap(plain, sof0, "\xff\xc3"+sof0[2:]), "unsupported"},
		"no JPEG":             {[]byte("GIF89a"), "no JPEG"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pixels.ShrinkJPEG(bytes.NewReader(tt.file), 20)
			if tt.want == "" {
				require.NoError(t, err)
				full, err := jpeg.Decode(bytes.NewReader(tt.file))
				require.NoError(t, err)
				assert.Positive(t, compareBlocks(t, tt.file, full, 20))
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// A file that is too large for one buffer is unsupported.
func TestShrinkJPEG_LargeFile(t *testing.T) {
	t.Parallel()
	file := append(jpegFile(t, "420"), make([]byte, 16<<20)...)
	r := bytes.NewReader(file)
	_, err := pixels.ShrinkJPEG(r, 20)
	require.ErrorIs(t, err, pixels.ErrUnsupported)
}

// A truncated JPEG is an error, wherever it is truncated.
func TestShrinkJPEG_Truncated(t *testing.T) {
	t.Parallel()
	for _, name := range supportedJPEGs() {
		file := jpegFile(t, name)
		for n := range file {
			_, err := pixels.ShrinkJPEG(bytes.NewReader(file[:n]), 20)
			require.Error(t, err, "%s cut at %d", name, n)
		}
	}
}

// ShrinkJPEG accepts only files that the standard library accepts, refuses only files that
// it refuses, and returns the same pixels.
func FuzzShrinkJPEG(f *testing.F) {
	for _, name := range supportedJPEGs() {
		for _, limit := range []uint8{30, 15, 7} {
			f.Add(jpegFile(f, name), limit)
		}
	}
	f.Add(testrig.JPEGPhoto(f, 16, 16), uint8(8))
	f.Add(testrig.JPEGPhoto(f, 16, 9), uint8(4))
	f.Fuzz(compareJPEG)
}

// compareJPEG compares ShrinkJPEG with the standard library.
func compareJPEG(t *testing.T, file []byte, limit uint8) {
	t.Helper()
	config, err := jpeg.DecodeConfig(bytes.NewReader(file))
	if err == nil && (config.Width*config.Height > 1<<14 || config.Width*config.Height == 0) || limit == 0 {
		return
	}
	img, err := pixels.ShrinkJPEG(bytes.NewReader(file), int(limit))
	if errors.Is(err, pixels.ErrUnsupported) {
		return
	}
	full, wantErr := jpeg.Decode(bytes.NewReader(file))
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("the error is %v instead of %v", err, wantErr)
	}
	if err != nil {
		return
	}
	width, height := pixels.Fit(config.Width, config.Height, int(limit))
	if img.Bounds() != image.Rect(0, 0, width, height) {
		t.Fatalf("the bounds are %v", img.Bounds())
	}
	compareBlocks(t, file, full, int(limit))
}

// BenchmarkShrinkJPEG compares the scaled decoder with the standard library followed by
// Shrink.
func BenchmarkShrinkJPEG(b *testing.B) {
	for _, size := range []int{1024, 2048} {
		file := testrig.JPEGPhoto(b, size, size)
		b.Run(fmt.Sprintf("%d/scaled", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := pixels.ShrinkJPEG(bytes.NewReader(file), 512)
				require.NoError(b, err)
			}
		})
		b.Run(fmt.Sprintf("%d/standard", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				full, err := jpeg.Decode(bytes.NewReader(file))
				require.NoError(b, err)
				pixels.Shrink(full, 512)
			}
		})
	}
}
