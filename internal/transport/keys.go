package transport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"zai-image-mcp/internal/limit"
)

// A gateway and this server must parse a message alike: with duplicate keys one
// may take the first and the other the last, and encoding/json also matches
// METHOD as method. A decoder that refuses duplicates is not enough: keys in the
// wrong case must be refused too, because mcp-go matches them.

// knownKeys returns the keys that the server reads from a message (depth 1) and
// from its params (depth 2).
func knownKeys(depth int) []string {
	if depth == 1 {
		return []string{"jsonrpc", "id", "method", "params", "result", "error"}
	}
	return []string{
		"_meta", "name", "arguments", "uri", "cursor", "requestId", "protocolVersion", "capabilities", "clientInfo", "ref", "argument",
		"notifications",
	}
}

// level is an object or array around the current token.
type level struct {
	keys     map[string]bool // of an object, nil for an array
	key      string          // of the next value
	isValue  bool            // the next token is a value, not a key
	inParams bool
}

// checkKeys describes a key that occurs twice in one object, or a key of the
// protocol in the wrong case; it returns "" without such a key. The message
// must be valid JSON with at most limit.MaxElements.
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
		return fmt.Sprintf("Invalid request: the key %q is there twice", limit.Clip(key))
	}
	if depth == 1 || l.inParams {
		for _, name := range knownKeys(depth) {
			if key != name && strings.EqualFold(key, name) {
				return fmt.Sprintf("Invalid request: the key %q has to be written %q", limit.Clip(key), name)
			}
		}
	}
	l.keys[key] = true
	l.key, l.isValue = key, true
	return ""
}
