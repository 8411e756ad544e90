// Package viewer has the page that shows images inside hosts which support MCP Apps
// (https://github.com/modelcontextprotocol/ext-apps, version 2026-01-26).
//
// The page is one file without a build step. It loads nothing and decodes images from
// the messages of the host onto a canvas, because hosts forbid network access, and some
// forbid <img> as well. It assumes little of the host: parts of results, whole results
// and the reading of resources may be missing.
package viewer

import (
	_ "embed" // viewer.html
	"net/url"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
)

//go:embed viewer.html
var page string

const (
	// Extension is the name of the extension that server and client announce.
	Extension = "io.modelcontextprotocol/ui"
	// MIMEType is that of the page. Hosts compare it literally.
	MIMEType = "text/html;profile=mcp-app"
	// ProjectKey is the key in _meta of a result that tells the page whether files can be
	// saved to a project.
	ProjectKey = "zai-image/project"

	prefix = "ui://zai-image/"
)

// URI returns the URI of the page. It has the version of the program, because hosts keep
// a page by its URI.
func URI(version string) string { return prefix + url.PathEscape(version) }

// Is reports whether a URI is that of the page, of this or another version. Hosts keep
// lists of tools, and with them URIs, of earlier versions.
func Is(uri string) bool {
	version, ok := strings.CutPrefix(uri, prefix)
	return ok && version != "" && !strings.ContainsAny(version, "/?#")
}

// Contents returns the page under the URI that was requested.
func Contents(uri string) mcp.ResourceContents {
	return mcp.TextResourceContents{URI: uri, MIMEType: MIMEType, Text: page, Meta: map[string]any{"ui": map[string]any{
		// Empty lists: without any, a host complains that there is no policy.
		"csp":           map[string]any{"connectDomains": []string{}, "resourceDomains": []string{}},
		"permissions":   map[string]any{"clipboardWrite": map[string]any{}},
		"prefersBorder": true,
	}}}
}

// ToolMeta returns the _meta of a tool whose results the page shows.
func ToolMeta(version string) *mcp.Meta {
	return mcp.NewMetaFromMap(map[string]any{"ui": map[string]any{"resourceUri": URI(version)}})
}
