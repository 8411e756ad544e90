package hostconfig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// utf8BOM is the byte order mark that some editors on Windows write at the
// start of a file.
const utf8BOM = "\ufeff"

// readJSON parses JSON with comments and trailing commas.
func readJSON(config []byte) (map[string]any, error) {
	standard, err := hujson.Standardize(bytes.Clone(bytes.TrimPrefix(config, []byte(utf8BOM))))
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

// patchJSON sets this server's entry in the object at the path servers. It
// creates missing objects and keeps everything else byte for byte.
func patchJSON(config []byte, servers []string, entry map[string]any, order object) ([]byte, error) {
	value, err := hujson.Parse(bytes.Clone(config))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	added, err := marshalOrdered(entry, order, len(servers)+1)
	if err != nil {
		return nil, err
	}
	path := append(slices.Clone(servers), ServerName)
	for len(path) > 1 && isMissing(value.Find(pointer(path[:len(path)-1]))) {
		added = fmt.Appendf(nil, "{%q: %s}", path[len(path)-1], added)
		path = path[:len(path)-1]
	}
	patch := fmt.Appendf(nil, `[{"op":"add","path":%q,"value":%s}]`, pointer(path), added)
	if err := value.Patch(patch); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	alignLast(value.Find(pointer(servers)), ServerName)
	return value.Pack(), nil
}

// pointer returns the JSON pointer (RFC 6901) of a path. The field names of all
// hosts can be used without escapes.
func pointer(path []string) string {
	if len(path) == 0 {
		return ""
	}
	return "/" + strings.Join(path, "/")
}

// isMissing reports whether a value does not exist or is null.
func isMissing(value *hujson.Value) bool { return value == nil || value.Value.Kind() == 'n' }

// alignLast puts the last member of an object on a new line if it has the given
// name and the member before it begins on a new line.
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
