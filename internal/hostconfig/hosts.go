package hostconfig

import (
	"fmt"
	"path/filepath"
	"slices"
)

// ServerName is the name of this server's entry.
const ServerName = "zai-image"

// Machine holds what the locations of configuration files depend on.
type Machine struct {
	OS   string // a value of runtime.GOOS
	Home string // the user's home folder
	Env  func(string) string
	// Glob returns matching files as filepath.Glob does. If it is nil, no file
	// matches.
	Glob func(pattern string) ([]string, error)
}

// Host is an MCP host.
type Host struct {
	Name    string
	file    func(Machine) string
	servers []string // path from the root to the object with the servers
	env     string   // name of an entry's field for its environment
	entry   func(Server) object
	toml    bool
	inputs  bool // the host can prompt for the key

	// ReplacesWorkspace reports whether the host replaces Workspace in File.
	ReplacesWorkspace bool
	// ProjectFile is the configuration file in a project's folder, if the host
	// replaces Workspace in that file and not in File.
	ProjectFile string
}

// hosts is the table of hosts. Sources: each host's own documentation of its
// MCP configuration.
func hosts() []Host {
	return []Host{
		{Name: "claude-desktop", servers: []string{"mcpServers"}, env: "env", entry: stdio, file: claudeDesktopFile},
		{Name: "claude-code", servers: []string{"mcpServers"}, env: "env", entry: typedStdio, file: inFolder("CLAUDE_CONFIG_DIR", "", ".claude.json")},
		{Name: "vscode", servers: []string{"servers"}, env: "env", entry: vscode, inputs: true, ProjectFile: ".vscode/mcp.json", file: func(m Machine) string {
			return appData(m, "Code", "User", "mcp.json")
		}},
		{Name: "cursor", servers: []string{"mcpServers"}, env: "env", entry: stdio, ReplacesWorkspace: true, file: inHome(".cursor", "mcp.json")},
		{Name: "codex", servers: []string{"mcp_servers"}, env: "env", entry: stdio, toml: true, file: inFolder("CODEX_HOME", ".codex", "config.toml")},
		{Name: "gemini", servers: []string{"mcpServers"}, env: "env", entry: stdio, file: inHome(".gemini", "settings.json")},
		{Name: "opencode", servers: []string{"mcp"}, env: "environment", entry: opencode, file: opencodeFile},
		// ZCode drops entries with fields that it does not define (https://zcode.z.ai/en/docs/mcp-services).
		{Name: "zcode", servers: []string{"mcp", "servers"}, env: "env", entry: stdio, file: inHome(".zcode", "cli", "config.json")},
		// https://docs.github.com/en/copilot/how-tos/copilot-cli/customize-copilot/add-mcp-servers
		{Name: "copilot-cli", servers: []string{"mcpServers"}, env: "env", entry: copilot, file: inFolder("COPILOT_HOME", ".copilot", "mcp-config.json")},
	}
}

// inHome returns a function for a file at a path below the home folder.
func inHome(parts ...string) func(Machine) string {
	return func(m Machine) string { return filepath.Join(append([]string{m.Home}, parts...)...) }
}

// inFolder returns a function for a file in the folder that an environment
// variable names or, if it is not set, in a folder below the home folder.
func inFolder(variable, folder, name string) func(Machine) string {
	return func(m Machine) string {
		if dir := m.Env(variable); dir != "" {
			return filepath.Join(dir, name)
		}
		return filepath.Join(m.Home, folder, name)
	}
}

// claudeDesktopFile returns the file of Claude Desktop. If Claude Desktop is
// installed as an MSIX package, as its Windows installer does since February
// 2026, the file is in the package's own folder.
func claudeDesktopFile(m Machine) string {
	const name = "claude_desktop_config.json"
	if local := m.Env("LOCALAPPDATA"); m.OS == "windows" && local != "" && m.Glob != nil {
		found, err := m.Glob(filepath.Join(local, "Packages", "Claude_*", "LocalCache", "Roaming", "Claude"))
		if err == nil && len(found) > 0 {
			return filepath.Join(found[0], name)
		}
	}
	return appData(m, "Claude", name)
}

// opencodeFile returns opencode.jsonc if that exists, because opencode reads it
// after opencode.json.
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

// appData returns a path below the folder for the settings of desktop programs.
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

// Names returns the names that Find accepts.
func Names() (names []string) {
	for _, h := range hosts() {
		names = append(names, h.Name)
	}
	return names
}

// Find returns the host with a name. It fails if there is none.
func Find(name string) (Host, error) {
	list := hosts()
	at := slices.IndexFunc(list, func(h Host) bool { return h.Name == name })
	if at < 0 {
		return Host{}, fmt.Errorf("unknown host %q", name)
	}
	return list[at], nil
}

// File returns the path of the host's configuration file on a machine.
func (h Host) File(m Machine) string { return h.file(m) }
