package server_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/server"
)

// Whatever is posted, the server answers, in each era, and with an answer that
// fits the question.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		initialize, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, modernCall(1, "list_images", "{}"), `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`,
		`{`, `[]`, `null`, `{"id":{}}`, `{"jsonrpc":"2.0","id":1,"result":{}}`, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"zai-image://models"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{` + modern + `,"notifications":{}}}`, `{"jsonrpc":"2.0","id":1e999,"method":"tools/list"}`,
	} {
		f.Add(seed, "")
		f.Add(seed, "2026-07-28")
	}
	r := newWebRig(f, webOptions{web: func(c *server.HTTP) { c.Sessions = 10 }})
	named := r.session(f)
	f.Cleanup(func() { assert.NotContains(f, r.log.String(), "msg=panic") })
	f.Fuzz(func(t *testing.T, body, version string) {
		if strings.Contains(body, "generate_image") || strings.ContainsAny(version, "\r\n\x00") || body == "" {
			t.Skip()
		}
		for _, c := range version {
			if c < ' ' || c > '~' {
				t.Skip()
			}
		}
		headers := append([]string{"Mcp-Protocol-Version", version, "Mcp-Method", "tools/call", "Mcp-Name", "list_images"}, named...)
		if version == "" {
			headers = headers[2:]
		}
		response := r.do(t, http.MethodPost, "/mcp", body, headers...)
		response.Body.Close()
		assert.Contains(t, []int{200, 202, 400, 404, 405, 406, 503}, response.StatusCode)
	})
}

// The transports read id and method as encoding/json does, whatever is around
// them, and what they let through is a JSON object.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		initialize, `{}`, `[]`, `{"id":1}`, ` {"method" : "ping" , "id" : "a\"b" } `, `{"method":"x","\u0069d":5}`, `{"a":{"id":1},"b":["id",{"id":2}],"method":"x","id":3}`,
		`{"id":1,"id":2,"method":"x"}`, `{"method":"\u0070ing","id":-1.5e3,"params":{"_meta":[]}}`, `{"x":"\\","method":"y","id":"\\\""}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, method, err := server.OpenMessage([]byte(strings.TrimSpace(text)))
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(text), &want))
		assert.Equal(t, string(want["id"]), string(id))
		var name string
		if want["method"] != nil {
			require.NoError(t, json.Unmarshal(want["method"], &name))
		}
		assert.Equal(t, name, method)
	})
}

// No token file brings the program down, and none lets a short token in.
func FuzzTokens(f *testing.F) {
	for _, seed := range []string{"alice:" + aliceToken, "a:sha256:" + strings.Repeat("ab", 32), "#\n\n", "a:b", ":", "a:sha256:zz", "\x00:\xff"} {
		f.Add(seed)
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(folder, "tokens")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := server.LoadTokens(path)
		if len(text) < server.MinToken {
			require.Error(t, err)
		}
	})
}
