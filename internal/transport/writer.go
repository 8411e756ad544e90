package transport

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
)

// sink writes single messages to a client. A message comes in parts, so that
// large ones are not copied.
type sink interface {
	message(parts ...part) error
}

// lineSink writes one message per line.
type lineSink struct{ io.Writer }

func (s lineSink) message(parts ...part) error {
	return writeParts(s.Writer, append(slices.Clip(parts), text("\n"))...)
}

// messageWriter writes whole messages one after the other. After the first
// error it drops all messages.
type messageWriter struct {
	mu  sync.Mutex
	out sink
	err error
}

func (w *messageWriter) write(parts ...part) error {
	return w.do(func() error { return w.out.message(parts...) })
}

// do calls f while nothing else is written.
func (w *messageWriter) do(f func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = f()
	}
	return w.err
}

var errStreamEnded = errors.New("the stream has ended")

// end drops later messages. It waits for the message that is being written.
func (w *messageWriter) end() { _ = w.do(func() error { return errStreamEnded }) }

// notify writes a notification.
func (w *messageWriter) notify(n mcp.JSONRPCNotification) error {
	all, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return w.write(text(all))
}

// respond writes the response to a request under the id as the client wrote
// it: mcp-go rounds large numbers.
func (w *messageWriter) respond(id json.RawMessage, response mcp.JSONRPCMessage) error {
	head := `{"jsonrpc":"2.0","id":` + string(id)
	switch r := response.(type) {
	case mcp.JSONRPCResponse:
		result, err := encodeResult(r.Result)
		if err != nil {
			return err
		}
		parts := append([]part{text(head + `,"result":`)}, result...)
		return w.write(append(parts, text("}"))...)
	case mcp.JSONRPCError:
		failure, err := json.Marshal(r.Error)
		if err != nil {
			return err
		}
		return w.write(text(head+`,"error":`), text(failure), text("}"))
	default:
		all, err := json.Marshal(response)
		if err != nil {
			return err
		}
		return w.write(text(all))
	}
}
