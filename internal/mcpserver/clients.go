package mcpserver

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/transport"
	"zai-image-mcp/tools"
)

// quirk describes how a host departs from the protocol.
type quirk struct {
	client string // prefix of the name that the host gives itself, in lower case
	// dropsContent: the host passes structured content alone to its model, so
	// that text and images are lost.
	dropsContent bool
	// losesLinked: the host's viewer of apps does not receive a result that contains
	// a resource_link.
	losesLinked bool
}

// quirks returns the hosts that need special results. The size limit of Claude
// Desktop, 1 MiB, needs no entry: all results stay below it. Whether a path or a
// link is useful depends on the transport, not on the host.
func quirks() []quirk {
	return []quirk{
		{client: "codex", dropsContent: true},    // codex-mcp-client
		{client: "claude-ai", losesLinked: true}, // Claude Desktop and claude.ai
		{client: "anthropic/claudeai", losesLinked: true},
	}
}

// Structured selects whether results have structured content.
type Structured string

// The values of Structured.
const (
	StructuredAuto   Structured = "auto" // unless the host drops the rest
	StructuredAlways Structured = "always"
	StructuredNever  Structured = "never"
)

// overrides are per-client settings from the query of the endpoint's URL; empty
// for the server's own.
type overrides struct {
	inline     tools.Inline
	structured Structured
}

// parseOverrides parses ?inline= and ?structured=. Its error names the values.
func parseOverrides(query url.Values) (o overrides, err error) {
	o = overrides{tools.Inline(query.Get("inline")), Structured(query.Get("structured"))}
	if !slices.Contains([]tools.Inline{"", tools.InlinePreview, tools.InlineFull, tools.InlineNone}, o.inline) {
		return overrides{}, fmt.Errorf("inline is %s, %s or %s", tools.InlinePreview, tools.InlineFull, tools.InlineNone)
	}
	if !slices.Contains([]Structured{"", StructuredAuto, StructuredAlways, StructuredNever}, o.structured) {
		return overrides{}, fmt.Errorf("structured is %s, %s or %s", StructuredAuto, StructuredAlways, StructuredNever)
	}
	return o, nil
}

// CheckQuery fails if the query of an endpoint's URL has a wrong setting.
func (s *Server) CheckQuery(query url.Values) error {
	_, err := parseOverrides(query)
	return err
}

// overridesOf returns the settings of a request, whose query was checked.
func overridesOf(r *transport.Request) overrides {
	o, _ := parseOverrides(r.Query)
	return o
}

func quirkOf(session server.ClientSession) quirk {
	known, ok := session.(server.SessionWithClientInfo)
	if !ok {
		return quirk{}
	}
	name := strings.ToLower(known.GetClientInfo().Name)
	for _, q := range quirks() {
		if strings.HasPrefix(name, q.client) {
			return q
		}
	}
	return quirk{}
}

// omitStructured reports whether results of a request have no structured
// content: the URL decides, else the server's setting, else the host's name.
func (s *Server) omitStructured(r *transport.Request) bool {
	for _, choice := range []Structured{overridesOf(r).structured, s.structured} {
		switch choice {
		case StructuredAlways:
			return false
		case StructuredNever:
			return true
		case StructuredAuto:
			return quirkOf(r.Session).dropsContent
		}
	}
	return quirkOf(r.Session).dropsContent
}

// adaptResult removes structured content for hosts that misuse it, and links
// for clients that do not support them or lose the result because of them. It adds
// what the viewer needs.
func (s *Server) adaptResult(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		result, err := next(ctx, request)
		r := transport.RequestFrom(ctx)
		if result != nil && s.omitStructured(r) {
			result.StructuredContent = nil
		}
		if result != nil && (lacksResourceLinks(r.Session) || quirkOf(r.Session).losesLinked) {
			result.Content = slices.DeleteFunc(result.Content, func(c mcp.Content) bool { _, is := c.(mcp.ResourceLink); return is })
		}
		if result != nil {
			s.markProject(result)
		}
		return result, err
	}
}

// lacksResourceLinks reports whether a client negotiated a protocol version
// without resource_link, which came with 2025-06-18
// (https://modelcontextprotocol.io/specification/2025-06-18/changelog). Strict
// clients refuse the whole result because of an unknown content type; the text
// has the URI as well.
func lacksResourceLinks(session server.ClientSession) bool {
	versioned, ok := session.(server.SessionWithProtocolVersion)
	if !ok {
		return false
	}
	version := versioned.ProtocolVersion()
	return version != "" && version < "2025-06-18"
}

// adaptToolList removes output schemas for the same hosts: clients reject a
// result without structured content if the tool declares one.
func (s *Server) adaptToolList(r *transport.Request, response mcp.JSONRPCMessage) mcp.JSONRPCMessage {
	complete, ok := response.(mcp.JSONRPCResponse)
	if !ok || !s.omitStructured(r) {
		return response
	}
	if list, ok := complete.Result.(mcp.ListToolsResult); ok {
		list.Tools = slices.Clone(list.Tools)
		for i := range list.Tools {
			list.Tools[i].RawOutputSchema = nil
		}
		complete.Result = list
	}
	return complete
}
