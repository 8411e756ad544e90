package pixels

// Inflate decompresses DEFLATE that becomes at most limit bytes, in pieces of
// size bytes. It returns the input after it as well.
func Inflate(in []byte, size, limit int) (out, rest []byte, err error) {
	f := newInflater(in, size)
	for {
		b, err := f.next(min(size, limit-len(out)))
		if err != nil || len(out) == limit {
			break
		}
		out = append(out, b...)
	}
	if n := f.n - f.read; n > 0 && n < size { // an incomplete piece
		b, _ := f.next(min(n, limit-len(out)))
		out = append(out, b...)
	}
	rest, err = f.rest()
	return out, rest, err
}
var NewInflater = newInflater
func (f *inflater) Next(n int) ([]byte, error) { return f.next(n) }
func (f *inflater) Rest() ([]byte, error) { return f.rest() }
