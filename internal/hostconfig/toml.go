package hostconfig

import (
	"bytes"
	"fmt"
	"maps"
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

// patchTOML replaces the tables of this server, or appends them: TOML lets a
// table stand anywhere. All other lines stay byte for byte, also where their
// ends differ. Other ways to write an entry, such as inline tables, are not
// handled here; Merge detects them when it reads the result.
func patchTOML(config []byte, key string, entry map[string]any) ([]byte, error) {
	text, err := toml.Marshal(map[string]any{key: map[string]any{ServerName: entry}})
	if err != nil {
		return nil, err
	}
	// Of the empty parent table nothing is needed.
	text = bytes.TrimPrefix(text, fmt.Appendf(nil, "[%s]\n", key))
	end := lineEnd(config)
	text = bytes.ReplaceAll(text, []byte("\n"), []byte(end))
	var kept []string
	ours, at := false, -1
	for line := range strings.Lines(string(config)) {
		if name, ok := tableName(line); ok {
			ours = name == key+"."+ServerName || strings.HasPrefix(name, key+"."+ServerName+".")
		}
		bare := strings.TrimSpace(line)
		switch {
		case !ours || at >= 0 && (bare == "" || strings.HasPrefix(bare, "#")):
			kept = append(kept, line) // comments stay, whatever they belong to
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

// lineEnd returns how most lines of a text end.
func lineEnd(text []byte) string {
	if windows := bytes.Count(text, []byte("\r\n")); 2*windows > bytes.Count(text, []byte("\n")) {
		return "\r\n"
	}
	return "\n"
}

// tableName reads a line that begins a table. Names with quotes are not this
// server's.
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

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
