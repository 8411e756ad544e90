package mcpserver_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// Every transport gives the same results in each era. What differs by its nature
// is replaced first: ids, times, links, and the path of the file.
func TestTransports_SameResults(t *testing.T) {
	calls := []struct{ method, params string }{
		{"tools/list", `{}`},
		{"resources/templates/list", `{}`},
		{"tools/call", `{"name":"generate_image","arguments":{"prompt":"a red fox","size":"512x512"}}`},
		{"tools/call", `{"name":"generate_image","arguments":{"prompt":"two foxes","size":"512x512","n":2}}`},
		{"tools/call", `{"name":"generate_image","arguments":{"prompt":"sandbox:content_blocked"}}`},
		{"tools/call", `{"name":"generate_image","arguments":{"prompt":"x","colour":"red"}}`},
		{"tools/call", `{"name":"generate_image","arguments":{}}`},
		{"tools/call", `{"name":"get_image","arguments":{"id":"ID"}}`},
		{"tools/call", `{"name":"get_image","arguments":{"id":"01m7wnsdj83vthhjy68qfe1hke"}}`},
		{"tools/call", `{"name":"list_images","arguments":{"query":"fox"}}`},
		{"tools/call", `{"name":"paint","arguments":{}}`},
		{"resources/list", `{}`},
		{"resources/list", `{"cursor":"nonsense"}`},
		{"resources/read", `{"uri":"zai-image://images/ID"}`},
		{"resources/read", `{"uri":"zai-image://images/ID/preview"}`},
		{"resources/read", `{"uri":"zai-image://images/ID/metadata"}`},
		{"resources/read", `{"uri":"zai-image://models"}`},
		{"completion/complete", `{"ref":{"type":"ref/resource","uri":"zai-image://images/{id}"},"argument":{"name":"id","value":"0"}}`},
		{"no/such", `{}`},
	}
	run := func(t *testing.T, w wire) (answers []string) {
		t.Helper()
		id := ""
		for _, c := range calls {
			m := w.request(t, c.method, strings.ReplaceAll(c.params, "ID", id))
			if found := regexp.MustCompile(`"id":"([0-9a-z]{26})"`).FindStringSubmatch(string(m.Result)); id == "" && found != nil {
				id = found[1]
			}
			answers = append(answers, c.method+" "+c.params+" => "+normalised(t, m))
		}
		return answers
	}
	for _, isModern := range []bool{false, true} {
		t.Run(fmt.Sprintf("stateless=%v", isModern), func(t *testing.T) {
			t.Parallel()
			want := run(t, inProcess(t, isModern))
			for name, open := range map[string]func() wire{
				"stdio":      func() wire { return stdioWire(t, isModern) },
				"streamable": func() wire { return newWebRig(t, webOptions{config: inOrder}).streamable(t, isModern) },
				"sse":        func() wire { return newWebRig(t, webOptions{config: inOrder}).sse(t, isModern) },
			} {
				for i, got := range run(t, open()) {
					assert.Equal(t, want[i], got, name)
				}
			}
		})
	}
}

// normalised returns a response without what has to differ.
func normalised(t *testing.T, m message) string {
	t.Helper()
	text := string(m.Result)
	if m.Error != nil {
		text = fmt.Sprint("error ", m.Error.Code, " ", m.Error.Message)
	}
	for _, r := range []struct{ pattern, with string }{
		{`\\n   (file|download): [^\\]*(\\u0026[^\\]*)?`, ``},
		{`\\n  (file|download): [^\\"]*(\\u0026[^\\"]*)?`, ``},
		{`\\n  \\"(path|download_url|download_expires_at)\\": \\"[^"]*\\",`, ``},
		{`"(path|download_url|download_expires_at)":"[^"]*",?`, ``},
		{`01[0-9a-hjkmnp-tv-z]{24}`, `ID`},
		{`20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?Z?`, `TIME`},
		{`(request_id\\?": ?\\?")[^"\\]*`, `${1}REQUEST`},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	if m.Error != nil {
		return text
	}
	var value any
	require.NoError(t, json.Unmarshal([]byte(text), &value), text)
	b, err := json.Marshal(value)
	require.NoError(t, err)
	return string(b)
}

func inProcess(t *testing.T, isModern bool) wire {
	t.Helper()
	r := newRig(t, func(c *settings) {
		c.MaxMessage, c.Locator = 0, resources.Locator{Path: true}
		inOrder(c)
	})
	client, err := r.Client(t.Context(), "t", "1")
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	id := 0
	return wireFunc(func(t *testing.T, method, params string) message {
		t.Helper()
		id++
		response, err := client.GetTransport().SendRequest(t.Context(), transport.JSONRPCRequest{
			JSONRPC: "2.0", ID: mcp.NewRequestId(id), Method: method, Params: json.RawMessage(withMeta(isModern, params)),
		})
		require.NoError(t, err)
		m := message{Result: response.Result}
		if response.Error != nil {
			m.Error = &testrig.Error{Code: response.Error.Code, Message: response.Error.Message, Data: response.Error.Data}
		}
		return m
	})
}

func stdioWire(t *testing.T, isModern bool) wire {
	t.Helper()
	r := newRig(t, inOrder)
	if isModern {
		r.start(t)
	} else {
		r.handshake(t)
	}
	id := 0
	return wireFunc(func(t *testing.T, method, params string) message {
		t.Helper()
		id++
		r.send(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, id, method, withMeta(isModern, params)))
		return r.answer(t)
	})
}
