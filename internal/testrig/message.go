package testrig

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// Messages of a client.
const (
	Initialize  = `{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	Initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	Ping        = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
)

// ManyKeys returns a request with n keys in its params, and with its id at the end.
func ManyKeys(n int) string {
	var b strings.Builder
	b.WriteString(`{"jsonrpc":"2.0","method":"ping","params":{"k":0`)
	for i := range n - 1 {
		fmt.Fprintf(&b, `,"%d":0`, i)
	}
	return b.String() + `},"id":"many"}`
}

// Message is a JSON-RPC message of the server.
type Message struct {
	ID     json.RawMessage
	Method string // "" in responses
	Params map[string]any
	Result json.RawMessage
	Error  *Error
}

// Error is the error of a JSON-RPC response.
type Error struct {
	Code    int
	Message string
	Data    any
}

// ParseMessage decodes a JSON-RPC message.
func ParseMessage(t testing.TB, text []byte) Message {
	t.Helper()
	var m Message
	require.NoError(t, json.Unmarshal(text, &m), string(text))
	return m
}

// ToolResult is the result of tools/call.
type ToolResult struct {
	Content []struct {
		Type, Text, Data, URI, MIMEType string
	}
	StructuredContent Structured
	IsError           bool
}

// ToolResult decodes the result of a tool call. It fails the test if the
// response is a protocol error.
func (m Message) ToolResult(t testing.TB) ToolResult {
	t.Helper()
	require.Nil(t, m.Error)
	var r ToolResult
	require.NoError(t, json.Unmarshal(m.Result, &r), string(m.Result))
	return r
}

// Structured is the structured content of the results of all tools.
type Structured struct {
	Images        []resources.Entry  `json:"images"`
	SpentTodayUSD float64            `json:"spent_today_usd"`
	Sandbox       *bool              `json:"sandbox"`
	NextCursor    string             `json:"next_cursor"`
	Notes         []string           `json:"notes"`
	Error         *resources.Failure `json:"error"`
}

// StructuredContent converts structured content that an MCP client has decoded.
// It returns the zero value for nil.
func StructuredContent(t testing.TB, content any) Structured {
	t.Helper()
	raw, err := json.Marshal(content)
	require.NoError(t, err)
	var s Structured
	require.NoError(t, json.Unmarshal(raw, &s))
	return s
}
