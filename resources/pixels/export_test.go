package pixels

import (
	"errors"
	"io"
	"slices"
)

// Paeth is the predictor of the Paeth filter.
var Paeth = paeth

// ErrMore means that there is more output than expected.
var ErrMore = errMore

// Inflate decompresses DEFLATE that becomes at most limit bytes, in pieces of piece bytes. It
// returns the input after the compressed data as well.
func Inflate(in []byte, piece, limit int) (out, rest []byte, err error) {
	f := newInflater(slices.Clip(in), piece, limit)
	for len(out) < limit {
		b, err := f.next(min(piece, limit-len(out)))
		if errors.Is(err, io.ErrUnexpectedEOF) {
			b, _ = f.next(f.n - f.read)
			out = append(out, b...)
			break
		}
		if err != nil {
			return out, nil, err
		}
		out = append(out, b...)
	}
	rest, err = f.rest()
	return out, rest, err
}
