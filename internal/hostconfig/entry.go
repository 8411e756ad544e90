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

const sandboxFlag = "--sandbox"

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

// remoteFields are what an entry of a server elsewhere has. Beside a command
// they make hosts refuse the entry, and Codex its whole file.
func remoteFields() []string {
	return []string{"url", "httpUrl", "serverUrl", "headers", "http_headers", "env_http_headers", "bearer_token_env_var", "oauth"}
}

// wanted is the entry as it is to be: what this program sets, and what else
// the user put there.
func (c Client) wanted(old map[string]any, s Server) (map[string]any, error) {
	text, err := json.Marshal(c.entry(s))
	if err != nil {
		return nil, err
	}
	wanted := map[string]any{}
	if err := json.Unmarshal(text, &wanted); err != nil {
		return nil, err
	}
	remote := slices.ContainsFunc(remoteFields(), func(name string) bool { return old[name] != nil })
	for name, value := range old {
		_, ours := wanted[name]
		if remote && (name == "type" || slices.Contains(remoteFields(), name)) || ours {
			continue
		}
		wanted[name] = value
	}
	keepArgs(wanted, old)
	if hers, had := old[c.env].(map[string]any); had {
		wanted[c.env] = keepEnv(wanted[c.env], hers, s)
	}
	return wanted, nil
}

// keepArgs keeps arguments that the user gave to this program: all but the
// flag that is this package's to set. What stood there for another program
// goes.
func keepArgs(wanted, old map[string]any) {
	name := func(command any) string {
		text, _ := command.(string)
		return strings.TrimSuffix(filepath.Base(strings.ReplaceAll(text, `\`, "/")), ".exe")
	}
	if line, ok := wanted["command"].([]any); ok { // opencode has both in one list
		if was, ok := old["command"].([]any); ok && len(was) > 0 && name(was[0]) == name(line[0]) {
			wanted["command"] = slices.Concat(line[:1], withFlag(was[1:], len(line) > 1))
		}
		return
	}
	was, ok := old["args"].([]any)
	if args, _ := wanted["args"].([]any); ok && name(old["command"]) == name(wanted["command"]) {
		wanted["args"] = withFlag(was, len(args) > 0)
	}
}

func withFlag(args []any, sandbox bool) []any {
	kept := slices.DeleteFunc(slices.Clone(args), func(arg any) bool { return arg == sandboxFlag })
	if sandbox {
		kept = append([]any{sandboxFlag}, kept...)
	}
	if kept == nil {
		kept = []any{}
	}
	return kept
}

// keepEnv keeps the user's variables, and adds the key's unless one of them
// names a key.
func keepEnv(ours any, hers map[string]any, s Server) map[string]any {
	env := maps.Clone(hers)
	if s.KeyFile != "" {
		delete(env, "ZAI_API_KEY")
		delete(env, "Z_AI_API_KEY")
	}
	added, _ := ours.(map[string]any)
	for name, value := range added {
		if s.KeyFile != "" || keyOf(hers) == "" {
			env[name] = value
		}
	}
	return env
}

// keyOf is the variable of an environment that names the key, or "".
func keyOf(env map[string]any) string {
	for _, name := range []string{"ZAI_API_KEY", "Z_AI_API_KEY", "ZAI_API_KEY_FILE"} {
		if text, _ := env[name].(string); text != "" {
			return name
		}
	}
	return ""
}

// masked shows an entry without its secrets: the values of its environment and
// headers, what follows "--header", and what addresses are asked.
func masked(entry map[string]any) string {
	if entry == nil {
		return ""
	}
	shown := map[string]any{}
	for name, value := range entry {
		switch value := value.(type) {
		case map[string]any:
			hidden := map[string]any{}
			for variable := range value {
				hidden[variable] = "***"
			}
			shown[name] = hidden
		case []any:
			list := slices.Clone(value)
			for i := range list {
				if text, ok := list[i].(string); ok {
					list[i] = maskedText(text, i > 0 && (list[i-1] == "--header" || list[i-1] == "-H"))
				}
			}
			shown[name] = list
		case string:
			shown[name] = maskedText(value, false)
		default:
			shown[name] = value
		}
	}
	text, err := json.MarshalIndent(shown, "", "  ")
	if err != nil {
		return "?"
	}
	return string(text)
}

func maskedText(text string, header bool) string {
	if name, _, found := strings.Cut(text, ":"); header && found {
		return name + ": ***"
	}
	if address, _, found := strings.Cut(text, "?"); found && strings.Contains(address, "://") {
		return address + "?***"
	}
	return text
}
