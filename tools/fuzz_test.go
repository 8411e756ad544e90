package tools_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/tools"
)

// Arguments that are not JSON are rejected, and integers are limited.
func FuzzArguments(f *testing.F) {
	for _, seed := range []string{
		`{"prompt":"x"}`, `{"prompt":"x","n":"2"}`, `[1]`, `null`, ``, `{"prompt":1e999}`, `{"n":-0}`, `{"n":"0x2"}`, `{"":""}`, `{"n":{"a":[]}}`, `"x"`, `{"n":"NaN"}`, "\v\v",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		request := mcp.CallToolRequest{}
		request.Params.RawArguments = raw
		prompt, n, err := tools.DecodeGenerate(request)
		if err == nil && !json.Valid(raw) && len(bytes.Trim(raw, " \t\r\n")) > 0 {
			t.Fatalf("accepted %q as %q %d", raw, prompt, n)
		}
		if n > 1e9 || n < -1e9 {
			t.Fatal(n)
		}
	})
}
