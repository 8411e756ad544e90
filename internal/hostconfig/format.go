package hostconfig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// read parses a configuration.
func (h Host) read(config []byte) (map[string]any, error) {
	if h.toml {
		return readTOML(config)
	}
	return readJSON(config)
}

// write returns a configuration in which this server's entry is added or
// replaced.
func (h Host) write(config []byte, entry map[string]any) ([]byte, error) {
	if h.toml {
		return patchTOML(config, h.servers[0], entry)
	}
	before, err := readJSON(config)
	if err != nil {
		return nil, err
	}
	text, hasBOM := bytes.CutPrefix(config, []byte(utf8BOM))
	text, err = patchJSON(text, h.servers, entry, h.entry(Server{}))
	if err == nil && h.lacksInput(before, entry) {
		text, err = addInput(text)
	}
	if n := bytes.Count(config, []byte("\n")); n > 0 && n == bytes.Count(config, []byte("\r\n")) {
		text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	}
	if err == nil && hasBOM {
		text = append([]byte(utf8BOM), text...)
	}
	return text, err
}

// render returns a new configuration that contains only this server.
func (h Host) render(s Server) ([]byte, error) {
	entry, err := h.mergeEntry(nil, s)
	if err != nil {
		return nil, err
	}
	if h.toml {
		return patchTOML(nil, h.servers[0], entry)
	}
	text, err := marshalOrdered(entry, h.entry(s), len(h.servers)+1)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("{\n")
	if h.lacksInput(nil, entry) {
		input, err := json.Marshal(keyInput())
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "  \"inputs\": [%s],\n", input)
	}
	for depth, name := range h.servers {
		fmt.Fprintf(&b, "%s%q: {\n", indent(depth+1), name)
	}
	fmt.Fprintf(&b, "%s%q: %s\n", indent(len(h.servers)+1), ServerName, text)
	for depth := len(h.servers); depth >= 0; depth-- {
		fmt.Fprintf(&b, "%s}\n", indent(depth))
	}
	return b.Bytes(), nil
}

// indent returns the indentation of a JSON field at a nesting depth.
func indent(depth int) string { return strings.Repeat("  ", depth) }

// object is a JSON object with ordered fields, for files that people read.
type object []field

type field struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteString("{")
	for i, f := range o {
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "%q:%s", f.name, value)
	}
	b.WriteString("}")
	return []byte(b.String()), nil
}

// marshalOrdered returns an entry as JSON, indented for a nesting depth. Fields
// that order names come first, in its order.
func marshalOrdered(entry map[string]any, order object, depth int) ([]byte, error) {
	var fields object
	seen := map[string]bool{}
	for _, f := range order {
		if value, exists := entry[f.name]; exists {
			fields, seen[f.name] = append(fields, field{f.name, value}), true
		}
	}
	for _, name := range sortedKeys(entry) {
		if !seen[name] {
			fields = append(fields, field{name, entry[name]})
		}
	}
	return json.MarshalIndent(fields, indent(depth), "  ")
}
