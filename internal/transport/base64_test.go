package transport

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The own encoder writes what encoding/base64 does, after what is there, and
// nothing beyond it.
func FuzzAppendBase64(f *testing.F) {
	for n := range 20 {
		f.Add([]byte("\x00\xff\x10\x83abcdefghijklmnop\xfb\xf0")[:n])
	}
	table := newPairs()
	f.Fuzz(func(t *testing.T, data []byte) {
		buffer := make([]byte, 0, 1+base64.StdEncoding.EncodedLen(len(data))+1)
		buffer = append(buffer, '<')
		got := table.appendBase64(buffer, data)
		assert.Equal(t, base64.StdEncoding.AppendEncode([]byte("<"), data), got)
		assert.Zero(t, got[:cap(got)][len(got)])
	})
}

func BenchmarkBase64(b *testing.B) {
	data, out, table := make([]byte, 48<<10), make([]byte, 0, 64<<10), newPairs()
	for name, encode := range map[string]func(dst, src []byte) []byte{"own": table.appendBase64, "encoding/base64": base64.StdEncoding.AppendEncode} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				encode(out, data)
			}
		})
	}
}
