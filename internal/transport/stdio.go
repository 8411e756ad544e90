package transport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"golang.org/x/sync/semaphore"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/limit"
)

// Stdio is the connection to a host over a pair of streams.
type Stdio struct {
	*connection
	in        io.Reader
	end       context.CancelFunc
	forwarded chan struct{} // closed when no notification is being written any more
}

// OpenStdio connects to the host that reads out and writes in. Finish must be
// called.
func OpenStdio(ctx context.Context, h Handler, in io.Reader, out io.Writer, log *slog.Logger) (*Stdio, error) {
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	base = WithCaller(base, Caller{Principal: auth.Local(), Client: "stdio"})
	inFlight := semaphore.NewWeighted(limit.MaxInFlight)
	l := lifecycle{handler: h, reads: limit.NewQueue(limit.StdioReads, limit.StdioReads), log: log, admit: func(wait context.Context, r *Request) (func(), error) {
		if r.is(mcp.MethodInitialize) {
			return func() {}, nil
		}
		size := int64(weight(&r.Message))
		return func() { inFlight.Release(size) }, inFlight.Acquire(wait, size)
	}}
	c, err := connect(base, l, newSession("stdio", auth.LocalOwner, limit.ConnectionNotifications), lineSink{out})
	if err != nil {
		end()
		return nil, fmt.Errorf("stdio: %w", err)
	}
	c.client = context.WithoutCancel(base) // requests that Finish cuts off are still answered
	s := &Stdio{connection: c, in: in, end: end, forwarded: make(chan struct{})}
	go func() {
		defer close(s.forwarded)
		c.forwardNotifications(base)
	}()
	return s, nil
}

// Read takes messages until the input or ctx ends. Only a failure of the input
// itself is an error. It does not write, so that a host that does not read
// cannot delay the end.
func (s *Stdio) Read(ctx context.Context) error {
	stop := make(chan struct{})
	defer close(stop)
	incoming := s.readLines(stop)
	for {
		select {
		case m := <-incoming:
			if line := bytes.TrimSpace(m.text); len(line) > 0 {
				if bad, ok := errors.AsType[*ProtocolError](s.dispatch(ctx, line)); ok {
					s.refuse(ctx, bad)
				}
			}
			if errors.Is(m.err, io.EOF) {
				return nil
			}
			if m.err != nil {
				s.refuse(ctx, &ProtocolError{Code: mcp.INVALID_REQUEST, Text: m.err.Error()})
				return fmt.Errorf("stdio: reading: %w", m.err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

type inputLine struct {
	text []byte
	err  error
}

// readLines reads lines in a goroutine, which outlives stop while it is
// blocked: reading a pipe cannot be interrupted.
func (s *Stdio) readLines(stop <-chan struct{}) <-chan inputLine {
	lines := make(chan inputLine)
	go func() {
		const buffer = 64 << 10
		reader := bufio.NewReaderSize(s.in, buffer)
		for {
			text, err := readLine(reader)
			select {
			case lines <- inputLine{text, err}:
			case <-stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return lines
}

var errLongLine = errors.New("a message is longer than 16 MiB")

// readLine returns the next line, at most limit.MaxLine bytes. The caller owns
// the slice.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit.MaxLine {
			return nil, errLongLine
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// Finish ends subscriptions at once, lets other requests end until ctx does,
// and closes the connection. A host that stopped reading delays it by at most
// limit.FlushTimeout.
func (s *Stdio) Finish(ctx context.Context) {
	defer s.handler.CloseSession(s.base, s.session)
	s.session.requests.endSubscriptions()
	done := make(chan struct{})
	go func() {
		s.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.log.WarnContext(ctx, "cut off calls at the end of the grace period")
	}
	s.end()
	WaitFor(done, limit.FlushTimeout)
	WaitFor(s.forwarded, limit.FlushTimeout)
}

// WaitFor waits until done is closed, at most for timeout.
func WaitFor(done <-chan struct{}, timeout time.Duration) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
