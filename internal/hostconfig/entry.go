package hostconfig

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Placeholder is what Entry writes in place of the user's key.
const Placeholder = "your-key"

// Server describes how a host starts this program.
type Server struct {
	Command string // absolute path
	Sandbox bool   // use the sandbox, which needs no key
	KeyFile string // file with the key; "" writes a placeholder for the key
	project string // value of --project, "" for none
}

const (
	sandboxFlag     = "--sandbox"
	sandboxVariable = "ZAI_IMAGE_SANDBOX"
	projectFlag     = "--project"
	projectVariable = "ZAI_IMAGE_PROJECT"
)

// Workspace is the variable that VS Code and Cursor replace with the folder that
// is open (https://code.visualstudio.com/docs/reference/variables-reference).
const Workspace = "${workspaceFolder}"

func (s Server) args() []string {
	args := []string{}
	if s.Sandbox {
		args = append(args, sandboxFlag)
	}
	if s.project != "" {
		args = append(args, projectFlag, s.project)
	}
	return args
}

// env returns an environment with the path of the key file or, unless the
// sandbox is used, a placeholder for the key.
func (s Server) env(placeholder string) map[string]string {
	switch {
	case s.KeyFile != "":
		return map[string]string{"ZAI_API_KEY_FILE": s.KeyFile}
	case s.Sandbox:
		return map[string]string{}
	}
	return map[string]string{"ZAI_API_KEY": placeholder}
}

func stdio(s Server) object {
	return object{{"command", s.Command}, {"args", s.args()}, {"env", s.env(Placeholder)}}
}

func typedStdio(s Server) object {
	return slices.Concat(object{{"type", "stdio"}}, stdio(s))
}

func opencode(s Server) object {
	return object{{"type", "local"}, {"command", append([]string{s.Command}, s.args()...)}, {"environment", s.env(Placeholder)}, {"enabled", true}}
}

func copilot(s Server) object {
	return slices.Concat(object{{"type", "local"}}, stdio(s), object{{"tools", []string{"*"}}})
}

// mergeEntry returns the new entry for an old one, which may be nil.
//
// If the old entry starts this program, mergeEntry sets only the program's path,
// the sandbox setting and the key file, and adds the project unless the entry
// sets one. If it starts something else, it is replaced, and only numbers,
// booleans and this program's variables are kept. Other fields are dropped:
// because of fields for remote servers, hosts reject an entry, and Codex rejects
// the whole file. The fields enabled and disabled are dropped too, because they
// were set for the other program.
func (h Host) mergeEntry(old map[string]any, s Server) (map[string]any, error) {
	state := h.stateOf(old)
	same := state.Starts(s.Command)
	if !same {
		state.Args = nil
	}
	if state.Setting(projectFlag, projectVariable) != "" {
		s.project = ""
	}
	text, err := json.Marshal(h.entry(s))
	if err != nil {
		return nil, err
	}
	entry := map[string]any{}
	if err := json.Unmarshal(text, &entry); err != nil {
		return nil, err
	}
	if same {
		return h.updateEntry(old, entry, state, s), nil
	}
	for name, value := range old {
		if name == "disabled" || name == "enabled" {
			continue
		}
		switch _, set := entry[name]; value.(type) {
		case string, map[string]any, []any, nil:
		default:
			if !set {
				entry[name] = value
			}
		}
	}
	oldEnv, _ := old[h.env].(map[string]any)
	newEnv, _ := entry[h.env].(map[string]any)
	if keyVariable(oldEnv) != "" && s.KeyFile == "" {
		delete(newEnv, "ZAI_API_KEY")
	}
	for name, value := range oldEnv {
		_, set := newEnv[name]
		isSetting := (strings.HasPrefix(name, "ZAI_") || isKeyVariable(name)) && name != sandboxVariable
		if isSetting && !set && (s.KeyFile == "" || !isKeyVariable(name)) {
			newEnv[name] = value
		}
	}
	return entry, nil
}

// updateEntry returns an entry of this program with the settings of s. fresh is
// a new entry; state holds the settings of the old one.
func (h Host) updateEntry(old, fresh map[string]any, state State, s Server) map[string]any {
	entry := maps.Clone(old)
	kept := slices.DeleteFunc(slices.Clone(state.Args), func(arg string) bool {
		return arg == sandboxFlag || strings.HasPrefix(arg, sandboxFlag+"=")
	})
	if s.Sandbox {
		kept = append([]string{sandboxFlag}, kept...)
	}
	if s.project != "" {
		kept = append(kept, projectFlag, s.project)
	}
	switch _, isList := old["command"].([]any); {
	case isList: // opencode has command and arguments in one list
		entry["command"] = toAnySlice(append([]string{s.Command}, kept...))
	case len(kept) == 0 && old["args"] == nil:
		entry["command"] = s.Command
	default:
		entry["command"], entry["args"] = s.Command, toAnySlice(kept)
	}
	h.updateEnv(entry, fresh, s, state.Sandbox())
	return entry
}

// updateEnv removes the sandbox variable from an entry's environment. It adds
// the key file, if there is one. Otherwise it adds a placeholder for the key if
// the entry used the sandbox before, no longer does, and has no key.
func (h Host) updateEnv(entry, fresh map[string]any, s Server, wasSandbox bool) {
	oldEnv, _ := entry[h.env].(map[string]any)
	needsKey := s.KeyFile != "" || wasSandbox && !s.Sandbox && keyVariable(oldEnv) == ""
	if _, set := oldEnv[sandboxVariable]; !set && !needsKey {
		return
	}
	env := map[string]any{}
	for name, value := range oldEnv {
		if name != sandboxVariable && (s.KeyFile == "" || !isKeyVariable(name)) {
			env[name] = value
		}
	}
	if newEnv, _ := fresh[h.env].(map[string]any); needsKey {
		maps.Copy(env, newEnv)
	}
	entry[h.env] = env
}

func toAnySlice(list []string) []any {
	values := make([]any, len(list))
	for i, text := range list {
		values[i] = text
	}
	return values
}

// commandLine returns the command and the arguments of an entry. command is ""
// if the entry has none.
func commandLine(entry map[string]any) (command string, args []string) {
	list, _ := entry["args"].([]any)
	if line, ok := entry["command"].([]any); ok && len(line) > 0 {
		command, _ = line[0].(string)
		list = line[1:]
	} else {
		command, _ = entry["command"].(string)
	}
	for _, arg := range list {
		text, _ := arg.(string)
		args = append(args, text)
	}
	return command, args
}

func isKeyVariable(name string) bool { return slices.Contains(keyVariables(), name) }

// keyVariables returns the names of the variables that set the key.
func keyVariables() []string { return []string{"ZAI_API_KEY", "Z_AI_API_KEY", "ZAI_API_KEY_FILE"} }

// keyVariable returns the name of the variable that sets the key in an
// environment, or "" if none does.
func keyVariable(env map[string]any) string {
	for _, name := range keyVariables() {
		if text, _ := env[name].(string); text != "" {
			return name
		}
	}
	return ""
}
