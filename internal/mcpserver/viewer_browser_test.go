package mcpserver_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A real browser shows the viewer in an opaque frame that may load no image. The host
// page speaks both eras of the protocol and takes away from results what hosts take.
func TestViewer_Browser(t *testing.T) {
	t.Parallel()
	if os.Getenv("ZAI_TEST_BROWSER") != "1" {
		t.Skip("NOT TESTED: the viewer is not shown in a browser; set ZAI_TEST_BROWSER=1 and install Debian's chromium")
	}
	b := newViewerBrowser(t)
	t.Run("pictures", b.pictures)
	t.Run("losses", b.losses)
	t.Run("no result", b.noResult)
	t.Run("announces less", b.announcesLess)
	t.Run("outdated", b.outdated)
	t.Run("library", b.library)
	t.Run("buttons", b.buttons)
	t.Run("double click", b.doubleClick)
	t.Run("looks", b.looks)
	t.Run("hostile prompts", b.hostilePrompts)
	t.Run("errors", b.errors)
}

// everything is what the best hosts can do.
func everything() object {
	caps := object{}
	for _, name := range []string{"openLinks", "downloadFile", "serverTools", "serverResources", "message", "updateModelContext", "logging"} {
		caps[name] = object{}
	}
	return caps
}

// without returns the capabilities but some.
func without(names ...string) object {
	caps := everything()
	for _, name := range names {
		delete(caps, name)
	}
	return caps
}

// shows is a case in which generate_image is called.
func shows(prompt string, n int, steps ...[]any) viewerCase {
	return viewerCase{
		Era: "2025-11-25", Client: "host", Loss: "none", Capabilities: everything(), Context: object{"theme": "light", "locale": "en-US", "timeZone": "UTC"},
		Call: &viewerCall{Name: "generate_image", Arguments: object{"prompt": prompt, "size": "512x512", "n": n}},
		CSP:  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'none'", Width: 754, Faster: 1, Steps: steps,
	}
}

func do(action string, values ...any) []any { return append([]any{action}, values...) }

// drawn waits for n pictures and, if there are several, their thumbnails.
func drawn(n int) []any {
	if n > 1 {
		n++
	}
	return do("drawn", n)
}

func (b *viewerBrowser) pictures(t *testing.T) {
	for _, era := range []string{"2025-11-25", "2026-07-28"} {
		for n := 1; n <= 4; n++ {
			t.Run(era+", "+strconv.Itoa(n), func(t *testing.T) {
				before := b.sandbox.Posts()
				c := shows("a fox in the snow", n, drawn(n))
				c.Era = era
				c.Call.Arguments["size"] = []string{"", "1152x864", "864x1152", "512x512", "1152x864"}[n]
				r := b.show(t, c)
				assert.Equal(t, before+int64(n), b.sandbox.Posts(), "only the call of the host")
				assert.Zero(t, r.count("tools/call", "generate_image"))
				s := r.last()
				for _, want := range []string{"a fox in the snow", strings.ReplaceAll(c.Call.Arguments["size"].(string), "x", " × "), "cogview-4-250304", "$0.01"} {
					assert.Contains(t, s.Text, want)
				}
				assert.Regexp(t, `[A-Z][a-z]+ \d+, 20\d\d`, s.Text)
				assert.Contains(t, s.Labels, "a fox in the snow")
				require.NotEmpty(t, r.Sizes)
				assert.LessOrEqual(t, r.Sizes[len(r.Sizes)-1], 500.0)
				assert.LessOrEqual(t, s.Height, 500.0)
				assert.Contains(t, r.Types, "resource_link")
				ui, _ := r.Page["ui"].(object)
				assert.Equal(t, object{"connectDomains": []any{}, "resourceDomains": []any{}}, ui["csp"])
			})
		}
	}
	t.Run("narrow", func(t *testing.T) {
		for _, n := range []int{1, 4} {
			c := shows("a fox on a phone", n, drawn(n))
			c.Width = 340
			assert.LessOrEqual(t, b.show(t, c).last().Height, 500.0)
		}
	})
}

func (b *viewerBrowser) losses(t *testing.T) {
	const noReads, nothing = "no reads", "no capabilities"
	for _, tt := range []struct {
		name, client, loss, can string
		n                       int
		free                    bool // the picture comes without a request
	}{
		{"desktop", "host", "desktop", "", 1, false},
		{"desktop, several", "host", "desktop", "", 3, false},
		{"claude-ai", "claude-ai", "desktop", "", 2, false},
		{"Anthropic/ClaudeAI", "Anthropic/ClaudeAI", "cowork", "", 2, false},
		{"codex", "codex-mcp-client", "none", "", 2, false},
		{"text alone", "host", "text", "", 2, false},
		{"text alone, no reads", "host", "text", noReads, 2, false},
		{"cowork", "host", "cowork", "", 1, false},
		{"cowork, no reads", "host", "cowork", noReads, 2, false},
		{"emptied", "host", "emptied", "", 2, false},
		{"emptied, no reads", "host", "emptied", noReads, 1, false},
		{"no reads", "host", "none", noReads, 2, false},
		{"no capabilities", "host", "none", nothing, 2, true},
		{"desktop, no capabilities", "host", "desktop", nothing, 1, true},
		{"cowork, no capabilities", "host", "cowork", nothing, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := b.sandbox.Posts()
			c := shows("a loss: "+tt.name, tt.n, drawn(tt.n), do("text", "a loss: "+tt.name))
			c.Client, c.Loss = tt.client, tt.loss
			switch tt.can {
			case noReads:
				c.Capabilities = without("serverResources")
			case nothing:
				c.Capabilities = object{}
			}
			r := b.show(t, c)
			assert.Equal(t, before+int64(tt.n), b.sandbox.Posts(), "only the call of the host")
			assert.Zero(t, r.count("tools/call", "generate_image"), "nothing is paid to recover")
			links := tt.n
			if strings.Contains(strings.ToLower(tt.client), "claude") {
				links = 0 // Claude gives the viewer no result that has one
			}
			assert.Equal(t, links, strings.Count(strings.Join(r.Types, " "), "resource_link"))
			if tt.free {
				assert.Equal(t, []string{"resources/read zai-image://models"}, r.requests(), "to see whether the host does more than it announces")
			}
			if tt.can == noReads {
				assert.Zero(t, r.count("resources/read", ""))
			}
			if tt.loss != "none" && tt.can == nothing {
				assert.Contains(t, r.last().Text, "download: "+b.base, "what the text says")
			}
			assert.LessOrEqual(t, r.last().Height, 500.0)
		})
	}
}

// Some hosts announce less than they do.
func (b *viewerBrowser) announcesLess(t *testing.T) {
	for _, loss := range []string{"none", "text", "emptied"} {
		c := shows("a modest host, "+loss, 2, drawn(2), do("control", "Use in chat"), do("click", "Again"), do("control", "Make"), do("click", "Cancel"), do("click", "Older"), do("drawn", 2))
		c.Loss, c.Capabilities, c.Does = loss, object{"openLinks": object{}}, everything()
		assert.Zero(t, b.show(t, c).count("tools/call", "generate_image"))
	}
}

// A result can be older than its links, and come before its images are done.
func (b *viewerBrowser) outdated(t *testing.T) {
	c := shows("an old fox", 1, drawn(1), do("click", "Open"), do("asked", "ui/open-link"), do("state"))
	c.Loss = "expired"
	r := b.show(t, c)
	assert.Equal(t, 1, r.count("tools/call", "get_image"))
	assert.Equal(t, 1, r.count("ui/open-link", b.base+"/images/"))

	c = shows("a slow fox", 2, do("text", "Still being made"), drawn(2))
	c.Loss = "unfinished"
	r = b.show(t, c)
	assert.Equal(t, 2, r.count("tools/call", "get_image"))
	assert.Zero(t, r.count("tools/call", "generate_image"))

	c.Steps = [][]any{do("text", "Still being made"), do("click", "Older"), do("drawn", 2), do("click", "Back"), drawn(2)}
	b.show(t, c)
}

// The result never arrives, or nothing does.
func (b *viewerBrowser) noResult(t *testing.T) {
	b.show(t, shows("an early bird", 1, drawn(1)))
	for name, change := range map[string]func(*viewerCase){
		"lost":                  func(*viewerCase) {},
		"lost, no reads":        func(c *viewerCase) { c.Capabilities = without("serverResources") },
		"nothing at all":        func(c *viewerCase) { c.Call = nil },
		"nothing at all, no id": func(c *viewerCase) { c.Call, c.Capabilities = nil, without("serverResources") },
	} {
		t.Run(name, func(t *testing.T) {
			c := shows("a bird: "+name, 1, drawn(1))
			c.Loss, c.Faster = "lost", 20
			change(&c)
			r := b.show(t, c)
			assert.Zero(t, r.count("tools/call", "generate_image"), "nothing is paid to recover")
			assert.Positive(t, r.count("tools/call", "list_images"))
			if c.Call != nil {
				assert.Contains(t, r.last().Text, "a bird: "+name)
			}
		})
	}
	t.Run("no capabilities", func(t *testing.T) {
		c := shows("a lost bird", 1, do("text", "not supported: tools/call"))
		c.Loss, c.Faster, c.Capabilities = "lost", 20, object{}
		assert.Zero(t, b.show(t, c).count("tools/call", "generate_image"))
	})
}

// The results of the free tools.
func (b *viewerBrowser) library(t *testing.T) {
	b.show(t, shows("a librarian", 2, drawn(2)))
	c := shows("", 1, do("drawn", 2))
	c.Call = &viewerCall{Name: "list_images", Arguments: object{"query": "librarian"}}
	r := b.show(t, c)
	assert.Contains(t, r.last().Controls, "a librarian")

	c.Steps = [][]any{do("drawn", 2), do("click", "a librarian"), do("text", "512 × 512"), drawn(1), do("click", "Older"), do("fill", "Search", "librarian"), do("click", "Search"), do("drawn", 2), do("click", "Back"), drawn(1)}
	b.show(t, c)
}

// All buttons but one are free.
func (b *viewerBrowser) buttons(t *testing.T) {
	b.show(t, shows("an earlier picture", 1, drawn(1)))
	before := b.sandbox.Posts()
	c := shows("a fox with buttons", 1,
		drawn(1), do("click", "Full size"), do("text", "Smaller"), do("click", "Smaller"), do("text", "Full size"),
		do("click", "Open"), do("click", "Download"), do("click", "Copy id"), do("click", "Use in chat"),
		do("click", "Save to project"), do("fill", "File in the project", "assets/fox.webp"), do("click", "Save"), do("text", "assets/fox.webp"), do("control", "Save to project"),
		do("click", "Older"), do("drawn", 2), do("fill", "Search", "earlier"), do("click", "Search"), do("controls", "an earlier picture", 1), do("click", "Back"),
		do("click", "Again"), do("control", "Make · $0.01"), do("fill", "Number", "3"), do("control", "Make · $0.03"), do("click", "Cancel"), do("control", "Again"),
	)
	r := b.show(t, c)
	assert.Equal(t, before+1, b.sandbox.Posts(), "only the call of the host")
	assert.Equal(t, 1, r.count("tools/call", "export_image"))
	assert.Zero(t, r.count("tools/call", "generate_image"))
	assert.Equal(t, 1, r.count("ui/open-link", b.base+"/images/"))
	assert.Equal(t, 1, r.count("ui/message", ""))
	assert.FileExists(t, filepath.Join(b.project, "assets", "fox.webp"))
	require.Equal(t, 1, r.count("ui/download-file", ""))
	for _, q := range r.Log {
		if q.Method != "ui/download-file" {
			continue
		}
		var p struct {
			Contents []struct {
				Resource struct{ MimeType, Blob string }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(q.Params), &p))
		require.Len(t, p.Contents, 1)
		assert.Equal(t, "image/png", p.Contents[0].Resource.MimeType)
		assert.True(t, strings.HasPrefix(p.Contents[0].Resource.Blob, "iVBORw0KGgo"), "the original")
	}
}

// The button that names the price pays once, however often it is clicked.
func (b *viewerBrowser) doubleClick(t *testing.T) {
	before := b.sandbox.Posts()
	c := shows("a fox for two clicks", 1,
		drawn(1), do("ambush", "Make"), do("click", "Again"), do("control", "Make"), do("fill", "Prompt", "another fox"), do("press", "Make", "Making…"),
		do("text", "another fox"), do("control", "Again"), drawn(1),
	)
	r := b.show(t, c)
	assert.Equal(t, before+2, b.sandbox.Posts(), "the call of the host and one of the viewer")
	assert.Equal(t, 1, r.count("tools/call", "generate_image"))
	assert.Equal(t, 1, r.count("ui/update-model-context", ""))
}

func (b *viewerBrowser) looks(t *testing.T) {
	c := shows("a fox in Berlin", 1, drawn(1), do("host", "ui/notifications/host-context-changed", object{"theme": "dark", "locale": "de-DE"}), do("text", "0,01"))
	r := b.show(t, c)
	first, last := r.States[0], r.last()
	assert.Equal(t, "light", first.Scheme)
	assert.Equal(t, "dark", last.Scheme)
	assert.NotEqual(t, first.Color, last.Color)
	assert.Contains(t, last.Text, "0,01\u00a0$")

	c = shows("a fox of the night", 1, drawn(1))
	c.Context = object{"theme": "dark", "locale": "not a locale!", "styles": object{"variables": object{"--color-text-primary": "rgb(1, 2, 3)"}}, "unknown": []int{1}}
	r = b.show(t, c)
	assert.Equal(t, "dark", r.last().Scheme)
	assert.Equal(t, "rgb(1, 2, 3)", r.last().Color)
	assert.Contains(t, r.last().Text, "0.01")

	c = shows("a fox in an older host", 1, drawn(1))
	c.Context = nil
	b.show(t, c)
}

func (b *viewerBrowser) hostilePrompts(t *testing.T) {
	for i, prompt := range []string{
		`<img src=x onerror="parent.postMessage('attack','*')">`,
		`"><svg onload="parent.postMessage('attack','*')">`,
		"</script><script>parent.postMessage('attack','*')</script>",
		"<b style=position:fixed>${parent.postMessage('attack','*')}</b>\u202e$& $1",
		strings.Repeat("wide", 900),
	} {
		for _, loss := range []string{"none", "desktop", "emptied"} {
			if i > 0 && loss != "none" {
				continue
			}
			c := shows(prompt, 1, drawn(1), do("click", "Older"), do("drawn", 1), do("click", "Back"), do("click", "Again"), do("control", "Make"), do("click", "Cancel"), drawn(1))
			c.Loss, c.Width = loss, 400
			s := b.show(t, c).last()
			assert.Contains(t, s.Text, prompt[:20])
			for _, e := range []string{"img", "svg", "b"} {
				assert.NotContains(t, s.Elements, e)
			}
		}
	}
}

// The viewer shows why a call failed, and pays for nothing.
func (b *viewerBrowser) errors(t *testing.T) {
	for prompt, want := range map[string]string{
		"sandbox:content_blocked": "(kind: content_blocked)",
		"sandbox:no_balance":      "(kind: no_balance)",
	} {
		for _, loss := range []string{"none", "desktop"} {
			c := shows(prompt, 1, do("text", want))
			c.Loss = loss
			r := b.show(t, c)
			assert.Zero(t, r.count("tools/call", ""))
			assert.Zero(t, r.last().Drawn)
		}
	}
	c := shows("a fox and no blockade", 1, drawn(1), do("click", "Again"), do("control", "Make"), do("fill", "Prompt", "sandbox:content_blocked"), do("press", "Make", "Making…"), do("text", "(kind: content_blocked)"))
	assert.Equal(t, 1, b.show(t, c).count("tools/call", "generate_image"))
}
