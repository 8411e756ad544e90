package hostconfig

import (
	"encoding/json"
	"fmt"

	"github.com/tailscale/hujson"
)

// If the configuration declares an input, VS Code prompts for its value once and
// saves it in the system's secret store
// (https://code.visualstudio.com/docs/copilot/reference/mcp-configuration).
const (
	inputID  = "zai-key"
	inputRef = "${input:" + inputID + "}"
)

func keyInput() object {
	return object{{"type", "promptString"}, {"id", inputID}, {"description", "Z.AI API key"}, {"password", true}}
}

func vscode(s Server) object {
	return object{{"type", "stdio"}, {"command", s.Command}, {"args", s.args()}, {"env", s.env(inputRef)}}
}

// lacksInput reports whether an entry refers to an input that the configuration
// does not declare.
func (h Host) lacksInput(all, entry map[string]any) bool {
	env, _ := entry[h.env].(map[string]any)
	if !h.inputs || env["ZAI_API_KEY"] != inputRef {
		return false
	}
	list, _ := all["inputs"].([]any)
	return len(withoutInput(list)) == len(list)
}

// withoutInput returns the inputs of a configuration except this server's.
func withoutInput(list []any) (others []any) {
	for _, item := range list {
		if input, ok := item.(map[string]any); !ok || input["id"] != inputID {
			others = append(others, item)
		}
	}
	return others
}

// addInput appends this server's input to the inputs of a configuration.
func addInput(config []byte) ([]byte, error) {
	value, err := hujson.Parse(config)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	text, err := json.MarshalIndent(keyInput(), "    ", "  ")
	if err != nil {
		return nil, err
	}
	patch := fmt.Appendf(nil, `[{"op":"add","path":"/inputs/-","value":%s}]`, text)
	if isMissing(value.Find("/inputs")) {
		patch = fmt.Appendf(nil, `[{"op":"add","path":"/inputs","value":[%s]}]`, text)
	}
	if err := value.Patch(patch); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	alignLast(&value, "inputs")
	return value.Pack(), nil
}
