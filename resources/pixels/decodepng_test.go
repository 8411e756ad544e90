package pixels_test

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources/pixels"
)

// filteredPNG returns a PNG with random data, whose rows have filters in turn, unless filter
// is one of them. The data is in chunks of at most size bytes.
func filteredPNG(t testing.TB, width, height int, colors byte, filter, size int) []byte {
	t.Helper()
	row := 1 + width*map[byte]int{testrig.RGB: 3, testrig.RGBA: 4}[colors]
	data := make([]byte, row*height)
	_, _ = rand.NewChaCha8([32]byte{byte(width), byte(height)}).Read(data)
	for y := range height {
		data[y*row] = byte(filter)
		if filter > 4 {
			data[y*row] = byte(y % 5)
		}
	}
	return assemblePNG(t, testrig.PNGHeader(uint32(width), uint32(height), colors), compressed(t, data), size)
}

// compressed returns data with the header and the checksum of zlib.
func compressed(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// assemblePNG returns a PNG whose data is in chunks of at most size bytes.
func assemblePNG(t testing.TB, header, data []byte, size int) []byte {
	t.Helper()
	file := bytes.Clone(header)
	for ; len(data) > size; data = data[size:] {
		file = append(file, testrig.PNGChunk("IDAT", data[:size])...)
	}
	file = append(file, testrig.PNGChunk("IDAT", data)...)
	return append(file, testrig.PNGChunk("IEND", nil)...)
}

// assertSamePixels fails the test if DecodePNG and ShrinkPNG do not return what the standard
// library returns.
func assertSamePixels(t *testing.T, file []byte, name string) {
	t.Helper()
	want, err := png.Decode(bytes.NewReader(file))
	require.NoError(t, err, name)
	got, err := pixels.DecodePNG(bytes.NewReader(file))
	require.NoError(t, err, name)
	assert.Equal(t, want, got, name)
	if _, ok := want.(*image.RGBA); !ok {
		return
	}
	for _, limit := range []int{1000, 150, 70, 50, 20} {
		small, err := pixels.ShrinkPNG(bytes.NewReader(file), limit)
		require.NoError(t, err, name)
		assert.Equal(t, pixels.Shrink(want, limit), small, "%s, limit %d", name, limit)
	}
}

// Each filter is reversed, whatever the width of a row and the sizes of the chunks are.
func TestDecodePNG_Filters(t *testing.T) {
	t.Parallel()
	for _, colors := range []byte{testrig.RGB, testrig.RGBA} {
		for filter := range 6 {
			for _, width := range []int{1, 2, 3, 4, 5, 40} {
				file := filteredPNG(t, width, 31, colors, filter, 1<<20)
				assertSamePixels(t, file, fmt.Sprintf("color type %d, filter %d, width %d", colors, filter, width))
			}
		}
		for _, size := range []int{1, 2, 3, 100} {
			assertSamePixels(t, filteredPNG(t, 20, 17, colors, 5, size), fmt.Sprintf("chunks of %d bytes", size))
		}
		assertSamePixels(t, filteredPNG(t, pixels.MaxSide, 3, colors, 5, 8192), "widest")
	}
	_, err := pixels.DecodePNG(bytes.NewReader(filteredPNG(t, 3, 4, testrig.RGB, 5, 100)))
	require.NoError(t, err, "control")
	data := compressed(t, []byte{5, 1, 2, 3})
	_, err = pixels.DecodePNG(bytes.NewReader(assemblePNG(t, testrig.PNGHeader(1, 1, testrig.RGB), data, 100)))
	require.ErrorContains(t, err, "unknown filter 5")
}

// The predictor of the Paeth filter is that of the specification for all values.
func TestPaeth(t *testing.T) {
	t.Parallel()
	abs := func(n int) int { return max(n, -n) }
	for left := range 256 {
		for up := range 256 {
			for corner := range 256 {
				estimate := left + up - corner
				want := left
				if abs(estimate-up) < abs(estimate-want) {
					want = up
				}
				if abs(estimate-corner) < abs(estimate-want) {
					want = corner
				}
				if got := pixels.Paeth(left, up, corner); got != want {
					t.Fatalf("paeth(%d, %d, %d) is %d instead of %d", left, up, corner, got, want)
				}
			}
		}
	}
}

// A photo has the same pixels as for the standard library.
func TestDecodePNG_Photo(t *testing.T) {
	t.Parallel()
	assertSamePixels(t, testrig.PNGPhoto(t, 300, 200), "RGB")
	transparent := image.NewNRGBA(image.Rect(0, 0, 200, 100))
	copy(transparent.Pix, testrig.Photo(200, 100).Pix)
	for i := 3; i < len(transparent.Pix); i += 4 {
		transparent.Pix[i] = byte(i / 300)
	}
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, transparent))
	assertSamePixels(t, b.Bytes(), "RGBA")
}

// A truncated PNG is an error, wherever it is truncated.
func TestShrinkPNG_Truncated(t *testing.T) {
	t.Parallel()
	file := rgbPNG(t, 60, 50, png.DefaultCompression)
	for n := range file {
		_, err := pixels.ShrinkPNG(bytes.NewReader(file[:n]), 512)
		require.Error(t, err, "cut at %d", n)
		_, err = pixels.DecodePNG(bytes.NewReader(file[:n]))
		require.Error(t, err, "cut at %d", n)
	}
}

// Damaged and unusual files are accepted, refused, or left to the standard library.
func TestDecodePNG_Chunks(t *testing.T) {
	t.Parallel()
	header := testrig.PNGHeader(2, 2, testrig.RGB)
	chunk := testrig.PNGChunk
	data := compressed(t, []byte("\x00abcdef\x01ghijkl"))
	idat, end := chunk("IDAT", data), chunk("IEND", nil)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	flipped := func(b []byte) []byte { // the checksum of a chunk
		b = bytes.Clone(b)
		b[len(b)-1] ^= 1
		return b
	}
	wrongAdler := bytes.Clone(data)
	wrongAdler[len(data)-1] ^= 1
	dictionary := append([]byte{0x78, 0xbb, 0, 0, 0, 1}, data[2:]...)
	const ok, unsupported, refused = "ok", "unsupported", "refused"
	for name, tt := range map[string]struct {
		file     []byte
		want     string
		standard bool // package png accepts it
	}{
		"plain":                       {join(header, idat, end), ok, true},
		"text before and after":       {join(header, chunk("tEXt", make([]byte, 200_000)), idat, chunk("tEXt", []byte("b")), end), ok, true},
		"bytes after the end":         {join(header, idat, end, []byte("trailer")), ok, true},
		"empty data chunks":           {join(header, chunk("IDAT", nil), idat, chunk("IDAT", nil), end), ok, true},
		"data after other chunks":     {join(header, idat, chunk("tEXt", nil), idat, end), ok, true},
		"wrong Adler-32":              {join(header, chunk("IDAT", wrongAdler), end), ok, false},
		"garbage in a data chunk":     {join(header, idat, chunk("IDAT", []byte("x")), end), unsupported, true},
		"palette":                     {join(header, chunk("PLTE", []byte("abc")), idat, end), unsupported, true},
		"transparent color":           {join(header, chunk("tRNS", []byte("aabbcc")), idat, end), unsupported, true},
		"preset dictionary":           {join(header, chunk("IDAT", dictionary), end), unsupported, true},
		"chunk before the header":     {join(header[:8], chunk("tEXt", nil), header[8:], idat, end), unsupported, true},
		"interlaced":                  {join(header[:8], chunk("IHDR", []byte("\x00\x00\x00\x02\x00\x00\x00\x02\x08\x02\x00\x00\x01")), idat, end), unsupported, false},
		"second header":               {join(header, header[8:], idat, end), unsupported, false},
		"palette after the data":      {join(header, idat, chunk("PLTE", []byte("abc")), end), unsupported, false},
		"no data":                     {join(header, end), unsupported, false},
		"another file type":           {join([]byte("GIF89a..."), header), unsupported, false},
		"no end":                      {join(header, idat), refused, false},
		"end with content":            {join(header, idat, chunk("IEND", []byte("x"))), refused, false},
		"checksum of the header":      {join(flipped(header), idat, end), refused, false},
		"checksum of the data":        {join(header, flipped(idat), end), refused, false},
		"checksum of a skipped chunk": {join(header, flipped(chunk("tEXt", []byte("a"))), idat, end), refused, false},
		"checksum of the end":         {join(header, idat, flipped(end)), refused, false},
		"chunk of 4 GB":               {join(header, []byte("\xff\xff\xff\xfftEXt"), idat, end), refused, false},
		"no checksum of zlib":         {join(header, chunk("IDAT", data[:len(data)-4]), end), refused, false},
		"one byte of data":            {join(header, chunk("IDAT", data[:1]), end), refused, false},
		"compression method":          {join(header, chunk("IDAT", append([]byte{0x79, 0x18}, data[2:]...)), end), refused, false},
		"window of 64 KB":             {join(header, chunk("IDAT", append([]byte{0x88, 0x1c}, data[2:]...)), end), refused, false},
		"check bits of zlib":          {join(header, chunk("IDAT", append([]byte{0x78, 0x9d}, data[2:]...)), end), refused, false},
		"too few rows":                {join(testrig.PNGHeader(2, 3, testrig.RGB), idat, end), refused, false},
		"too many rows":               {join(testrig.PNGHeader(2, 1, testrig.RGB), idat, end), refused, false},
		"no pixels":                   {join(testrig.PNGHeader(0, 1, testrig.RGB), idat, end), refused, false},
		"too many pixels":             {join(testrig.PNGHeader(4096, 4096, testrig.RGB), idat, end), refused, false},
		"too wide":                    {join(testrig.PNGHeader(pixels.MaxSide+1, 1, testrig.RGB), idat, end), refused, false},
	} {
		_, err := png.Decode(bytes.NewReader(tt.file))
		require.Equal(t, tt.standard, err == nil, "control: %s: %v", name, err)
		_, err = pixels.DecodePNG(bytes.NewReader(tt.file))
		got := ok
		if errors.Is(err, pixels.ErrUnsupported) {
			got = unsupported
		} else if err != nil {
			got = refused
		}
		assert.Equal(t, tt.want, got, "%s: %v", name, err)
	}
}

// A file that declares more data than it has does not make the decoder allocate it.
//
//nolint:paralleltest // the allocations of other tests would be counted
func TestDecodePNG_DeclaredSize(t *testing.T) {
	file := append(testrig.PNGHeader(2048, 2048, testrig.RGBA), "\x7f\xff\xff\xffIDAT123"...)
	allocated := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, err := pixels.DecodePNG(bytes.NewReader(file))
			require.ErrorIs(b, err, io.ErrUnexpectedEOF)
		}
	}).AllocedBytesPerOp()
	assert.Less(t, allocated, int64(12<<20), "half of the pixels, not twice as much")
}

// Boxes of more than 16 by 16 pixels are left to Shrink.
func TestShrinkPNG_LargeBox(t *testing.T) {
	t.Parallel()
	white := image.NewRGBA(image.Rect(0, 0, 160, 160))
	for i := range white.Pix {
		white.Pix[i] = 255
	}
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, white))
	_, err := pixels.ShrinkPNG(bytes.NewReader(b.Bytes()), 9)
	require.ErrorIs(t, err, pixels.ErrUnsupported)
	img, err := pixels.ShrinkPNG(bytes.NewReader(b.Bytes()), 10)
	require.NoError(t, err)
	assert.Equal(t, pixels.Shrink(white, 10), img, "the sums do not overflow")
}

// repairer returns a function that corrects the checksums of a PNG, so that changed files get
// past them. It corrects the Adler-32 checksum if the data can be decompressed to at most
// limit bytes.
func repairer(limit int64) func(file []byte) {
	reader := flate.NewReader(nil)
	return func(file []byte) { repair(file, reader, limit) }
}

func repair(file []byte, reader io.Reader, limit int64) {
	var data []byte
	var at []int // the positions of data in the file
	chunks := func(visit func(name string, start, end int)) {
		for p := 8; p+12 <= len(file); {
			length := int(binary.BigEndian.Uint32(file[p:]))
			if length > len(file)-p-12 {
				return
			}
			visit(string(file[p+4:p+8]), p+8, p+8+length)
			p += 12 + length
		}
	}
	chunks(func(name string, start, end int) {
		for i := start; name == "IDAT" && i < end; i++ {
			data, at = append(data, file[i]), append(at, i)
		}
	})
	if len(data) > 6 {
		sum := adler32.New()
		r := bytes.NewReader(data[2:])
		_ = reader.(flate.Resetter).Reset(r, nil)
		_, err := io.CopyN(sum, reader, limit)
		if left := r.Len(); errors.Is(err, io.EOF) && left >= 4 {
			for i, b := range sum.Sum(nil) {
				file[at[len(at)-left+i]] = b
			}
		}
	}
	chunks(func(_ string, start, end int) {
		binary.BigEndian.PutUint32(file[end:], crc32.ChecksumIEEE(file[start-4:end]))
	})
}

// addPNGs adds inputs with a limit.
func addPNGs(f *testing.F, limit ...any) {
	for _, file := range seedPNGs(f) {
		f.Add(append([]any{file}, limit...)...)
	}
}

func seedPNGs(t testing.TB) (list [][]byte) {
	for filter := range 6 {
		list = append(list, filteredPNG(t, 5, 6, testrig.RGB, filter, 50), filteredPNG(t, 4, 5, testrig.RGBA, filter, 1000))
	}
	return append(list, testrig.PNGPhoto(t, 9, 7), testrig.PNGPhoto(t, 20, 16), rgbPNG(t, 30, 20, png.NoCompression), rgbPNG(t, 5, 40, png.BestSpeed))
}

// mostFuzzed is the number of pixels above which a fuzz test ignores a file.
const mostFuzzed = 1 << 12

// fuzzedPNG returns a repaired copy of a file. ok is false if it has too many pixels.
func fuzzedPNG(file []byte, repair func([]byte)) (repaired []byte, ok bool) {
	file = bytes.Clone(file)
	repair(file)
	config, err := png.DecodeConfig(bytes.NewReader(file))
	return file, err == nil && max(config.Width, config.Height) <= mostFuzzed && config.Width*config.Height <= mostFuzzed
}

// DecodePNG and the standard library accept the same files, except those that are left to the
// standard library and those with a wrong Adler-32 checksum, and return the same pixels.
func FuzzDecodePNG(f *testing.F) {
	addPNGs(f)
	compare := decodePNGComparison()
	f.Fuzz(func(t *testing.T, file []byte) { compare(t, file) })
}

// decodePNGComparison returns the comparison of FuzzDecodePNG.
func decodePNGComparison() func(t *testing.T, file []byte) {
	repair := repairer(5 * mostFuzzed)
	return func(t *testing.T, file []byte) {
		t.Helper()
		file, ok := fuzzedPNG(file, repair)
		if !ok {
			return
		}
		got, err := pixels.DecodePNG(bytes.NewReader(file))
		if errors.Is(err, pixels.ErrUnsupported) {
			return
		}
		want, wantErr := png.Decode(bytes.NewReader(file))
		switch {
		case (err == nil) == (wantErr == nil):
		case wantErr != nil && wantErr.Error() == png.FormatError("zlib: invalid checksum").Error():
			return
		default:
			t.Fatalf("error %v instead of %v", err, wantErr)
		}
		if err == nil && !samePixels(want, got) {
			t.Fatal("the pixels differ")
		}
	}
}

func samePixels(want, got image.Image) bool {
	switch want := want.(type) {
	case *image.RGBA:
		got, ok := got.(*image.RGBA)
		return ok && got.Rect == want.Rect && got.Stride == want.Stride && bytes.Equal(want.Pix, got.Pix)
	case *image.NRGBA:
		got, ok := got.(*image.NRGBA)
		return ok && got.Rect == want.Rect && got.Stride == want.Stride && bytes.Equal(want.Pix, got.Pix)
	default:
		return false
	}
}

// ShrinkPNG and decoding by the standard library followed by Shrink return the same pixels.
func FuzzShrinkPNG(f *testing.F) {
	addPNGs(f, uint8(4))
	compare := shrinkPNGComparison()
	f.Fuzz(func(t *testing.T, file []byte, limit uint8) { compare(t, file, limit) })
}

// shrinkPNGComparison returns the comparison of FuzzShrinkPNG.
func shrinkPNGComparison() func(t *testing.T, file []byte, limit uint8) {
	repair := repairer(5 * mostFuzzed)
	return func(t *testing.T, file []byte, limit uint8) {
		t.Helper()
		file, ok := fuzzedPNG(file, repair)
		if !ok || limit == 0 {
			return
		}
		got, err := pixels.ShrinkPNG(bytes.NewReader(file), int(limit))
		if errors.Is(err, pixels.ErrUnsupported) {
			return
		}
		full, wantErr := png.Decode(bytes.NewReader(file))
		switch {
		case wantErr != nil:
			return // compared by FuzzDecodePNG
		case err != nil:
			t.Fatalf("refused: %v", err)
		case !samePixels(pixels.Shrink(full, int(limit)), got):
			t.Fatal("the pixels differ")
		}
	}
}

// A file of empty blocks, whose headers take long to decode, is left to the standard library,
// which a time limit can stop.
func TestDecodePNG_EmptyBlocks(t *testing.T) {
	t.Parallel()
	const side = 64
	for blocks, want := range map[int]error{900: nil, 2000: pixels.ErrUnsupported} {
		var data bytes.Buffer
		w := zlib.NewWriter(&data)
		for range blocks {
			require.NoError(t, w.Flush()) // an empty block
		}
		_, err := w.Write(make([]byte, side*(1+3*side)))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		file := assemblePNG(t, testrig.PNGHeader(side, side, testrig.RGB), data.Bytes(), 1<<20)
		_, err = png.Decode(bytes.NewReader(file))
		require.NoError(t, err, "control")
		_, err = pixels.DecodePNG(bytes.NewReader(file))
		require.ErrorIs(t, err, want)
	}
}
