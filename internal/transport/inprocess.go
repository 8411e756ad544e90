package transport

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"

	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/limit"
)

// InProcess connects a client in the same process to a Handler. Its requests
// have the same lifecycle as those of the other transports.
type InProcess struct {
	lifecycle
	session *session
	caller  Caller
	work    sync.WaitGroup
	done    chan struct{}
	end     func()

	mu             sync.Mutex
	onNotification func(mcp.JSONRPCNotification)
}

var _ transport.Interface = (*InProcess)(nil)

// NewInProcess returns a transport for one client, which acts for the local
// owner.
func NewInProcess(h Handler, log *slog.Logger) *InProcess {
	done := make(chan struct{})
	c := &InProcess{
		session: newSession("in-process-"+rand.Text(), auth.LocalOwner, limit.ConnectionNotifications),
		caller:  Caller{Principal: auth.Local(), Client: "in-process"},
		done:    done, end: sync.OnceFunc(func() { close(done) }),
	}
	c.lifecycle = lifecycle{
		handler: h, reads: limit.NewQueue(limit.StdioReads, limit.StdioReads), running: &c.work, log: log,
		admit: func(context.Context, *Request) (func(), error) { return func() {}, nil },
	}
	return c
}

// Start implements transport.Interface.
func (c *InProcess) Start(ctx context.Context) error {
	if err := c.handler.OpenSession(WithCaller(ctx, c.caller), c.session); err != nil {
		return err
	}
	c.work.Go(func() {
		for {
			select {
			case n := <-c.session.notifications:
				c.notify(n)
			case <-c.done:
				return
			}
		}
	})
	return nil
}

// SendRequest implements transport.Interface.
func (c *InProcess) SendRequest(ctx context.Context, request transport.JSONRPCRequest) (*transport.JSONRPCResponse, error) {
	raw, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	m, err := ParseMessage(raw)
	if err != nil {
		return nil, err
	}
	ctx = WithCaller(ctx, c.caller)
	out := &inProcessResponder{InProcess: c}
	run, err := c.begin(ctx, incoming{Request: &Request{Caller: c.caller, Message: m}, session: c.session, out: out, client: ctx})
	if err != nil {
		return nil, err
	}
	run()
	if out.response == nil {
		return nil, errors.Join(ctx.Err(), errors.New("no response"))
	}
	out.response.JSONRPC, out.response.ID = mcp.JSONRPC_VERSION, request.ID
	return out.response, nil
}

// SendNotification implements transport.Interface.
func (c *InProcess) SendNotification(ctx context.Context, n mcp.JSONRPCNotification) error {
	raw, err := json.Marshal(n)
	if err != nil {
		return err
	}
	m, err := ParseMessage(raw)
	if err != nil {
		return err
	}
	c.notification(WithCaller(ctx, c.caller), m, c.session)
	return nil
}

// SetNotificationHandler implements transport.Interface.
func (c *InProcess) SetNotificationHandler(handler func(mcp.JSONRPCNotification)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onNotification = handler
}

func (c *InProcess) notify(n mcp.JSONRPCNotification) {
	c.mu.Lock()
	handler := c.onNotification
	c.mu.Unlock()
	if handler != nil {
		handler(n)
	}
}

// Close implements transport.Interface.
func (c *InProcess) Close() error {
	c.end()
	c.session.requests.close()
	c.handler.CloseSession(context.Background(), c.session)
	c.work.Wait()
	return nil
}

// GetSessionId implements transport.Interface.
func (c *InProcess) GetSessionId() string { return c.session.id }

// inProcessResponder keeps the response to one request.
type inProcessResponder struct {
	*InProcess
	response *transport.JSONRPCResponse
}

func (r *inProcessResponder) respond(_ json.RawMessage, response mcp.JSONRPCMessage) error {
	switch m := response.(type) {
	case mcp.JSONRPCResponse:
		result, err := json.Marshal(m.Result)
		if err != nil {
			return err
		}
		r.response = &transport.JSONRPCResponse{Result: result}
	case mcp.JSONRPCError:
		r.response = &transport.JSONRPCResponse{Error: &m.Error}
	}
	return nil
}

func (*inProcessResponder) heartbeat()   {}
func (*inProcessResponder) flush() error { return nil }
func (*inProcessResponder) finish()      {}
