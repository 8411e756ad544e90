package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"golang.org/x/sync/semaphore"
)

// The library's own stdio server runs at most a hundred calls, answers
// cancelled ones, loses a cancel that comes right behind its call, ends calls
// at the end of input and writes progress behind the answer. This transport
// does none of that.

// ServeStdio serves one client until its input ends or ctx does, then finishes
// what is under way within the grace. Only failures of the streams themselves
// are errors.
func (s *Server) ServeStdio(ctx context.Context, in io.Reader, out io.Writer) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	base = withCaller(base, caller{owner: LocalOwner, client: "stdio"})
	const buffer = 4096
	places := semaphore.NewWeighted(maxInFlight)
	c, err := s.connect(base, newSession("stdio", LocalOwner, buffer), lineSink{out}, func(ctx context.Context, bytes int) (func(), error) {
		return func() { places.Release(int64(bytes)) }, places.Acquire(ctx, int64(bytes))
	})
	if err != nil {
		return fmt.Errorf("stdio: %w", err)
	}
	defer s.mcp.UnregisterSession(base, c.session.SessionID())
	notified := make(chan struct{})
	go func() {
		defer close(notified)
		c.forwardNotifications(base)
	}()
	go s.pipeline.RunRecovery(ctx)
	// Not in readAll, which may be busy writing to a host that does not read.
	defer context.AfterFunc(ctx, s.pipeline.StopAccepting)()
	err = c.readAll(ctx, in)
	end, ended := s.ending(ctx)
	defer ended()
	// At the end of input what was read before is still done, while there is time.
	defer time.AfterFunc(s.grace/2, s.pipeline.StopAccepting).Stop()
	c.finish(end, cancel)
	within(notified, lastWords)
	s.drain(end)
	return err
}

// readAll takes messages until the input or ctx ends. It writes nothing itself:
// a host that does not read must not keep it from noticing the end. The
// goroutine that reads stays behind when ctx ends first, because a blocked read
// of a pipe cannot be undone.
func (c *connection) readAll(ctx context.Context, in io.Reader) error {
	type message struct {
		line []byte
		err  error
	}
	incoming := make(chan message)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		reader := bufio.NewReaderSize(in, 64<<10)
		for {
			line, err := readLine(reader)
			select {
			case incoming <- message{line, err}:
			case <-stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for {
		select {
		case m := <-incoming:
			if line := bytes.TrimSpace(m.line); len(line) > 0 {
				if bad, ok := errors.AsType[*badMessage](c.take(ctx, line)); ok {
					c.refuse(ctx, bad)
				}
			}
			if errors.Is(m.err, io.EOF) {
				return nil
			}
			if m.err != nil {
				c.refuse(ctx, &badMessage{code: mcp.INVALID_REQUEST, text: m.err.Error()})
				return fmt.Errorf("stdio: reading: %w", m.err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}
