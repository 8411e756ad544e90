package server

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/tools"
)

// habit is what a host does with results, beside what the protocol says.
type habit struct {
	client string // how the name begins with which it introduces itself, in lower case
	// dropsContent: the host hands its model the structured content alone when
	// there is any, so that text and images are lost.
	dropsContent bool
}

// habits are the hosts that need something else than the others. All results
// fit the smallest limit that is known, 1 MiB of Claude Desktop, so that is no
// habit; and whether a path or a link helps depends on the transport.
func habits() []habit {
	return []habit{
		{client: "codex", dropsContent: true}, // codex-mcp-client
	}
}

// Structured says whether results have structured content.
type Structured string

// The choices for Structured.
const (
	StructuredAuto   Structured = "auto" // as the host's habit is
	StructuredAlways Structured = "always"
	StructuredNever  Structured = "never"
)

// wishes are what whoever set up a client says of it in the server's URL.
type wishes struct {
	inline     tools.Inline
	structured Structured
}

// readWishes reads ?inline= and ?structured=. The error names what is possible.
func readWishes(query url.Values) (w wishes, err error) {
	w = wishes{tools.Inline(query.Get("inline")), Structured(query.Get("structured"))}
	if !slices.Contains([]tools.Inline{"", tools.InlinePreview, tools.InlineFull, tools.InlineNone}, w.inline) {
		return w, fmt.Errorf("inline is %s, %s or %s", tools.InlinePreview, tools.InlineFull, tools.InlineNone)
	}
	if !slices.Contains([]Structured{"", StructuredAuto, StructuredAlways, StructuredNever}, w.structured) {
		return w, fmt.Errorf("structured is %s, %s or %s", StructuredAuto, StructuredAlways, StructuredNever)
	}
	return w, nil
}

func habitOf(ctx context.Context) habit {
	session, ok := server.ClientSessionFromContext(ctx).(server.SessionWithClientInfo)
	if !ok {
		return habit{}
	}
	name := strings.ToLower(session.GetClientInfo().Name)
	for _, h := range habits() {
		if strings.HasPrefix(name, h.client) {
			return h
		}
	}
	return habit{}
}

// inline is what results of a request carry of images: what its URL says,
// else what the server is set to ("").
func inline(ctx context.Context) tools.Inline { return callerOf(ctx).wishes.inline }

// unstructured tells that results of a request have no structured content.
func (s *Server) unstructured(ctx context.Context) bool {
	for _, said := range []Structured{callerOf(ctx).wishes.structured, s.structured} {
		switch said {
		case StructuredAlways:
			return false
		case StructuredNever:
			return true
		case StructuredAuto:
			return habitOf(ctx).dropsContent
		}
	}
	return habitOf(ctx).dropsContent
}

// suitHost leaves the structured content out for hosts that misuse it, and
// links for those that do not know them.
func (s *Server) suitHost(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		result, err := next(ctx, request)
		if result != nil && s.unstructured(ctx) {
			result.StructuredContent = nil
		}
		if result != nil && beforeLinks(ctx) {
			result.Content = slices.DeleteFunc(result.Content, func(c mcp.Content) bool { _, is := c.(mcp.ResourceLink); return is })
		}
		return result, err
	}
}

// beforeLinks tells that a client agreed on a protocol version without
// resource_link, which came with 2025-06-18
// (https://modelcontextprotocol.io/specification/2025-06-18/changelog). Strict
// clients refuse the whole result over a content type they do not know; the
// text has the URI as well.
func beforeLinks(ctx context.Context) bool {
	session, ok := server.ClientSessionFromContext(ctx).(server.SessionWithProtocolVersion)
	if !ok {
		return false
	}
	version := session.ProtocolVersion()
	return version != "" && version < "2025-06-18"
}

// suitToolList takes the output schemas back with it: clients refuse a result
// without structured content from a tool that promises one.
func (s *Server) suitToolList(ctx context.Context, _ any, _ *mcp.ListToolsRequest, result *mcp.ListToolsResult) {
	if !s.unstructured(ctx) {
		return
	}
	for i := range result.Tools {
		result.Tools[i].RawOutputSchema = nil
	}
}
