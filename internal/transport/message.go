package transport

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/internal/limit"
)

// Message is a JSON-RPC message, parsed as far as transports and dispatch need
// it.
type Message struct {
	Raw           json.RawMessage // the whole message
	ID            json.RawMessage // as written, nil without one
	Method        string          // empty for a response
	Params        json.RawMessage // nil without any
	Meta          *mcp.Meta       // of Params
	ProgressToken json.RawMessage // of Meta, as written: mcp-go rounds large numbers
	CancelID      json.RawMessage // request that notifications/cancelled names, as written
	Plain         bool            // jsonrpc is "2.0", and there is no result
}

// isRequest reports whether a message must be answered.
func (m *Message) isRequest() bool { return m.Method != "" && len(m.ID) > 0 }

// is reports whether a message is for this method.
func (m *Message) is(method mcp.MCPMethod) bool { return m.Method == string(method) }

// ProtocolError is a message that violates the protocol.
type ProtocolError struct {
	ID   json.RawMessage // nil if it is not known
	Code int             // of JSON-RPC
	Text string
}

func (e *ProtocolError) Error() string { return e.Text }

// response returns the error as the response to its message.
func (e *ProtocolError) response() (id json.RawMessage, response mcp.JSONRPCMessage) {
	id = e.ID
	if id == nil {
		id = json.RawMessage("null")
	}
	return id, errorResponse(e.Code, e.Text)
}

func errorResponse(code int, text string) mcp.JSONRPCMessage {
	return mcp.JSONRPCError{Error: mcp.NewJSONRPCErrorDetails(code, text, nil)}
}

// ParseMessage parses a message. It fails with a *ProtocolError, which has the
// id of the request if there is one: its sender waits for an answer under that
// id.
func ParseMessage(line []byte) (Message, error) {
	if !json.Valid(line) {
		return Message{}, &ProtocolError{nil, mcp.PARSE_ERROR, "Parse error: the message is not JSON"}
	}
	if line[0] != '{' {
		return Message{}, &ProtocolError{nil, mcp.INVALID_REQUEST, "Invalid request: one message at a time, as a JSON object"}
	}
	o := outlineOf(line)
	m := Message{Raw: line, ID: bytes.TrimSpace(o.id), Params: o.params}
	result := bytes.TrimSpace(o.result)
	m.Plain = string(bytes.TrimSpace(o.version)) == `"2.0"` && (len(result) == 0 || string(result) == "null")
	problem := &ProtocolError{Code: mcp.INVALID_REQUEST}
	if !o.ambiguous && isRequestID(m.ID) {
		problem.ID = m.ID
	}
	if o.elements > limit.MaxElements {
		problem.Text = fmt.Sprintf("Invalid request: the message has more than %d keys and values", limit.MaxElements)
		return m, problem
	}
	if problem.Text = checkKeys(line); problem.Text != "" {
		return m, problem
	}
	switch {
	case o.method == nil && !o.response:
		problem.Text = "Invalid request: there is no method"
	case o.method != nil && json.Unmarshal(o.method, &m.Method) != nil, o.method != nil && m.Method == "":
		problem.Text = "Invalid request: the method is a string"
	case len(m.ID) > 0 && !isRequestID(m.ID) && m.Method != "": // responses are not answered, whatever their id
		problem.Text = "Invalid request: an id is a string or a number"
	default:
		return m, m.parseParams(problem)
	}
	return m, problem
}

// parseParams parses the parameters that transports need. The others, and
// parameters that are not an object, are left to the handler.
func (m *Message) parseParams(problem *ProtocolError) error {
	var params struct {
		RequestID json.RawMessage `json:"requestId"`
		Meta      json.RawMessage `json:"_meta"`
	}
	if m.Params == nil || json.Unmarshal(m.Params, &params) != nil {
		return nil //nolint:nilerr // the handler refuses what is not an object
	}
	m.CancelID = params.RequestID
	if params.Meta == nil {
		return nil
	}
	var token struct {
		Progress json.RawMessage `json:"progressToken"`
	}
	if json.Unmarshal(params.Meta, &m.Meta) != nil || json.Unmarshal(params.Meta, &token) != nil {
		problem.Code, problem.Text = mcp.INVALID_PARAMS, "Invalid params: _meta is an object"
		return problem
	}
	m.ProgressToken = token.Progress
	return nil
}

// isRequestID reports whether the protocol allows an id: a JSON string or
// number.
func isRequestID(id []byte) bool {
	return len(id) > 0 && (id[0] == '"' || id[0] == '-' || id[0] >= '0' && id[0] <= '9')
}
