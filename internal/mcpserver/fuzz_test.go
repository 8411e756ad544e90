package mcpserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
)

// The server answers every posted text, in each era, with a suitable status.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		testrig.Initialize, testrig.Ping, statelessCall(1, "list_images", "{}"), `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`,
		`{`, `[]`, `null`, `{"id":{}}`, `{"jsonrpc":"2.0","id":1,"result":{}}`, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"zai-image://models"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{` + statelessMeta + `,"notifications":{}}}`, `{"jsonrpc":"2.0","id":1e999,"method":"tools/list"}`,
	} {
		f.Add(seed, "")
		f.Add(seed, "2026-07-28")
	}
	r := newWebRig(f, webOptions{web: func(c *web.Config) { c.Limits.Sessions = 10 }})
	named := r.session(f)
	f.Cleanup(func() { assert.NotContains(f, r.log.String(), "recovered a panic") })
	f.Fuzz(func(t *testing.T, body, version string) {
		if strings.Contains(body, "generate_image") || strings.ContainsAny(version, "\r\n\x00") || body == "" {
			return
		}
		for _, c := range version {
			if c < ' ' || c > '~' {
				return
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
