package viewer_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/tools/viewer"
)

func page(t *testing.T) string {
	t.Helper()
	contents, ok := viewer.Contents(viewer.URI("1")).(mcp.TextResourceContents)
	require.True(t, ok)
	return contents.Text
}

// Every view of a result reads the page.
func TestPage_Size(t *testing.T) {
	t.Parallel()
	assert.LessOrEqual(t, len(page(t)), 24*1024)
}

// Hosts forbid requests, and some forbid <img> as well. Text of models and users is never
// parsed as HTML.
func TestPage_LoadsNothing(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`(?i)<(img|link|iframe|object|embed|base|form|svg|audio|video)\b|\bnew Image\b|(make|createElement)\('(img|image|script|iframe|link)'|` +
		`\b(src|srcset|href)\s*=|\burl\(|@import|@font-face|\bhttps?:|\b(fetch|import|importScripts|eval)\(|\bnew Function\b|XMLHttpRequest|WebSocket|EventSource|sendBeacon|createObjectURL|` +
		`innerHTML|outerHTML|insertAdjacentHTML|document\.write|setAttribute\('on|localStorage|sessionStorage|indexedDB|document\.cookie`)
	code := regexp.MustCompile(`(?m)//.*$`).ReplaceAllString(page(t), "")
	assert.Empty(t, forbidden.FindAllString(code, -1))
	for _, bad := range []string{
		`<img src="x">`, `make('img')`, `new Image()`, `fetch('x')`, `import('x')`, `eval('1')`, `a.innerHTML = b`, `background: url(x)`, `<script src="x">`, `'https:' + x`,
	} {
		assert.Regexp(t, forbidden, bad)
	}
}

// Hosts put their policy after the first text that looks like the opening tag of head.
func TestPage_Head(t *testing.T) {
	t.Parallel()
	text := page(t)
	assert.Equal(t, strings.Index(text, "<head>"), regexp.MustCompile(`(?i)<head[^>]*>`).FindStringIndex(text)[0])
	assert.True(t, strings.HasPrefix(text, "<!doctype html>\n<html lang=\"en\">\n<head>\n"))
	assert.Equal(t, 1, strings.Count(text, "</script>"))
}

// The page can spend money in one place.
func TestPage_OnePayment(t *testing.T) {
	t.Parallel()
	assert.Equal(t, 1, strings.Count(page(t), "generate_image"))
}

func TestURI(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "ui://zai-image/0.1.0", viewer.URI("0.1.0"))
	for uri, is := range map[string]bool{
		viewer.URI("0.1.0"): true, viewer.URI("0.0.1-rc.1+dirty"): true, viewer.URI("a/b"): true, viewer.URI("(devel)"): true,
		"ui://zai-image/": false, "ui://zai-image": false, "ui://zai-image/1/2": false, "ui://other/1": false, "zai-image://models": false, "": false,
	} {
		assert.Equal(t, is, viewer.Is(uri), uri)
	}
}

func TestContents(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(viewer.Contents("ui://zai-image/0.0.9"))
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(raw, &got))
	assert.Equal(t, page(t), got["text"])
	delete(got, "text")
	assert.Equal(t, map[string]any{
		"uri": "ui://zai-image/0.0.9", "mimeType": "text/html;profile=mcp-app",
		"_meta": map[string]any{"ui": map[string]any{
			"csp": map[string]any{"connectDomains": []any{}, "resourceDomains": []any{}}, "permissions": map[string]any{"clipboardWrite": map[string]any{}}, "prefersBorder": true,
		}},
	}, got)
}
