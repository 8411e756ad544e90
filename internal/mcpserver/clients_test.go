package mcpserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/internal/mcpserver"
	"zai-image-mcp/internal/testrig"
)

// The URL decides what a host gets, else the flag, else the host's name.
func TestQuirks_Structured(t *testing.T) {
	t.Parallel()
	hello := func(name string) string {
		return strings.Replace(testrig.Initialize, `"name":"t"`, fmt.Sprintf(`"name":%q`, name), 1)
	}
	for _, tt := range []struct {
		name, query string
		flag        mcpserver.Structured
		structured  bool
		images      int
	}{
		{"claude-code", "", "", true, 1},
		{"codex-mcp-client", "", "", false, 1},
		{"Codex", "", mcpserver.StructuredAuto, false, 1},
		{"codex-mcp-client", "", mcpserver.StructuredAlways, true, 1},
		{"claude-code", "", mcpserver.StructuredNever, false, 1},
		{"codex-mcp-client", "?structured=always", mcpserver.StructuredNever, true, 1},
		{"claude-code", "?structured=never", mcpserver.StructuredAlways, false, 1},
		{"codex-mcp-client", "?structured=auto", mcpserver.StructuredAlways, false, 1},
		{"claude-code", "?inline=none", "", true, 0},
		{"claude-code", "?inline=none&structured=never", "", false, 0},
		{"claude-code", "?inline=full", "", true, 1},
	} {
		t.Run(tt.name+tt.query+string(tt.flag), func(t *testing.T) {
			t.Parallel()
			r := newWebRig(t, webOptions{config: func(c *settings) { c.Structured = tt.flag }})
			response := r.do(t, http.MethodPost, "/mcp"+tt.query, hello(tt.name))
			named := []string{"Mcp-Session-Id", response.Header.Get("Mcp-Session-Id")}
			r.ask(t, http.MethodPost, "/mcp"+tt.query, testrig.Initialized, named...)
			_, list := r.ask(t, http.MethodPost, "/mcp"+tt.query, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, named...)
			_, result := r.ask(t, http.MethodPost, "/mcp"+tt.query, call(2, "generate_image", `{"prompt":"a fox","size":"512x512"}`), named...)
			s := r.openSSEAt(t, "/sse"+tt.query)
			s.send(t, hello(tt.name))
			s.answer(t)
			s.send(t, testrig.Initialized)
			s.send(t, call(3, "generate_image", `{"prompt":"an owl","size":"512x512"}`))
			overSSE := string(s.answer(t).Result)
			assert.Equal(t, tt.structured, strings.Contains(list, `"outputSchema"`))
			for _, text := range []string{result, overSSE} {
				assert.Equal(t, tt.structured, strings.Contains(text, `"structuredContent"`))
				assert.Equal(t, tt.images, strings.Count(text, `"type":"image"`))
			}
		})
	}
	r := newWebRig(t, webOptions{})
	for query, choices := range map[string]string{"?inline=large": "preview, full or none", "?structured=maybe": "auto, always or never"} {
		status, text := r.ask(t, http.MethodPost, "/mcp"+query, testrig.Initialize)
		assert.Equal(t, http.StatusBadRequest, status)
		assert.Contains(t, text, choices)
	}
}

// Prompts over every transport in both eras; wrong arguments are "invalid
// params".
func TestPrompts_AllTransports(t *testing.T) {
	t.Parallel()
	for _, isStateless := range []bool{false, true} {
		for name, open := range map[string]func() wire{
			"stdio":      func() wire { return newRig(t, inOrder).wire(t, isStateless) },
			"streamable": func() wire { return newWebRig(t, webOptions{}).streamable(t, isStateless) },
			"sse":        func() wire { return newWebRig(t, webOptions{}).sse(t, isStateless) },
		} {
			t.Run(fmt.Sprintf("%s, statelessMeta %v", name, isStateless), func(t *testing.T) {
				w := open()
				list := string(w.request(t, "prompts/list", `{}`).Result)
				for _, prompt := range []string{"food_promotion", "product_image", "game_asset", "teaching_illustration", "tourism_promotion", "improve_prompt"} {
					assert.Contains(t, list, fmt.Sprintf(`"name":%q`, prompt))
				}
				assert.Equal(t, list, string(w.request(t, "prompts/list", `{}`).Result), "the order is stable")
				hinted := map[string]string{list: "300000", string(w.request(t, "tools/list", `{}`).Result): "300000", string(w.request(t, "resources/read", `{"uri":"zai-image://models"}`).Result): "3600000"}
				for answer, milliseconds := range hinted {
					assert.Equal(t, isStateless, strings.Contains(answer, `"ttlMs":`+milliseconds) && strings.Contains(answer, `"cacheScope":"private"`), "hints for caches came with 2026-07-28: %.80s", answer)
				}
				got := w.request(t, "prompts/get", `{"name":"food_promotion","arguments":{"dish":"noodle soup"}}`)
				assert.Contains(t, string(got.Result), "noodle soup")
				for params, text := range map[string]string{
					`{"name":"food_promotion","arguments":{}}`:                        `"dish"`,
					`{"name":"food_promotion"}`:                                       `"dish"`,
					`{"name":"food_promotion","arguments":{"dish":"x","colour":"y"}}`: `"colour"`,
					`{"name":"food_promotion","arguments":{"dish":"x","size":"1x1"}}`: "512 to 2048",
					`{"name":"no_such_prompt","arguments":{}}`:                        "no_such_prompt",
				} {
					m := w.request(t, "prompts/get", params)
					if assert.NotNil(t, m.Error, params) {
						assert.Equal(t, -32602, m.Error.Code, params)
						assert.Contains(t, m.Error.Message, text)
					}
				}
				complete := w.request(t, "completion/complete", `{"ref":{"type":"ref/prompt","name":"food_promotion"},"argument":{"name":"style","value":"ru"}}`)
				assert.Contains(t, string(complete.Result), `"rustic"`)
				missing := w.request(t, "resources/read", `{"uri":"zai-image://images/01m7wnsdj83vthhjy68qfe1hke"}`)
				if assert.NotNil(t, missing.Error) {
					assert.Equal(t, map[bool]int{false: -32002, true: -32602}[isStateless], missing.Error.Code)
					assert.Equal(t, map[string]any{"uri": "zai-image://images/01m7wnsdj83vthhjy68qfe1hke"}, missing.Error.Data)
				}
			})
		}
	}
}

// Strict clients refuse a result with a content type that is newer than their
// protocol version. Viewers of other clients receive nothing if there is a link.
func TestQuirks_ResourceLinks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		client, version string
		links           int
	}{
		{"t", "2024-11-05", 0}, {"t", "2025-03-26", 0}, {"t", "2025-06-18", 1}, {"t", "2025-11-25", 1},
		{"claude-ai", "2025-11-25", 0}, {"Anthropic/ClaudeAI", "2025-06-18", 0}, {"claude-code", "2025-11-25", 1},
	} {
		t.Run(tt.client+" "+tt.version, func(t *testing.T) {
			t.Parallel()
			version, links := tt.version, tt.links
			hello := strings.Replace(testrig.Initialize, "2025-11-25", version, 1)
			hello = strings.Replace(hello, `"name":"t"`, fmt.Sprintf(`"name":%q`, tt.client), 1)
			const ask = `{"prompt":"a fox","size":"512x512"}`
			lines := newRig(t, inOrder)
			lines.start(t)
			lines.send(t, hello)
			assert.Contains(t, string(lines.answer(t).Result), version)
			lines.send(t, testrig.Initialized)
			lines.send(t, call(1, "generate_image", ask))
			results := map[string]string{"stdio": string(lines.answer(t).Result)}
			r := newWebRig(t, webOptions{})
			named := []string{"Mcp-Session-Id", r.do(t, http.MethodPost, "/mcp", hello).Header.Get("Mcp-Session-Id")}
			r.ask(t, http.MethodPost, "/mcp", testrig.Initialized, named...)
			_, results["streamable"] = r.ask(t, http.MethodPost, "/mcp", call(1, "generate_image", ask), named...)
			s := r.openSSE(t)
			s.send(t, hello)
			s.answer(t)
			s.send(t, testrig.Initialized)
			s.send(t, call(1, "generate_image", ask))
			results["sse"] = string(s.answer(t).Result)
			for transport, result := range results {
				assert.Equal(t, links, strings.Count(result, `"type":"resource_link"`), transport)
				assert.Contains(t, result, "resource: zai-image://images/", "%s: the text names it all the same", transport)
			}
		})
	}
}
