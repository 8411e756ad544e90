package hostconfig

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
)

// State holds the settings of this server's entry in a configuration.
type State struct {
	Present bool
	NoKey   bool // the entry needs a key but still has the placeholder
	Off     bool // the user switched the entry off
	Command string
	Args    []string
	Env     map[string]string
}

// Inspect returns the settings of this server's entry in a configuration. It
// fails with ErrForm if the configuration cannot be parsed.
func (h Host) Inspect(config []byte) (State, error) {
	if isEmpty(config) {
		return State{}, nil
	}
	all, err := h.read(config)
	if err != nil {
		return State{}, err
	}
	return h.stateOf(h.entryOf(all)), nil
}

// stateOf returns the settings of an entry, which may be nil.
func (h Host) stateOf(entry map[string]any) State {
	state := State{Present: entry != nil, Env: map[string]string{}}
	state.Command, state.Args = commandLine(entry)
	state.Off = entry["enabled"] == false || entry["disabled"] == true
	env, _ := entry[h.env].(map[string]any)
	for name, value := range env {
		state.Env[name], _ = value.(string)
	}
	// The placeholders of all examples begin with "your-".
	state.NoKey = strings.HasPrefix(state.Env[keyVariable(env)], "your-") && !state.Sandbox()
	return state
}

func isEmpty(config []byte) bool {
	return len(bytes.TrimSpace(bytes.TrimPrefix(config, []byte(utf8BOM)))) == 0
}

// Starts reports whether the entry's command has the file name of this program:
// the name of own, the program's path, or one that begins with zai-image-mcp.
func (s State) Starts(own string) bool {
	name := func(path string) string {
		return strings.TrimSuffix(strings.ToLower(filepath.Base(strings.ReplaceAll(path, `\`, "/"))), ".exe")
	}
	return s.Command != "" && (name(s.Command) == name(own) || strings.HasPrefix(name(s.Command), "zai-image-mcp"))
}

// Sandbox reports whether the entry selects the sandbox, which needs no key.
func (s State) Sandbox() bool {
	return slices.Contains([]string{"1", "true", "yes", "on"}, strings.ToLower(s.Setting(sandboxFlag, sandboxVariable)))
}

// Setting returns the value of a flag or, if the flag is not set, of its
// variable. It returns "true" for --sandbox without a value, and "" if neither
// is set.
func (s State) Setting(flag, variable string) string {
	for i, arg := range s.Args {
		if value, found := strings.CutPrefix(arg, flag+"="); found {
			return value
		}
		if arg == flag && flag != sandboxFlag && i+1 < len(s.Args) {
			return s.Args[i+1]
		}
		if arg == flag {
			return "true"
		}
	}
	return s.Env[variable]
}
