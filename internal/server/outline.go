package server

import (
	"bytes"
	"encoding/json"
)

// maxElements bounds the keys and values of one message. Parsing costs memory
// and time for each of them, and no call to this server needs more than some
// hundred.
const maxElements = 10_000

// outline is what a message consists of, found without parsing its values.
type outline struct {
	id, method, params []byte // as they are written, nil when absent
	ambiguous          bool   // there is more than one id
	response           bool   // there is a result or an error
	elements           int    // keys and values in all levels, about
}

// outlineOf reads the outline of a valid JSON object. It allocates nothing, so
// that it can look at messages which are too large to be parsed.
func outlineOf(message []byte) (o outline) {
	depth, start := 0, 0
	var key []byte // whose value comes, nil while a key comes
	for i := 0; i < len(message); i++ {
		switch message[i] {
		case '"':
			end := stringEnd(message, i)
			if depth == 1 && key == nil {
				key = message[i:end]
			}
			i = end - 1
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 && key != nil {
				o.add(key, message[start:i])
			}
			continue
		case ',':
			if depth == 1 {
				o.add(key, message[start:i])
				key = nil
			}
		case ':':
			if depth == 1 {
				start = i + 1
			}
		default:
			continue
		}
		o.elements++
	}
	return o
}

// stringEnd returns the index behind a string that begins at start.
func stringEnd(message []byte, start int) int {
	for i := start + 1; i < len(message); i++ {
		switch message[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(message)
}

// add takes note of a top-level member. Keys may be written with escapes.
func (o *outline) add(key, value []byte) {
	const longest = len(`"\u006d\u0065\u0074\u0068\u006f\u0064"`)
	if len(key) > longest {
		return
	}
	name := key[1 : len(key)-1]
	if bytes.IndexByte(name, '\\') >= 0 && o.elements <= maxElements {
		var unescaped string
		_ = json.Unmarshal(key, &unescaped) // it is valid, as the message is
		name = []byte(unescaped)
	}
	switch string(name) {
	case "id":
		o.ambiguous = o.id != nil
		o.id = value
	case "method":
		o.method = value
	case "params":
		o.params = value
	case "result", "error":
		o.response = true
	}
}
