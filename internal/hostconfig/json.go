package hostconfig

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tailscale/hujson"
)

// mark is what some editors on Windows begin a file with.
const mark = "\ufeff"

func readJSON(config []byte) (map[string]any, error) {
	standard, err := hujson.Standardize(bytes.Clone(bytes.TrimPrefix(config, []byte(mark))))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(standard))
	decoder.UseNumber()
	var all map[string]any
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return all, nil
}

// patchJSON replaces one entry of a JSON file with comments.
func patchJSON(config []byte, key string, entry map[string]any, ordered any) ([]byte, error) {
	value, err := hujson.Parse(bytes.Clone(config))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	text, err := inOrder(entry, ordered)
	if err != nil {
		return nil, err
	}
	patch := fmt.Appendf(nil, `[{"op":"add","path":"/%s/%s","value":%s}]`, key, ServerName, text)
	if servers := value.Find("/" + key); servers == nil || servers.Value.Kind() == 'n' {
		patch = fmt.Appendf(nil, `[{"op":"add","path":"/%s","value":{%q: %s}}]`, key, ServerName, text)
	}
	if err := value.Patch(patch); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	alignLast(value.Find("/"+key), ServerName)
	return value.Pack(), nil
}

// alignLast puts the last member of an object, if it has this name, on a line
// of its own, where the one before it has one.
func alignLast(value *hujson.Value, name string) {
	object, ok := value.Value.(*hujson.Object)
	if !ok || len(object.Members) < 2 {
		return
	}
	last := &object.Members[len(object.Members)-1].Name
	if literal, ok := last.Value.(hujson.Literal); !ok || literal.String() != name {
		return
	}
	before := object.Members[len(object.Members)-2].Name.BeforeExtra
	if at := bytes.LastIndexByte(before, '\n'); at >= 0 && !bytes.Contains(last.BeforeExtra, []byte("\n")) {
		last.BeforeExtra = append(last.BeforeExtra, bytes.Clone(before[at:])...)
	}
}

// inOrder writes an entry with this program's fields first, in their order.
func inOrder(entry map[string]any, ordered any) ([]byte, error) {
	var fields object
	seen := map[string]bool{}
	if ours, ok := ordered.(object); ok {
		for _, f := range ours {
			if value, there := entry[f.name]; there {
				fields, seen[f.name] = append(fields, field{f.name, value}), true
			}
		}
	}
	for _, name := range sortedKeys(entry) {
		if !seen[name] {
			fields = append(fields, field{name, entry[name]})
		}
	}
	return json.MarshalIndent(fields, "    ", "  ")
}
