package hostconfig

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Placeholder stands where the user's key belongs.
const Placeholder = "your-key"

// Server is how a host starts the program.
type Server struct {
	Command string // absolute path
	Sandbox bool   // no key is needed
	KeyFile string // a file with the key; "" writes a placeholder for the key itself
}

const (
	sandboxFlag     = "--sandbox"
	sandboxVariable = "ZAI_IMAGE_SANDBOX"
)

func (s Server) args() []string {
	if s.Sandbox {
		return []string{sandboxFlag}
	}
	return []string{}
}

// env is the environment that names the key, or says where it belongs.
func (s Server) env(place string) map[string]string {
	switch {
	case s.KeyFile != "":
		return map[string]string{"ZAI_API_KEY_FILE": s.KeyFile}
	case s.Sandbox:
		return map[string]string{}
	}
	return map[string]string{"ZAI_API_KEY": place}
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

// wanted is the entry as it is to be. An entry that starts this program stays
// the user's: only where the program is, whether it is the sandbox, and a file
// for the key are set. Another entry of the same name is replaced, but for its
// numbers and switches and for variables that are this program's: what belongs
// to a server elsewhere makes hosts refuse the entry, and Codex its whole file.
// That the other one was switched off says nothing about this program.
func (c Client) wanted(old map[string]any, s Server) (map[string]any, error) {
	text, err := json.Marshal(c.entry(s))
	if err != nil {
		return nil, err
	}
	fresh := map[string]any{}
	if err := json.Unmarshal(text, &fresh); err != nil {
		return nil, err
	}
	command, args := commandLine(old)
	if startsUs(command, s.Command) {
		return c.moved(old, fresh, args, s), nil
	}
	for name, value := range old {
		if name == "disabled" || name == "enabled" {
			continue
		}
		switch _, set := fresh[name]; value.(type) {
		case string, map[string]any, []any, nil:
		default:
			if !set {
				fresh[name] = value
			}
		}
	}
	hers, _ := old[c.env].(map[string]any)
	env, _ := fresh[c.env].(map[string]any)
	if keyOf(hers) != "" && s.KeyFile == "" {
		delete(env, "ZAI_API_KEY")
	}
	for name, value := range hers {
		_, set := env[name]
		ours := (strings.HasPrefix(name, "ZAI_") || isKey(name)) && name != sandboxVariable
		if ours && !set && (s.KeyFile == "" || !isKey(name)) {
			env[name] = value
		}
	}
	return fresh, nil
}

// moved is an entry of this program with what is set anew.
func (c Client) moved(old, fresh map[string]any, args []string, s Server) map[string]any {
	entry := maps.Clone(old)
	kept := slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
		return arg == sandboxFlag || strings.HasPrefix(arg, sandboxFlag+"=")
	})
	if s.Sandbox {
		kept = append([]string{sandboxFlag}, kept...)
	}
	switch _, inOne := old["command"].([]any); {
	case inOne: // opencode has both in one list
		entry["command"] = anys(append([]string{s.Command}, kept...))
	case len(kept) == 0 && old["args"] == nil:
		entry["command"] = s.Command
	default:
		entry["command"], entry["args"] = s.Command, anys(kept)
	}
	c.setEnv(entry, fresh, s, startsSandbox(args, old[c.env]))
	return entry
}

// setEnv takes the sandbox's variable out of an entry's environment, and puts
// the key's in where it has to be: a file for it, or a place for it in what was
// the sandbox until now.
func (c Client) setEnv(entry, fresh map[string]any, s Server, wasSandbox bool) {
	hers, _ := entry[c.env].(map[string]any)
	needsKey := s.KeyFile != "" || wasSandbox && !s.Sandbox && keyOf(hers) == ""
	if _, set := hers[sandboxVariable]; !set && !needsKey {
		return
	}
	env := map[string]any{}
	for name, value := range hers {
		if name != sandboxVariable && (s.KeyFile == "" || !isKey(name)) {
			env[name] = value
		}
	}
	if ours, _ := fresh[c.env].(map[string]any); needsKey {
		maps.Copy(env, ours)
	}
	entry[c.env] = env
}

// startsSandbox reports whether arguments or environment ask for the sandbox.
func startsSandbox(args []string, env any) bool {
	variables, _ := env.(map[string]any)
	value, _ := variables[sandboxVariable].(string)
	return State{Args: args, Env: map[string]string{sandboxVariable: value}}.Sandbox()
}

func anys(list []string) []any {
	values := make([]any, len(list))
	for i, text := range list {
		values[i] = text
	}
	return values
}

// commandLine is how an entry starts a program.
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

// startsUs tells by its name whether a program is this one.
func startsUs(command, own string) bool {
	name := func(path string) string {
		return strings.TrimSuffix(strings.ToLower(filepath.Base(strings.ReplaceAll(path, `\`, "/"))), ".exe")
	}
	return command != "" && (name(command) == name(own) || strings.HasPrefix(name(command), "zai-image-mcp"))
}

func isKey(name string) bool { return slices.Contains(keyNames(), name) }

func keyNames() []string { return []string{"ZAI_API_KEY", "Z_AI_API_KEY", "ZAI_API_KEY_FILE"} }

// keyOf is the variable of an environment that names the key, or "".
func keyOf(env map[string]any) string {
	for _, name := range keyNames() {
		if text, _ := env[name].(string); text != "" {
			return name
		}
	}
	return ""
}
