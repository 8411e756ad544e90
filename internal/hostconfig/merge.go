package hostconfig

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
)

// Merged is the result of Merge.
type Merged struct {
	Text     []byte
	Changed  bool
	Replaces bool     // the configuration already had an entry
	Changes  []string // names of the fields of that entry that change
}

// ErrForm reports that a configuration cannot be parsed, or cannot be changed
// without changing something else.
var ErrForm = errors.New("the file cannot be changed safely; add the entry by hand")

// Entry returns a complete configuration that contains only this server. It is
// for ProjectFile if the host has one, and for File otherwise.
func (h Host) Entry(s Server) (string, error) {
	if h.ReplacesWorkspace || h.ProjectFile != "" {
		s.project = Workspace
	}
	text, err := h.render(s)
	return string(text), err
}

// Merge adds the server to the configuration in File, which may be empty or nil,
// or updates its entry. The rest of the configuration, including comments, stays
// byte for byte the same. If an existing entry starts this program, everything
// that Merge does not set is kept, like the user's key, arguments and timeout.
// Comments within a JSON entry are lost. Merge fails with ErrForm if the
// configuration cannot be parsed or cannot be changed without other changes.
func (h Host) Merge(config []byte, s Server) (Merged, error) {
	if h.ReplacesWorkspace {
		s.project = Workspace
	}
	if isEmpty(config) {
		text, err := h.render(s)
		return Merged{Text: text, Changed: true}, err
	}
	before, err := h.read(config)
	if err != nil {
		return Merged{}, err
	}
	if err := h.checkEntry(before); err != nil {
		return Merged{}, err
	}
	old := h.entryOf(before)
	entry, err := h.mergeEntry(old, s)
	if err != nil {
		return Merged{}, err
	}
	lacksInput := h.lacksInput(before, entry)
	m := Merged{Replaces: old != nil}
	if m.Replaces {
		m.Changes = changedFields(old, entry)
		if lacksInput {
			m.Changes = append(m.Changes, "inputs")
		}
	}
	if reflect.DeepEqual(old, entry) && !lacksInput {
		m.Text = config
		return m, nil
	}
	if m.Text, err = h.write(config, entry); err != nil {
		return Merged{}, err
	}
	m.Changed = true
	// A host that cannot read its file loses all its servers, so parse the result.
	after, err := h.read(m.Text)
	if err != nil || !reflect.DeepEqual(h.entryOf(after), entry) || !reflect.DeepEqual(h.othersOf(before), h.othersOf(after)) {
		return Merged{}, fmt.Errorf("%w: something else in it would change", ErrForm)
	}
	return m, nil
}

// checkEntry rejects an existing entry that is not an object.
func (h Host) checkEntry(all map[string]any) error {
	if entry, exists := h.serversOf(all)[ServerName]; exists {
		if _, ok := entry.(map[string]any); !ok {
			return fmt.Errorf("%w: %s is not an object", ErrForm, ServerName)
		}
	}
	return nil
}

// serversOf returns the servers of a configuration, or nil.
func (h Host) serversOf(all map[string]any) map[string]any {
	for _, name := range h.servers {
		all, _ = all[name].(map[string]any)
	}
	return all
}

// entryOf returns this server's entry, or nil.
func (h Host) entryOf(all map[string]any) map[string]any {
	entry, _ := h.serversOf(all)[ServerName].(map[string]any)
	return entry
}

// othersOf returns a configuration without this server's entry, without its
// input, and without the objects that are empty as a result.
func (h Host) othersOf(all map[string]any) map[string]any {
	others := without(all, append(append([]string{}, h.servers...), ServerName))
	if others["inputs"] == nil {
		delete(others, "inputs")
	}
	if list, ok := others["inputs"].([]any); ok && h.inputs {
		if others["inputs"] = withoutInput(list); len(withoutInput(list)) == 0 {
			delete(others, "inputs")
		}
	}
	return others
}

// without returns a copy of an object without the field at a path, and without
// the objects on the path that are empty as a result.
func without(all map[string]any, path []string) map[string]any {
	others := map[string]any{}
	maps.Copy(others, all)
	if len(path) == 1 {
		delete(others, path[0])
		return others
	}
	inner, _ := all[path[0]].(map[string]any)
	if inner = without(inner, path[1:]); len(inner) == 0 {
		delete(others, path[0])
	} else {
		others[path[0]] = inner
	}
	return others
}
