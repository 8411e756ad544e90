// Package hostconfig knows where MCP hosts keep their configuration and in
// which form, and puts this server into it without touching anything else.
package hostconfig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// ServerName is the name of the entry.
const ServerName = "zai-image"

// Machine is what decides where files lie.
type Machine struct {
	OS   string // as runtime.GOOS
	Home string
	Env  func(string) string
	// Glob finds files as filepath.Glob does; nil finds none.
	Glob func(pattern string) ([]string, error)
}

// Client is one host.
type Client struct {
	Name  string
	file  func(Machine) string
	key   string // the object that holds servers
	env   string // the field of an entry that holds its environment
	entry func(Server) object
	toml  bool
	// inputs: the host can ask for the key itself.
	inputs bool
}

func (c Client) read(config []byte) (map[string]any, error) {
	if c.toml {
		return readTOML(config)
	}
	return readJSON(config)
}

func (c Client) write(config []byte, entry map[string]any) ([]byte, error) {
	if c.toml {
		return patchTOML(config, c.key, entry)
	}
	before, err := readJSON(config)
	if err != nil {
		return nil, err
	}
	plain, marked := bytes.CutPrefix(config, []byte(mark))
	text, err := patchJSON(plain, c.key, entry, c.entry(Server{}))
	if err == nil && c.lacksInput(before, entry) {
		text, err = addInput(text)
	}
	if n := bytes.Count(config, []byte("\n")); n > 0 && n == bytes.Count(config, []byte("\r\n")) {
		text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	}
	if err == nil && marked {
		text = append([]byte(mark), text...)
	}
	return text, err
}

// whole is a configuration with nothing else in it.
func (c Client) whole(s Server) ([]byte, error) {
	entry, err := c.wanted(nil, s)
	if err != nil {
		return nil, err
	}
	if c.toml {
		return patchTOML(nil, c.key, entry)
	}
	text, err := inOrder(entry, c.entry(s))
	if err != nil {
		return nil, err
	}
	inputs := ""
	if c.lacksInput(nil, entry) {
		input, err := json.Marshal(keyInput())
		if err != nil {
			return nil, err
		}
		inputs = fmt.Sprintf("  \"inputs\": [%s],\n", input)
	}
	return fmt.Appendf(nil, "{\n%s  %q: {\n    %q: %s\n  }\n}\n", inputs, c.key, ServerName, text), nil
}

// object keeps the order of fields, for files that people read.
type object []field

type field struct {
	name  string
	value any
}

// MarshalJSON writes the fields in their order.
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

// clients is the table. Sources: each host's own documentation of its MCP
// configuration.
func clients() []Client {
	inHome := func(parts ...string) func(Machine) string {
		return func(m Machine) string { return filepath.Join(append([]string{m.Home}, parts...)...) }
	}
	return []Client{
		{Name: "claude-desktop", key: "mcpServers", env: "env", entry: stdio, file: claudeDesktop},
		{Name: "claude-code", key: "mcpServers", env: "env", entry: typedStdio, file: func(m Machine) string {
			if dir := m.Env("CLAUDE_CONFIG_DIR"); dir != "" {
				return filepath.Join(dir, ".claude.json")
			}
			return filepath.Join(m.Home, ".claude.json")
		}},
		{Name: "vscode", key: "servers", env: "env", entry: vscode, inputs: true, file: func(m Machine) string { return appData(m, "Code", "User", "mcp.json") }},
		{Name: "cursor", key: "mcpServers", env: "env", entry: stdio, file: inHome(".cursor", "mcp.json")},
		{Name: "codex", key: "mcp_servers", env: "env", entry: stdio, toml: true, file: func(m Machine) string {
			if home := m.Env("CODEX_HOME"); home != "" {
				return filepath.Join(home, "config.toml")
			}
			return filepath.Join(m.Home, ".codex", "config.toml")
		}},
		{Name: "gemini", key: "mcpServers", env: "env", entry: stdio, file: inHome(".gemini", "settings.json")},
		{Name: "opencode", key: "mcp", env: "environment", entry: opencode, file: opencodeFile},
	}
}

// claudeDesktop is in its package's own folder where it is installed as MSIX,
// as the installer for Windows does since February 2026.
func claudeDesktop(m Machine) string {
	const name = "claude_desktop_config.json"
	if local := m.Env("LOCALAPPDATA"); m.OS == "windows" && local != "" && m.Glob != nil {
		found, err := m.Glob(filepath.Join(local, "Packages", "Claude_*", "LocalCache", "Roaming", "Claude"))
		if err == nil && len(found) > 0 {
			return filepath.Join(found[0], name)
		}
	}
	return appData(m, "Claude", name)
}

// opencodeFile is the one of two that opencode reads last, if it is there.
func opencodeFile(m Machine) string {
	folder := filepath.Join(m.Home, ".config", "opencode")
	if config := m.Env("XDG_CONFIG_HOME"); config != "" {
		folder = filepath.Join(config, "opencode")
	}
	commented := filepath.Join(folder, "opencode.jsonc")
	if m.Glob != nil {
		if found, err := m.Glob(commented); err == nil && len(found) > 0 {
			return commented
		}
	}
	return filepath.Join(folder, "opencode.json")
}

// appData is where desktop programs keep their settings.
func appData(m Machine, parts ...string) string {
	base := filepath.Join(m.Home, ".config")
	switch m.OS {
	case "darwin":
		base = filepath.Join(m.Home, "Library", "Application Support")
	case "windows":
		if base = m.Env("APPDATA"); base == "" {
			base = filepath.Join(m.Home, "AppData", "Roaming")
		}
	default:
		if config := m.Env("XDG_CONFIG_HOME"); config != "" {
			base = config
		}
	}
	return filepath.Join(append([]string{base}, parts...)...)
}

// Names are the clients that Find knows.
func Names() (names []string) {
	for _, c := range clients() {
		names = append(names, c.Name)
	}
	return names
}

// Find looks a client up by its name.
func Find(name string) (Client, error) {
	list := clients()
	at := slices.IndexFunc(list, func(c Client) bool { return c.Name == name })
	if at < 0 {
		return Client{}, fmt.Errorf("unknown client %q", name)
	}
	return list[at], nil
}

// File is where the client keeps its servers on this machine.
func (c Client) File(m Machine) string { return c.file(m) }
