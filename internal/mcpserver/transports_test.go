package mcpserver_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/mcpserver"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// Every transport gives the same results in each era. What differs by its nature
// is replaced first: ids, times, links, and the path of the file.
func TestTransports_SameResults(t *testing.T) {
	t.Parallel()
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
	for _, isStateless := range []bool{false, true} {
		t.Run(fmt.Sprintf("stateless=%v", isStateless), func(t *testing.T) {
			t.Parallel()
			want := run(t, inProcess(t, isStateless))
			for name, open := range map[string]func() wire{
				"stdio":      func() wire { return newRig(t, inOrder).wire(t, isStateless) },
				"streamable": func() wire { return newWebRig(t, webOptions{config: inOrder}).streamable(t, isStateless) },
				"sse":        func() wire { return newWebRig(t, webOptions{config: inOrder}).sse(t, isStateless) },
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
	text = regexp.MustCompile(`"/9j/[^"]*"`).ReplaceAllStringFunc(text, withoutLabel)
	if m.Error != nil {
		return text
	}
	var value any
	require.NoError(t, json.Unmarshal([]byte(text), &value), text)
	b, err := json.Marshal(value)
	require.NoError(t, err)
	return string(b)
}

// withoutLabel returns the rest of a JPEG in base64 with quotes after its metadata: the
// label has the id and the time of the image.
func withoutLabel(quoted string) string {
	file, err := base64.StdEncoding.DecodeString(strings.Trim(quoted, `"`))
	_, pixels, ok := bytes.Cut(file, []byte{0xff, 0xdb})
	if err != nil || !ok {
		return quoted
	}
	return `"` + base64.StdEncoding.EncodeToString(pixels) + `"`
}

func inProcess(t *testing.T, isStateless bool) wire {
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
			JSONRPC: "2.0", ID: mcp.NewRequestId(id), Method: method, Params: json.RawMessage(withMeta(isStateless, params)),
		})
		require.NoError(t, err)
		m := message{Result: response.Result}
		if response.Error != nil {
			m.Error = &testrig.Error{Code: response.Error.Code, Message: response.Error.Message, Data: response.Error.Data}
		}
		return m
	})
}

// wire starts the rig and returns its stream as a wire.
func (r *rig) wire(t *testing.T, isStateless bool) wire {
	t.Helper()
	if isStateless {
		r.start(t)
	} else {
		r.handshake(t)
	}
	id := 0
	return wireFunc(func(t *testing.T, method, params string) message {
		t.Helper()
		id++
		r.send(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, id, method, withMeta(isStateless, params)))
		return r.answer(t)
	})
}

// link is a server that is reached over one transport in one era.
type link struct {
	wire
	*mcpserver.Server
	log         *safeBuffer
	isStateless bool
}

// overTransports runs a test over each transport in each era. change and prepare
// are optional; prepare is called before the first request.
func overTransports(t *testing.T, change func(*settings), prepare func(*mcpserver.Server), test func(t *testing.T, l link)) {
	t.Helper()
	for name, open := range map[string]func(t *testing.T, isStateless bool) link{
		"stdio": func(t *testing.T, isStateless bool) link {
			r := newRig(t, change)
			if prepare != nil {
				prepare(r.Server)
			}
			return link{r.wire(t, isStateless), r.Server, r.log, isStateless}
		},
		"streamable": func(t *testing.T, isStateless bool) link {
			r := newWebRig(t, webOptions{config: change})
			if prepare != nil {
				prepare(r.Server)
			}
			return link{r.streamable(t, isStateless), r.Server, r.log, isStateless}
		},
		"sse": func(t *testing.T, isStateless bool) link {
			r := newWebRig(t, webOptions{config: change})
			if prepare != nil {
				prepare(r.Server)
			}
			return link{r.sse(t, isStateless), r.Server, r.log, isStateless}
		},
	} {
		for _, isStateless := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stateless %v", name, isStateless), func(t *testing.T) {
				test(t, open(t, isStateless))
			})
		}
	}
}

// The text of a panic or an error goes to the log, not to the client, and the
// server continues.
func TestTransports_PanicsAreOpaque(t *testing.T) {
	t.Parallel()
	const secret = "sk-secret"
	overTransports(t, nil, func(s *mcpserver.Server) {
		s.AddTool("explode", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { panic(secret) })
		s.AddTool("fail", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return nil, errors.New(secret)
		})
		s.AddResource("test://explode", func(context.Context) ([]mcp.ResourceContents, error) { panic(secret) })
		s.AddResource("test://fail", func(context.Context) ([]mcp.ResourceContents, error) { return nil, errors.New(secret) })
		s.OnPrompt(func() { panic(secret) })
	}, func(t *testing.T, l link) {
		for _, name := range []string{"explode", "fail"} {
			m := l.request(t, "tools/call", fmt.Sprintf(`{"name":%q}`, name))
			require.Nil(t, m.Error)
			assert.Contains(t, string(m.Result), `"isError":true`)
			assert.Contains(t, string(m.Result), `(kind: internal)`)
			assert.NotContains(t, string(m.Result), "secret")
			m = l.request(t, "resources/read", fmt.Sprintf(`{"uri":"test://%s"}`, name))
			require.NotNil(t, m.Error)
			assert.Equal(t, -32603, m.Error.Code)
			assert.NotContains(t, m.Error.Message, "secret")
		}
		m := l.request(t, "prompts/get", `{"name":"improve_prompt"}`)
		require.NotNil(t, m.Error)
		assert.Equal(t, -32603, m.Error.Code)
		assert.NotContains(t, m.Error.Message, "secret")
		assert.Contains(t, l.log.String(), secret, "the log has it")
		assert.Contains(t, l.log.String(), "stack")
		require.Nil(t, l.request(t, "prompts/list", `{}`).Error, "the server continues")
	})
}

// broken returns a library whose folder cannot be created.
func broken() *resources.Library {
	return testrig.NewLocalLibrary(testrig.LibraryOptions{Folder: filepath.Join(os.Args[0], "x"), Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
}

// A library that cannot be read is an error, not an empty list.
func TestTransports_BrokenLibrary(t *testing.T) {
	t.Parallel()
	overTransports(t, func(c *settings) { c.Library = broken() }, nil, func(t *testing.T, l link) {
		m := l.request(t, "resources/list", `{}`)
		require.NotNil(t, m.Error)
		assert.Contains(t, m.Error.Message, "cannot be used")
		require.Nil(t, l.request(t, "tools/list", `{}`).Error)
	})
}

// The error for a resource that does not exist names the URI of the request. Its
// code differs between the eras.
func TestTransports_NotFound(t *testing.T) {
	t.Parallel()
	overTransports(t, nil, nil, func(t *testing.T, l link) {
		for _, uri := range []string{
			"zai-image://images/01m7wnsdj83vthhjy68qfe1hke", "zai-image://images/01m7wnsdj83vthhjy68qfe1hke/preview", "zai-image://images/nope", "zai-image://x", "test://y",
		} {
			m := l.request(t, "resources/read", fmt.Sprintf(`{"uri":%q}`, uri))
			require.NotNil(t, m.Error, uri)
			assert.Equal(t, map[bool]int{false: -32002, true: -32602}[l.isStateless], m.Error.Code, uri)
			assert.Equal(t, "resource not found: "+uri, m.Error.Message)
			assert.Equal(t, map[string]any{"uri": uri}, m.Error.Data)
		}
		m := l.request(t, "resources/read", fmt.Sprintf(`{"uri":%q}`, "zai-image://images/"+strings.Repeat("x", 10_000)))
		require.NotNil(t, m.Error)
		assert.Less(t, len(m.Error.Message), 300)
	})
}

// Ids come back as the client wrote them.
func TestTransports_RequestIDs(t *testing.T) {
	t.Parallel()
	for name, exchange := range exchanges(t) {
		if name == "stateless" {
			continue // has no ping
		}
		for _, id := range []string{`9007199254740993`, `"a\u00e9"`, `-1.5`, `""`} {
			m := exchange(t, `{"jsonrpc":"2.0","id":`+id+`,"method":"ping"}`)
			assert.Nil(t, m.Error, name)
			assert.Equal(t, id, string(m.ID), name)
		}
	}
}
