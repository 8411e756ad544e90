package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
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
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		RequestID json.RawMessage `json:"requestId"`
		Meta      *mcp.Meta       `json:"_meta"`
	} `json:"params"`
}

// badMessage is a message that is none of the protocol.
type badMessage struct {
	code int
	text string
}

func (e *badMessage) Error() string { return e.text }

// open takes a message apart as far as a transport must know it.
func open(line []byte) (envelope, error) {
	var e envelope
	err := json.Unmarshal(line, &e)
	if _, wrongType := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !wrongType {
		return e, &badMessage{mcp.PARSE_ERROR, "Parse error: the message is not JSON"}
	}
	if line[0] != '{' {
		return e, &badMessage{mcp.INVALID_REQUEST, "Invalid request: one message at a time, as a JSON object"}
	}
	if err := checkKeys(line); err != nil {
		return e, err
	}
	e.ID = bytes.TrimSpace(e.ID)
	if len(e.ID) > 0 && !isRequestID(e.ID) && e.Method != "" { // what has no method is an answer, and answers get none
		return e, &badMessage{mcp.INVALID_REQUEST, "Invalid request: an id is a string or a number"}
	}
	return e, nil
}

// isRequestID tells ids that the protocol allows: JSON strings and numbers.
func isRequestID(id []byte) bool {
	return id[0] == '"' || id[0] == '-' || id[0] >= '0' && id[0] <= '9'
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
