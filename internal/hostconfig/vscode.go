package hostconfig

import (
	"encoding/json"
	"fmt"

	"github.com/tailscale/hujson"
)

// VS Code asks for a key once and keeps it in the system's secret store, when
// the configuration has an input for it
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

// lacksInput tells that an entry refers to an input that is not there.
func (c Client) lacksInput(all, entry map[string]any) bool {
	env, _ := entry[c.env].(map[string]any)
	if !c.inputs || env["ZAI_API_KEY"] != inputRef {
		return false
	}
	list, _ := all["inputs"].([]any)
	return len(withoutInput(list)) == len(list)
}

// withoutInput is everybody else's inputs.
func withoutInput(list []any) (others []any) {
	for _, item := range list {
		if input, ok := item.(map[string]any); !ok || input["id"] != inputID {
			others = append(others, item)
		}
	}
	return others
}

// addInput puts the input at the end of the list.
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
	if list := value.Find("/inputs"); list == nil || list.Value.Kind() == 'n' {
		patch = fmt.Appendf(nil, `[{"op":"add","path":"/inputs","value":[%s]}]`, text)
	}
	if err := value.Patch(patch); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	alignLast(&value, "inputs")
	return value.Pack(), nil
}
