package hostconfig

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

func readTOML(config []byte) (map[string]any, error) {
	var all map[string]any
	if err := toml.Unmarshal(config, &all); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return all, nil
}

// patchTOML replaces the tables of this server or appends them; TOML allows
// tables in any order. All other lines stay byte for byte the same, even in a
// file with mixed line endings. It does not handle entries in other forms, like
// inline tables; Merge detects those by parsing the result.
func patchTOML(config []byte, servers string, entry map[string]any) ([]byte, error) {
	text, err := toml.Marshal(map[string]any{servers: map[string]any{ServerName: entry}})
	if err != nil {
		return nil, err
	}
	text = bytes.TrimPrefix(text, fmt.Appendf(nil, "[%s]\n", servers)) // the parent table needs no header
	end := lineEnd(config)
	text = bytes.ReplaceAll(text, []byte("\n"), []byte(end))
	var kept []string
	inEntry, at := false, -1 // at is the index in kept where the entry began
	for line := range strings.Lines(string(config)) {
		if name, ok := tableName(line); ok {
			inEntry = name == servers+"."+ServerName || strings.HasPrefix(name, servers+"."+ServerName+".")
		}
		bare := strings.TrimSpace(line)
		switch {
		case !inEntry || at >= 0 && (bare == "" || strings.HasPrefix(bare, "#")):
			kept = append(kept, line) // comments are kept, even within the entry
		case at < 0:
			at = len(kept)
		}
	}
	if at < 0 {
		if n := len(kept); n > 0 && !strings.HasSuffix(kept[n-1], "\n") {
			kept[n-1] += end
		}
		if len(kept) > 0 {
			kept = append(kept, end)
		}
		at = len(kept)
	}
	return []byte(strings.Join(slices.Insert(kept, at, string(text)), "")), nil
}

// lineEnd returns the line ending of most lines of a text.
func lineEnd(text []byte) string {
	if crlf := bytes.Count(text, []byte("\r\n")); 2*crlf > bytes.Count(text, []byte("\n")) {
		return "\r\n"
	}
	return "\n"
}

// tableName returns the name in a table header, and false for other lines. It
// does not parse quoted names, which this package never writes.
func tableName(line string) (string, bool) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "[") {
		return "", false
	}
	name, _, found := strings.Cut(strings.TrimLeft(line, "["), "]")
	if !found {
		return "", false
	}
	parts := strings.Split(name, ".")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return strings.Join(parts, "."), true
}
