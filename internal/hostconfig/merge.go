package hostconfig

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Merged is what became of a configuration.
type Merged struct {
	Text    []byte
	Changed bool
	Was     string // the entry that stood there before, without its secrets; "" for none
}

// ErrForm says that a configuration cannot be read, or not be changed without
// touching something else.
var ErrForm = errors.New("the file cannot be changed safely, put the entry there by hand")

// Entry is a whole configuration that holds this server alone.
func (c Client) Entry(s Server) (string, error) {
	m, err := c.Merge(nil, s)
	return string(m.Text), err
}

// Merge puts the server into a configuration, which is empty or nil when there
// is none. Whatever else is there stays byte for byte, comments included, and
// of an entry of this server what this program does not set: a key that the
// user put there, arguments, a timeout. Comments within that entry go.
func (c Client) Merge(config []byte, s Server) (Merged, error) {
	if len(bytes.TrimSpace(bytes.TrimPrefix(config, []byte(mark)))) == 0 {
		text, err := c.whole(s)
		return Merged{Text: text, Changed: true}, err
	}
	before, err := c.read(config)
	if err != nil {
		return Merged{}, err
	}
	if err := c.plain(before); err != nil {
		return Merged{}, err
	}
	old := c.entryOf(before)
	wanted, err := c.wanted(old, s)
	if err != nil {
		return Merged{}, err
	}
	m := Merged{Was: masked(old)}
	if reflect.DeepEqual(old, wanted) && !c.lacksInput(before, wanted) {
		m.Text = config
		return m, nil
	}
	if m.Text, err = c.write(config, wanted); err != nil {
		return Merged{}, err
	}
	m.Changed = true
	// A host that cannot read its file loses all its servers, so the result is read again.
	after, err := c.read(m.Text)
	if err != nil || !reflect.DeepEqual(c.entryOf(after), wanted) || !reflect.DeepEqual(c.rest(before), c.rest(after)) {
		return Merged{}, fmt.Errorf("%w: it would not say the same any more", ErrForm)
	}
	return m, nil
}

// plain refuses an entry that is none, which the user may have put there for a
// reason.
func (c Client) plain(all map[string]any) error {
	servers, _ := all[c.key].(map[string]any)
	if entry, there := servers[ServerName]; there {
		if _, ok := entry.(map[string]any); !ok {
			return fmt.Errorf("%w: what is called %s is no entry", ErrForm, ServerName)
		}
	}
	return nil
}

// State is what a configuration says of this server.
type State struct {
	Present bool
	NoKey   bool // the place for the key was not filled in, and one is needed
	Off     bool // the user switched it off
	Command string
	Args    []string
	Env     map[string]string
}

// Look reads what a configuration says.
func (c Client) Inspect(config []byte) (State, error) {
	if len(bytes.TrimSpace(bytes.TrimPrefix(config, []byte(mark)))) == 0 {
		return State{}, nil
	}
	all, err := c.read(config)
	if err != nil {
		return State{}, err
	}
	entry := c.entryOf(all)
	state := State{Present: entry != nil, Env: map[string]string{}}
	state.Command, state.Args = commandLine(entry)
	state.Off = entry["enabled"] == false || entry["disabled"] == true
	env, _ := entry[c.env].(map[string]any)
	for name, value := range env {
		state.Env[name], _ = value.(string)
	}
	// An example's place for the key is "your-" something.
	state.NoKey = strings.HasPrefix(state.Env[keyOf(env)], "your-") && !state.Sandbox()
	return state, nil
}

// Sandbox tells that the program is started without need of a key.
func (s State) Sandbox() bool {
	return slices.Contains([]string{"1", "true", "yes", "on"}, strings.ToLower(s.Setting(sandboxFlag, sandboxVariable)))
}

// Setting is what an entry gives for a flag or its variable, as the program
// would read it; "true" for a flag without a value, "" for none.
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

// entryOf is this server's entry, nil when there is none.
func (c Client) entryOf(all map[string]any) map[string]any {
	servers, _ := all[c.key].(map[string]any)
	entry, _ := servers[ServerName].(map[string]any)
	return entry
}

// rest is everything but this server's entry and its input.
func (c Client) rest(all map[string]any) map[string]any {
	others := map[string]any{}
	maps.Copy(others, all)
	servers := map[string]any{}
	if had, ok := all[c.key].(map[string]any); ok {
		for name, value := range had {
			if name != ServerName {
				servers[name] = value
			}
		}
	}
	if others[c.key] = servers; len(servers) == 0 {
		delete(others, c.key)
	}
	if others["inputs"] == nil {
		delete(others, "inputs")
	}
	if list, ok := others["inputs"].([]any); ok && c.inputs {
		if others["inputs"] = withoutInput(list); len(withoutInput(list)) == 0 {
			delete(others, "inputs")
		}
	}
	return others
}
