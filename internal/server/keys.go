package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Two readers must not understand a message differently: a gateway may look at
// the first of two equal keys where encoding/json takes the last, and does not
// know METHOD where encoding/json takes it for method.

// names are the keys that are read of a message and of its params.
func names(depth int) []string {
	if depth == 1 {
		return []string{"jsonrpc", "id", "method", "params", "result", "error"}
	}
	return []string{
		"_meta", "name", "arguments", "uri", "cursor", "requestId", "protocolVersion", "capabilities", "clientInfo", "ref", "argument",
		"notifications",
	}
}

// level is an object or array that a reader is in.
type level struct {
	keys     map[string]bool // of an object, nil for an array
	key      string          // whose value comes
	isValue  bool            // a value comes, not a key
	inParams bool
}

// checkKeys says what is wrong with a message that has a key twice in one
// object, or a key of the protocol in other letters, and "" for others. The
// message is known to be JSON, and to have no more than maxElements.
func checkKeys(line []byte) string {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var stack []*level
	for {
		token, err := d.Token()
		if err != nil {
			return "" // the end
		}
		var top *level
		if len(stack) > 0 {
			top = stack[len(stack)-1]
		}
		if key, ok := token.(string); ok && top != nil && top.keys != nil && !top.isValue {
			if problem := top.add(key, len(stack)); problem != "" {
				return problem
			}
			continue
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			next := &level{inParams: top != nil && len(stack) == 1 && top.key == "params"}
			if token == json.Delim('{') {
				next.keys = map[string]bool{}
			}
			stack = append(stack, next)
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
		if len(stack) > 0 {
			stack[len(stack)-1].isValue = false
		}
	}
}

func (l *level) add(key string, depth int) (problem string) {
	if l.keys[key] {
		return fmt.Sprintf("Invalid request: the key %q is there twice", clip(key))
	}
	if depth == 1 || l.inParams {
		for _, name := range names(depth) {
			if key != name && strings.EqualFold(key, name) {
				return fmt.Sprintf("Invalid request: the key %q has to be written %q", clip(key), name)
			}
		}
	}
	l.keys[key] = true
	l.key, l.isValue = key, true
	return ""
}
