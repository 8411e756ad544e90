package hostconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// Merged is what became of a configuration.
type Merged struct {
	Text    []byte
	Changed bool
	Was     string // the entry that stood there before, "" for none
}

// ErrForm says that a configuration cannot be read, so nothing can be put into
// it.
var ErrForm = errors.New("the file cannot be read as what it should be")

// Entry is a whole configuration that holds this server alone.
func (c Client) Entry(s Server) (string, error) {
	m, err := c.Merge(nil, s)
	return string(m.Text), err
}

// Merge puts the server into a configuration, which is empty or nil when there
// is none. Whatever else is there stays byte for byte, comments included.
func (c Client) Merge(config []byte, s Server) (Merged, error) {
	if c.toml {
		return c.mergeTOML(config, s)
	}
	return c.mergeJSON(config, s)
}

func (c Client) mergeJSON(config []byte, s Server) (Merged, error) {
	entry, err := json.MarshalIndent(c.entry(s), "    ", "  ")
	if err != nil {
		return Merged{}, err
	}
	if len(bytes.TrimSpace(config)) == 0 {
		return Merged{Text: fmt.Appendf(nil, "{\n  %q: {\n    %q: %s\n  }\n}\n", c.key, ServerName, entry), Changed: true}, nil
	}
	value, err := hujson.Parse(config)
	if err != nil {
		return Merged{}, fmt.Errorf("%w: %w", ErrForm, err)
	}
	if _, ok := value.Value.(*hujson.Object); !ok {
		return Merged{}, fmt.Errorf("%w: it is not a JSON object", ErrForm)
	}
	var m Merged
	servers, path := value.Find("/"+c.key), "/"+c.key+"/"+ServerName
	if servers != nil {
		if _, ok := servers.Value.(*hujson.Object); !ok {
			return Merged{}, fmt.Errorf("%w: %q is not a JSON object", ErrForm, c.key)
		}
		if old := value.Find(path); old != nil {
			m.Was = string(bytes.TrimSpace(old.Pack()))
			if sameJSON(old.Clone(), entry) {
				return Merged{Text: config, Was: m.Was}, nil
			}
		}
	}
	var patch []byte
	if servers == nil {
		patch = fmt.Appendf(nil, `[{"op":"add","path":%q,"value":{%q: %s}}]`, "/"+c.key, ServerName, entry)
	} else {
		patch = fmt.Appendf(nil, `[{"op":"add","path":%q,"value":%s}]`, path, entry)
	}
	if err := value.Patch(patch); err != nil {
		return Merged{}, fmt.Errorf("%w: %w", ErrForm, err)
	}
	m.Text, m.Changed = value.Pack(), true
	return m, nil
}

// sameJSON compares without regard to order and white space.
func sameJSON(old hujson.Value, entry []byte) bool {
	old.Standardize()
	var a, b any
	if json.Unmarshal(old.Pack(), &a) != nil || json.Unmarshal(entry, &b) != nil {
		return false
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// mergeTOML replaces the tables of this server, or appends them. TOML lets a
// table stand anywhere.
func (c Client) mergeTOML(config []byte, s Server) (Merged, error) {
	text := strings.ReplaceAll(string(config), "\r\n", "\n")
	if err := checkTOML(text); err != nil {
		return Merged{}, fmt.Errorf("%w: %w", ErrForm, err)
	}
	table := fmt.Sprintf("%s.%s", c.key, ServerName)
	var kept, was []string
	ours, at := false, -1
	for line := range strings.Lines(text) {
		if name, ok := tableName(line); ok {
			ours = name == table || strings.HasPrefix(name, table+".")
		}
		switch {
		case !ours:
			kept = append(kept, line)
		case at < 0:
			at = len(kept)
			fallthrough
		default:
			was = append(was, line)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[%s]\ncommand = %s\nargs = %s\nenv = { %s }\ntool_timeout_sec = 120\n", table, quote(s.Command), quoteAll(s.Args), envTOML(s.env()))
	entry := b.String()
	m := Merged{Was: strings.TrimSpace(strings.Join(was, ""))}
	if m.Was == strings.TrimSpace(entry) {
		m.Text = config
		return m, nil
	}
	if at < 0 {
		if rest := strings.Join(kept, ""); rest != "" {
			kept = append(kept, strings.Repeat("\n", 2-min(1, strings.Count(rest[len(rest)-1:], "\n"))))
		}
		at = len(kept)
	} else if at < len(kept) {
		entry += "\n"
	}
	m.Text, m.Changed = []byte(strings.Join(slices.Insert(kept, at, entry), "")), true
	return m, nil
}

// tableName reads a line that begins a table.
func tableName(line string) (string, bool) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "[") {
		return "", false
	}
	name, _, found := strings.Cut(strings.TrimLeft(line, "["), "]")
	if !found {
		return "", false
	}
	var parts []string
	for part := range strings.SplitSeq(name, ".") {
		parts = append(parts, strings.Trim(strings.TrimSpace(part), `"'`))
	}
	return strings.Join(parts, "."), true
}

// quote writes a TOML string. JSON's escapes are among TOML's.
func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		return `""`
	}
	return string(b)
}

func quoteAll(list []string) string {
	quoted := make([]string, 0, len(list))
	for _, text := range list {
		quoted = append(quoted, quote(text))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func envTOML(env map[string]string) string {
	var parts []string
	for name, value := range env {
		parts = append(parts, quote(name)+" = "+quote(value))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// Has reports whether a configuration has an entry for this server.
func (c Client) Has(config []byte) (bool, error) {
	if len(bytes.TrimSpace(config)) == 0 {
		return false, nil
	}
	m, err := c.Merge(config, Server{})
	return m.Was != "", err
}
