package tools_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/tools"
)

// Arguments that are not JSON are rejected, and a boolean is true only if the call says so.
func FuzzExportArguments(f *testing.F) {
	for _, seed := range []string{
		`{"id":"x","replace":true}`, `{"replace":"TRUE"}`, `{"replace":" true "}`, `{"replace":"\"true\""}`, `{"replace":1}`, `{"replace":[true]}`, `{"replace":null}`, `{"replace":""}`,
		`{"replace":"false","save_as":"a/../b.png"}`, `{"save_as":7}`, `{"save_as":"\u0000.png"}`, `{"set":{}}`, ``, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		request := mcp.CallToolRequest{}
		request.Params.RawArguments = raw
		saveAs, replace, err := tools.DecodeExport(request)
		if err == nil && !json.Valid(raw) && len(bytes.Trim(raw, " \t\r\n")) > 0 {
			t.Fatalf("accepted %q as %q %v", raw, saveAs, replace)
		}
		if replace && !bytes.Contains(bytes.ToLower(raw), []byte("true")) {
			t.Fatalf("replace is true in %q", raw)
		}
	})
}

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
