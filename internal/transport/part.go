package transport

import (
	"bufio"
	"encoding/base64"
	"io"
)

// part is a piece of a message.
type part interface {
	// size returns how many bytes the part has in the message.
	size() int
	writeTo(w *bufio.Writer) error
}

// text is a part that is written as it is.
type text []byte

func (t text) size() int { return len(t) }

func (t text) writeTo(w *bufio.Writer) error {
	_, err := w.Write(t)
	return err
}

// encoded is a part that is written as base64. It is encoded piece by piece into
// the buffer of the writer, so its base64 is never in memory as a whole.
type encoded []byte

func (e encoded) size() int { return base64.StdEncoding.EncodedLen(len(e)) }

func (e encoded) writeTo(w *bufio.Writer) error {
	table := newPairs()
	for rest := []byte(e); len(rest) > 0; {
		const in, out = 3, 4 // only groups of 3 bytes have no padding
		if w.Available() < out {
			if err := w.Flush(); err != nil {
				return err
			}
		}
		n := min(len(rest), w.Available()/out*in)
		if _, err := w.Write(table.appendBase64(w.AvailableBuffer(), rest[:n])); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

func sizeOf(parts []part) int {
	size := 0
	for _, p := range parts {
		size += p.size()
	}
	return size
}

// writeParts writes a message: a small one at once, and base64 in pieces of 64 KiB, the
// size of a pipe.
func writeParts(w io.Writer, parts ...part) error {
	const piece = 64 << 10
	buffered := bufio.NewWriterSize(w, min(sizeOf(parts), piece))
	for _, p := range parts {
		if err := p.writeTo(buffered); err != nil {
			return err
		}
	}
	return buffered.Flush()
}
