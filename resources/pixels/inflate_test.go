package pixels_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources/pixels"
)

// deflate compresses data.
func deflate(t testing.TB, data []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	require.NoError(t, err)
	_, err = w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// repeated returns n bytes in which the first distance bytes repeat.
func repeated(distance, n int) []byte {
	b := make([]byte, n)
	random := rand.NewChaCha8([32]byte{byte(distance)})
	random.Read(b[:min(distance, n)])
	for i := distance; i < n; i++ {
		b[i] = b[i-distance]
	}
	return b
}

// samples returns data of many kinds.
func samples() map[string][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	list := map[string][]byte{"nothing": {}, "a byte": {7}, "zeros": make([]byte, 100_000)}
	for _, bits := range []int{1, 2, 3, 5, 7, 8} {
		b := make([]byte, 50_000)
		for i := range b {
			b[i] = byte(random.IntN(1 << bits))
		}
		list[fmt.Sprintf("%d random bits", bits)] = b
	}
	skewed := make([]byte, 50_000) // long and short codes
	for i := range skewed {
		skewed[i] = byte(min(random.ExpFloat64()*4, 255)) * byte(1+random.IntN(3))
	}
	list["skewed"] = skewed
	for distance := 1; distance <= 20; distance++ {
		list[fmt.Sprintf("distance %d", distance)] = repeated(distance, 20_000)
	}
	for _, distance := range []int{255, 256, 257, 258, 259, 32_767, 32_768, 32_769} {
		list[fmt.Sprintf("distance %d", distance)] = repeated(distance, 70_000)
	}
	var matches []byte // of the greatest length, between random bytes
	for range 250 {
		matches = append(matches, byte(random.IntN(256)))
		from := max(len(matches)-1-random.IntN(1<<15), 0)
		matches = append(matches, repeated(1, 5)...)
		for i := range 258 {
			matches = append(matches, matches[from+i%(len(matches)-from)])
		}
	}
	list["matches"] = matches
	return list
}

// The inflater returns what was compressed, and finds the end of the compressed data.
func TestInflater_Levels(t *testing.T) {
	t.Parallel()
	for name, data := range samples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
				in := append(deflate(t, data, level), "rest"...)
				for _, piece := range []int{1, 3073, 65_537} {
					out, rest, err := pixels.Inflate(in, piece, len(data))
					require.NoError(t, err)
					require.True(t, bytes.Equal(data, out), "level %d, pieces of %d", level, piece)
					require.Equal(t, "rest", string(rest))
				}
			}
		})
	}
}

// The inflater does not decompress much more than it is asked for.
func TestInflater_MoreOutput(t *testing.T) {
	t.Parallel()
	in := deflate(t, make([]byte, 64<<20), flate.BestSpeed)
	_, _, err := pixels.Inflate(in[:len(in)/2], 1000, 5000)
	require.ErrorIs(t, err, pixels.ErrMore, "the end is not reached")
}

// Data that is cut anywhere is an error.
func TestInflater_Truncated(t *testing.T) {
	t.Parallel()
	for _, data := range [][]byte{repeated(300, 1000), repeated(3, 3000), []byte("text")} {
		for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
			in := deflate(t, data, level)
			for n := range in {
				_, _, err := pixels.Inflate(in[:n], 100, len(data))
				require.Error(t, err, "level %d, %d of %d bytes", level, n, len(in))
			}
		}
	}
}

// bitString returns the bits of a stream, which are written from left to right. Codes appear
// in it as the specification writes them, numbers with the lowest bit first.
func bitString(s string) []byte {
	var b []byte
	n := 0
	for _, c := range s {
		if c == ' ' {
			continue
		}
		if n%8 == 0 {
			b = append(b, 0)
		}
		b[n/8] |= byte(c-'0') << (n % 8)
		n++
	}
	return b
}

// Unusual codes are accepted or refused as by compress/flate.
func TestInflater_UnusualCodes(t *testing.T) {
	t.Parallel()
	// A code for the code lengths, in the order 16, 17, 18, 0, ..., 1: 18 is 0, 0 is 10 and
	// 1 is 11. 257 literals and lengths, and one distance.
	const dynamic = "1 01 00000 00000 0111 000 000 100 010 000 000 000 000 000 000 000 000 000 000 000 000 000 010"
	const skip256 = "0 1111111 0 1101011" // 138 and 118 zeros
	for _, tt := range []struct {
		name, bits string
		ok         bool
	}{
		{"one literal code", dynamic + skip256 + "11 10 0", true},
		{"one literal code, the other bit", dynamic + skip256 + "11 10 1", false},
		{"one distance code", dynamic + skip256 + "11 11 0", true},
		{"no literal code", dynamic + skip256 + "10 10 0000", false},
		{"repeated length without a previous one", "1 01 00000 00000 0000 100 000 000 100 1 00 0000", false},
		{"reserved type", "1 11 0000000", false},
		{"fixed, end", "1 10 0000000", true},
		{"fixed, literal, end", "1 10 00110000 0000000", true},
		{"fixed, literal, match of 3 at 1", "1 10 00110000 0000001 00000 0000000", true},
		{"fixed, match before the beginning", "1 10 0000001 00000 0000000", false},
		{"fixed, match too far back", "1 10 00110000 0000001 00001 0000000", false},
		{"fixed, length 286", "1 10 00110000 11000110 00000 0000000", false},
		{"fixed, length 287", "1 10 00110000 11000111 00000 0000000", false},
		{"fixed, distance 30", "1 10 00110000 0000001 11110 0000000", false},
		{"fixed, distance 31", "1 10 00110000 0000001 11111 0000000", false},
		{"fixed, length 258 as 227 and 31", "1 10 00110000 11000100 11111 00000 0000000", true},
		{"287 literals and lengths", "1 01 01111 00000 0111", false},
		{"31 distances", "1 01 00000 01111 0111", false},
		{"code for lengths has too many codes", "1 01 00000 00000 0000 100 100 100 000", false},
		{"code for lengths has too few codes", "1 01 00000 00000 0000 010 010 010 000", false},
		{"code for lengths is empty", "1 01 00000 00000 0000 000 000 000 000 0000000", false},
		{"stored, empty", "1 00 00000 0000000000000000 1111111111111111", true},
		{"stored, wrong complement", "1 00 00000 0000000000000000 1111111111111110", false},
		{"stored, empty, not the last", "0 00 00000 0000000000000000 1111111111111111 1 10 0000000", true},
	} {
		in := bitString(tt.bits)
		want, wantErr := io.ReadAll(flate.NewReader(bytes.NewReader(in)))
		require.Equal(t, tt.ok, wantErr == nil, "control: %s: %v", tt.name, wantErr)
		got, _, err := pixels.Inflate(in, 10, 1000)
		if assert.Equal(t, tt.ok, err == nil, "%s: %v", tt.name, err) && tt.ok {
			assert.Equal(t, want, append([]byte{}, got...), tt.name)
		}
	}
}

// A changed bit has the effect that it has for compress/flate.
func TestInflater_Corrupt(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	refuse := 0
	compare := inflaterComparison()
	for _, data := range [][]byte{repeated(300, 2000), repeated(3, 3000), []byte("text text"), samples()["skewed"][:4000]} {
		for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
			in := deflate(t, data, level)
			for range 60 {
				changed := bytes.Clone(in)
				changed[random.IntN(min(len(in), 400))] ^= 1 << random.IntN(8)
				if !compare(t, changed, 777) {
					refuse++
				}
			}
		}
	}
	assert.Positive(t, refuse, "control")
}

// inflaterComparison returns a function that fails the test if the inflater and compress/flate
// do not agree about an input. It returns whether they accept it.
func inflaterComparison() func(t *testing.T, in []byte, piece int) bool {
	const limit = 1 << 14 // bytes of output
	reader := flate.NewReader(nil)
	var b bytes.Buffer
	return func(t *testing.T, in []byte, piece int) bool {
		t.Helper()
		r := bytes.NewReader(in)
		_ = reader.(flate.Resetter).Reset(r, nil)
		b.Reset()
		_, wantErr := io.CopyN(&b, reader, limit+1)
		got, rest, err := pixels.Inflate(in, piece, limit)
		if err == pixels.ErrUnsupported { //nolint:errorlint // faster
			return false
		}
		if b.Len() > limit {
			// The inflater decompresses ahead, and may find an error first.
			if _, wantErr = io.Copy(io.Discard, reader); err != pixels.ErrMore && (err == nil || wantErr == nil) { //nolint:errorlint // faster
				t.Fatalf("error %v instead of too much output, then %v", err, wantErr)
			}
			return true
		}
		if (wantErr == io.EOF) != (err == nil) { //nolint:errorlint // faster for a fuzz test
			t.Fatalf("error %v instead of %v", err, wantErr)
		}
		if err != nil {
			return false
		}
		if !bytes.Equal(b.Bytes(), got) {
			t.Fatalf("the output differs: %d bytes instead of %d", len(got), b.Len())
		}
		if len(rest) != r.Len() {
			t.Fatalf("%d bytes are left instead of %d", len(rest), r.Len())
		}
		return true
	}
}

// The inflater and compress/flate agree about every input. The data is compressed first if
// level is one of package flate.
func FuzzInflater(f *testing.F) {
	const raw = 99
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		for _, data := range [][]byte{repeated(40, 90), repeated(3, 300), repeated(1, 5000), []byte("text text"), {}, samples()["skewed"][:500]} {
			f.Add(deflate(f, data, level), uint16(20), int8(raw))
			f.Add(data, uint16(1000), int8(level))
		}
	}
	compare := inflaterComparison()
	writers := map[int8]*flate.Writer{} // creating one takes longer than the rest
	f.Fuzz(func(t *testing.T, in []byte, piece uint16, level int8) {
		if level >= flate.HuffmanOnly && level <= flate.BestCompression {
			if writers[level] == nil {
				writers[level], _ = flate.NewWriter(nil, int(level))
			}
			var b bytes.Buffer
			writers[level].Reset(&b)
			_, _ = writers[level].Write(in)
			_ = writers[level].Close()
			in = b.Bytes()
		}
		compare(t, in, int(piece)+1)
	})
}
