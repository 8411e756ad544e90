package server

import (
	"bufio"
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

// envelope is what the transport itself needs of a message.
type envelope struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		RequestID json.RawMessage `json:"requestId"`
	} `json:"params"`
}

// lineWriter writes one message a line.
type lineWriter struct {
	mu  sync.Mutex
	out io.Writer
	err error // the first; later messages are dropped
}

// write writes the parts as one line.
func (w *lineWriter) write(parts ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, part := range append(parts, "\n") {
		if w.err == nil {
			_, w.err = io.WriteString(w.out, part)
		}
	}
	return w.err
}

// notify writes a notification.
func (w *lineWriter) notify(n mcp.JSONRPCNotification) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return w.write(string(text))
}

// respond writes the answer to a request under the id as the client wrote it:
// large numbers would not survive their way through the library.
func (w *lineWriter) respond(id json.RawMessage, answer mcp.JSONRPCMessage) error {
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
