package pixels_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMutations compares the decoders with the standard library as the fuzz tests do, with
// ZAI_TEST_MUTATIONS inputs for each, 5,000 by default. It does not look for inputs that
// reach new code as fuzzing does, but is ten times as fast.
func TestMutations(t *testing.T) {
	t.Parallel()
	inputs := 5000
	if text := os.Getenv("ZAI_TEST_MUTATIONS"); text != "" {
		var err error
		inputs, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	var jpegs, streams [][]byte
	for _, name := range supportedJPEGs() {
		file := jpegFile(t, name)
		size := bytes.Index(file, []byte("\xff\xc0")) + 5
		require.Greater(t, size, 5, name)
		jpegs = append(jpegs, file)
		for side := byte(8); side <= 24; side += 4 { // fewer pixels take less time
			small := bytes.Clone(file)
			copy(small[size:], []byte{0, side, 0, 32 - side})
			jpegs = append(jpegs, small)
		}
	}
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		for _, data := range [][]byte{repeated(40, 90), repeated(3, 300), repeated(1, 2000), []byte("text text"), samples()["skewed"][:500]} {
			streams = append(streams, deflate(t, data, level))
		}
	}
	pngs := seedPNGs(t)
	for _, tt := range []struct {
		name     string
		seeds    [][]byte
		newCheck func() func(t *testing.T, random *rand.Rand, input []byte)
	}{
		{"ShrinkJPEG", jpegs, func() func(*testing.T, *rand.Rand, []byte) {
			return func(t *testing.T, random *rand.Rand, input []byte) {
				t.Helper()
				compareJPEG(t, input, uint8(1+random.IntN(32)))
			}
		}},
		{"DecodePNG", pngs, func() func(*testing.T, *rand.Rand, []byte) {
			compare := decodePNGComparison()
			return func(t *testing.T, _ *rand.Rand, input []byte) { t.Helper(); compare(t, input) }
		}},
		{"ShrinkPNG", pngs, func() func(*testing.T, *rand.Rand, []byte) {
			compare := shrinkPNGComparison()
			return func(t *testing.T, random *rand.Rand, input []byte) {
				t.Helper()
				compare(t, input, uint8(1+random.IntN(24)))
			}
		}},
		{"Inflater", streams, func() func(*testing.T, *rand.Rand, []byte) {
			compare := inflaterComparison()
			return func(t *testing.T, random *rand.Rand, input []byte) {
				t.Helper()
				compare(t, input, 1+random.IntN(2000))
			}
		}},
	} {
		for worker := range 4 {
			t.Run(fmt.Sprint(tt.name, worker), func(t *testing.T) {
				t.Parallel()
				mutate(t, uint64(worker), inputs/4, tt.seeds, tt.newCheck())
			})
		}
	}
}

// mutate calls check with inputs that are made from seeds. It logs the input that fails.
func mutate(t *testing.T, worker uint64, inputs int, seeds [][]byte, check func(*testing.T, *rand.Rand, []byte)) {
	t.Helper()
	var input []byte
	number := 0
	defer func() {
		if problem := recover(); problem != nil {
			panic(fmt.Sprintf("input %d, %x: %v", number, input, problem))
		}
		if t.Failed() {
			t.Logf("input %d, %x", number, input)
		}
	}()
	for ; number < inputs && !t.Failed(); number++ {
		random := rand.New(rand.NewPCG(worker, uint64(number)))
		input = append(input[:0], seeds[random.IntN(len(seeds))]...)
		for range 1 + random.IntN(4) {
			input = mutated(random, input, seeds)
		}
		check(t, random, input)
	}
}

// mutated changes an input in one place.
func mutated(random *rand.Rand, input []byte, seeds [][]byte) []byte {
	if len(input) == 0 {
		return input
	}
	at := random.IntN(len(input))
	switch random.IntN(8) {
	case 0, 1:
		input[at] ^= 1 << random.IntN(8)
	case 2:
		input[at] = byte(random.Uint32())
	case 3:
		input[at] = []byte{0, 0xff, 0x7f, 0x80}[random.IntN(4)]
	case 4: // remove some bytes
		input = append(input[:at], input[min(at+1+random.IntN(8), len(input)):]...)
	case 5: // repeat some bytes
		some := bytes.Clone(input[at:min(at+1+random.IntN(8), len(input))])
		input = append(input[:at], append(some, input[at:]...)...)
	case 6: // copy some bytes from elsewhere
		from := seeds[random.IntN(len(seeds))]
		from = from[random.IntN(len(from)):]
		copy(input[at:], from[:min(1+random.IntN(32), len(from))])
	default: // truncate
		if random.IntN(8) == 0 {
			input = input[:at]
		}
	}
	return input
}
