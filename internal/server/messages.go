package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
)

// maxLine is the longest message that is read. No call to this server needs
// more than some kilobytes.
const maxLine = 16 << 20

var errLongLine = errors.New("a message is longer than 16 MiB")

// readLine gives the next message without its end of line. The slice is the
// caller's.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, errLongLine
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// envelope is what the transports themselves need of a message.
type envelope struct {
	ID        json.RawMessage // as written, nil when there is none
	Method    string          // "" for a response
	RequestID json.RawMessage // what notifications/cancelled names
	Meta      *mcp.Meta
	params    json.RawMessage
}

// badMessage is a message that is none of the protocol.
type badMessage struct {
	id   json.RawMessage // nil when it is not known
	code int
	text string
}

func (e *badMessage) Error() string { return e.text }

// open takes a message apart as far as a transport must know it. What is wrong
// with a message is a *badMessage, with the id of the request if it has one:
// who sent it waits for an answer under that id.
func open(line []byte) (envelope, error) {
	if !json.Valid(line) {
		return envelope{}, &badMessage{nil, mcp.PARSE_ERROR, "Parse error: the message is not JSON"}
	}
	if line[0] != '{' {
		return envelope{}, &badMessage{nil, mcp.INVALID_REQUEST, "Invalid request: one message at a time, as a JSON object"}
	}
	o := outlineOf(line)
	e := envelope{ID: bytes.TrimSpace(o.id), params: o.params}
	refusal := &badMessage{code: mcp.INVALID_REQUEST}
	if !o.ambiguous && isRequestID(e.ID) {
		refusal.id = e.ID
	}
	if o.elements > maxElements {
		refusal.text = fmt.Sprintf("Invalid request: the message has more than %d keys and values", maxElements)
		return e, refusal
	}
	if refusal.text = checkKeys(line); refusal.text != "" {
		return e, refusal
	}
	switch {
	case o.method == nil && !o.response:
		refusal.text = "Invalid request: there is no method"
	case o.method != nil && json.Unmarshal(o.method, &e.Method) != nil, o.method != nil && e.Method == "":
		refusal.text = "Invalid request: the method is a string"
	case len(e.ID) > 0 && !isRequestID(e.ID) && e.Method != "": // responses are not answered, whatever their id
		refusal.text = "Invalid request: an id is a string or a number"
	default:
		return e, e.readParams(refusal)
	}
	return e, refusal
}

// readParams reads what a transport needs of the parameters. The others, and
// parameters that are no object, are the handler's to judge.
func (e *envelope) readParams(refusal *badMessage) error {
	var params struct {
		RequestID json.RawMessage `json:"requestId"`
		Meta      json.RawMessage `json:"_meta"`
	}
	if e.params == nil || json.Unmarshal(e.params, &params) != nil {
		return nil //nolint:nilerr // the handler refuses what is no object
	}
	e.RequestID = params.RequestID
	if params.Meta != nil && json.Unmarshal(params.Meta, &e.Meta) != nil {
		refusal.code, refusal.text = mcp.INVALID_PARAMS, "Invalid params: _meta is an object"
		return refusal
	}
	return nil
}

// isRequestID tells ids that the protocol allows: JSON strings and numbers.
func isRequestID(id []byte) bool {
	return len(id) > 0 && (id[0] == '"' || id[0] == '-' || id[0] >= '0' && id[0] <= '9')
}

// sink carries messages to a client. The parts of one message are put together
// on the way, so that large ones are not copied.
type sink interface {
	message(parts ...string) error
}

// lineSink writes one message a line.
type lineSink struct{ io.Writer }

func (s lineSink) message(parts ...string) error {
	for _, part := range append(parts, "\n") {
		if _, err := io.WriteString(s.Writer, part); err != nil {
			return err
		}
	}
	return nil
}

// messages writes whole messages, one after the other.
type messages struct {
	mu  sync.Mutex
	out sink
	err error // the first; later messages are dropped
}

func (w *messages) write(parts ...string) error {
	return w.do(func() error { return w.out.message(parts...) })
}

// do runs f while nothing else is written.
func (w *messages) do(f func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = f()
	}
	return w.err
}

var errStreamEnded = errors.New("the stream has ended")

// end makes later messages go nowhere.
func (w *messages) end() { _ = w.do(func() error { return errStreamEnded }) }

// notify writes a notification.
func (w *messages) notify(n mcp.JSONRPCNotification) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return w.write(string(text))
}

// respond writes the answer to a request under the id as the client wrote it:
// large numbers would not survive their way through the library.
func (w *messages) respond(id json.RawMessage, answer mcp.JSONRPCMessage) error {
	head := `{"jsonrpc":"2.0","id":` + string(id)
	switch a := answer.(type) {
	case mcp.JSONRPCResponse:
		before, blob, after, err := resultText(a.Result)
		if err != nil {
			return err
		}
		return w.write(head, `,"result":`, before, blob, after, "}")
	case mcp.JSONRPCError:
		text, err := json.Marshal(a.Error)
		if err != nil {
			return err
		}
		return w.write(head, `,"error":`, string(text), "}")
	default:
		text, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		return w.write(string(text))
	}
}

// resultText marshals a result. A large blob goes around the JSON encoder,
// which would look at each of its characters three times: base64 needs no
// escaping.
func resultText(result any) (before, blob, after string, err error) {
	if read, ok := result.(mcp.ReadResourceResult); ok && len(read.Contents) > 0 {
		if first, ok := read.Contents[0].(mcp.BlobResourceContents); ok {
			blob, first.Blob = first.Blob, "\x00"
			read.Contents = append([]mcp.ResourceContents{first}, read.Contents[1:]...)
			result = read
		}
	}
	text, err := json.Marshal(result)
	if err != nil || blob == "" {
		return string(text), "", "", err
	}
	// Quotes inside strings are escaped, so this can only be the field itself.
	before, after, found := strings.Cut(string(text), `"blob":"\u0000"`)
	if !found {
		return "", "", "", errors.New("blob without its field")
	}
	return before + `"blob":"`, blob, `"` + after, nil
}
