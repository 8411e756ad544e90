package mcpserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
)

// madeBy generates one image and returns its id and its link.
func madeBy(t *testing.T, w wire, prompt string) (id, link string) {
	t.Helper()
	m := w.request(t, "tools/call", fmt.Sprintf(`{"name":"generate_image","arguments":{"prompt":%q,"size":"512x512"}}`, prompt))
	require.Nil(t, m.Error)
	var result struct {
		StructuredContent struct {
			Images []struct {
				ID          string
				Path        string
				DownloadURL string    `json:"download_url"`
				Expires     time.Time `json:"download_expires_at"`
			}
		}
		Content []struct{ Text string }
	}
	require.NoError(t, json.Unmarshal(m.Result, &result))
	image := result.StructuredContent.Images[0]
	assert.Empty(t, image.Path, "HTTP clients get no path")
	assert.Contains(t, result.Content[0].Text, image.DownloadURL)
	assert.WithinDuration(t, time.Now().Add(time.Hour), image.Expires, time.Minute)
	return image.ID, image.DownloadURL
}

// seesNothing checks that the owner of a token sees nothing of an image of another owner
// with "secret garden" in its prompt, over any transport, by any method.
func (r *webRig) seesNothing(t *testing.T, id string, headers ...string) {
	t.Helper()
	for name, other := range map[string]wire{
		"streamable": r.streamable(t, false, headers...), "stateless": r.streamable(t, true, headers...),
		"sse": r.sse(t, false, headers...), "stateless sse": r.sse(t, true, headers...),
	} {
		for _, c := range []struct{ method, params, want string }{
			{"tools/call", `{"name":"get_image","arguments":{"id":"` + id + `"}}`, `"kind":"not_found"`},
			{"tools/call", `{"name":"list_images","arguments":{}}`, `"images":[]`},
			{"tools/call", `{"name":"list_images","arguments":{"query":"secret"}}`, `"images":[]`},
			{"resources/list", `{}`, `models`},
			{"resources/read", `{"uri":"zai-image://images/` + id + `"}`, ""},
			{"resources/read", `{"uri":"zai-image://images/` + id + `/preview"}`, ""},
			{"resources/read", `{"uri":"zai-image://images/` + id + `/metadata"}`, ""},
			{"completion/complete", `{"ref":{"type":"ref/resource","uri":"zai-image://images/{id}"},"argument":{"name":"id","value":"0"}}`, `"values":[]`},
		} {
			m := other.request(t, c.method, c.params)
			text := string(m.Result)
			if c.want == "" {
				require.NotNil(t, m.Error, name)
				assert.Contains(t, []int{-32002, -32602}, m.Error.Code, "not found, as if it did not exist")
				text = m.Error.Message
			}
			assert.Contains(t, text, c.want, name)
			assert.NotContains(t, text, "secret garden", name)
			assert.NotContains(t, strings.ReplaceAll(text, "resource 'not-found:zai-image://images/"+id, ""), `"`+id, name)
			assert.NotContains(t, text, `"spent_today_usd":0.01`, "the other's money")
		}
	}
}

// Owners cannot see each other's images, over any transport, by any method.
func TestOwners_Isolation(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{
		address: web.ListenConfig{AuthTokens: testrig.TokenFile(t, "alice:"+aliceToken, "bob:"+bobToken)},
		config:  func(c *settings) { c.Jobs.BudgetUSD = 0.025 },
	})
	alice := r.streamable(t, false, bearer(aliceToken)...)
	id, link := madeBy(t, alice, "alice's secret garden")
	quiet := r.openSSE(t, bearer(bobToken)...)
	quiet.send(t, testrig.Initialize)
	quiet.answer(t)
	quiet.send(t, testrig.Initialized)
	quiet.send(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"zai-image://images/%s"}}`, id))
	quiet.answer(t)

	r.seesNothing(t, id, bearer(bobToken)...)
	path := strings.TrimPrefix(link, r.base)
	unsigned, _, _ := strings.Cut(path, "?")
	for _, tt := range []struct {
		path   string
		token  string
		status int
	}{{path, "", 200}, {path, bobToken, 200}, {unsigned, aliceToken, 200}, {unsigned, bobToken, 404}, {unsigned, "", 401}} {
		headers := bearer(tt.token)
		if tt.token == "" {
			headers = nil
		}
		status, _ := r.ask(t, http.MethodGet, tt.path, "", headers...)
		assert.Equal(t, tt.status, status, "%s by %q", tt.path, tt.token)
	}
	// A session is its owner's alone.
	mine := r.session(t, bearer(aliceToken)...)
	for _, method := range []string{"POST", "GET", "DELETE"} {
		body := map[string]string{"POST": testrig.Ping}[method]
		status, _ := r.ask(t, method, "/mcp", body, append(mine[:2:2], bearer(bobToken)...)...)
		assert.Equal(t, 404, status, method)
	}
	stream := r.openSSE(t, bearer(aliceToken)...)
	status, _ := r.ask(t, "POST", stream.endpoint, testrig.Ping, bearer(bobToken)...)
	assert.Equal(t, 404, status)

	// Each has a budget of its own, and is notified only of its own images.
	madeBy(t, alice, "a second")
	m := alice.request(t, "tools/call", `{"name":"generate_image","arguments":{"prompt":"a third"}}`)
	assert.Contains(t, string(m.Result), "budget_exceeded")
	select {
	case m := <-quiet.incoming:
		assert.Fail(t, "bob was notified", "%+v", m)
	case <-time.After(200 * time.Millisecond):
	}
	madeBy(t, r.streamable(t, true, bearer(bobToken)...), "bob's own")
	notification := <-quiet.incoming
	require.NotNil(t, notification)
	assert.Equal(t, "notifications/resources/list_changed", notification.Method)
}
