package transport

import (
	"bytes"
	"encoding/json"

	"zai-image-mcp/internal/limit"
)

// outline holds the members of a message, found without parsing their values.
type outline struct {
	version, id, method, params, result []byte // as they are written, nil when absent

	ambiguous bool // the message has more than one id
	response  bool // it has a result or an error
	elements  int  // keys and values of all levels, approximately
}

// outlineOf returns the outline of a valid JSON object. It allocates nothing, so
// it also serves for messages that are too large to be parsed: parsing costs
// memory and time for each key and value.
func outlineOf(message []byte) (o outline) {
	depth, start := 0, 0
	var key []byte // of the next value, nil before a key
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

// stringEnd returns the index after the string that begins at start.
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

// add records a top-level member. Keys may contain escapes.
func (o *outline) add(key, value []byte) {
	const longest = len(`"\u006d\u0065\u0074\u0068\u006f\u0064"`)
	if len(key) > longest {
		return
	}
	name := key[1 : len(key)-1]
	if bytes.IndexByte(name, '\\') >= 0 && o.elements <= limit.MaxElements {
		var unescaped string
		_ = json.Unmarshal(key, &unescaped) // it is valid, as the message is
		name = []byte(unescaped)
	}
	switch string(name) {
	case "jsonrpc":
		o.version = value
	case "id":
		o.ambiguous = o.id != nil
		o.id = value
	case "method":
		o.method = value
	case "params":
		o.params = value
	case "result":
		o.response, o.result = true, value
	case "error":
		o.response = true
	}
}
