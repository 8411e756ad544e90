package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"sync"
)

// initialize is the parameters of the first request.
const initialize = `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}`

const initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`

// pipes is a client over stdio.
type pipes struct {
	in io.WriteCloser

	mu      sync.Mutex // of the following and of writes
	last    int        // id of the last request
	waiting map[int]waiting
	ended   error // after which no responses are read
}

type waiting struct {
	read func(response []byte) error
	done chan<- error
}

// newPipes introduces itself to a server as a client.
func newPipes(in io.WriteCloser, out io.Reader) (*pipes, error) {
	p := &pipes{in: in, waiting: map[int]waiting{}}
	go p.readAll(out)
	if err := p.request("initialize", initialize, func([]byte) error { return nil }); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := io.WriteString(p.in, initialized+"\n")
	return p, err
}

func (p *pipes) close() { p.in.Close() }

func (p *pipes) request(method, params string, read func([]byte) error) error {
	done := make(chan error, 1)
	if err := p.send(method, params, waiting{read: read, done: done}); err != nil {
		return err
	}
	return <-done
}

func (p *pipes) send(method, params string, w waiting) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil {
		return p.ended
	}
	p.last++
	p.waiting[p.last] = w
	_, err := fmt.Fprintf(p.in, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`+"\n", p.last, method, params)
	return err
}

// readAll passes each response to the request that waits for it.
func (p *pipes) readAll(out io.Reader) {
	r := bufio.NewReaderSize(out, 128<<10)
	var line []byte
	for {
		var err error
		if line, err = readLine(r, line[:0]); err != nil {
			p.end(fmt.Errorf("the server ended: %w", err))
			return
		}
		id := answered(line)
		p.mu.Lock()
		w, ok := p.waiting[id]
		delete(p.waiting, id)
		p.mu.Unlock()
		if ok {
			w.done <- errors.Join(checkMessage(line), w.read(line))
		}
	}
}

// readLine appends a line to a buffer that is used again, so that the client does not hold
// up a fast server.
func readLine(r *bufio.Reader, line []byte) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func (p *pipes) end(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = reason
	for _, w := range p.waiting {
		w.done <- reason
	}
	clear(p.waiting)
}

var (
	idFirst = regexp.MustCompile(`^\{"jsonrpc":"2.0","id":(\d+)`)
	idLast  = regexp.MustCompile(`"jsonrpc":"2.0","id":(\d+)\}\s*$`)
)

// answered returns the id of the request that a message answers, or 0 if it answers none.
// SDKs write it at one end of a message, which may be long.
func answered(message []byte) int {
	const end = 80
	found := idFirst.FindSubmatch(message[:min(end, len(message))])
	if found == nil {
		found = idLast.FindSubmatch(message[max(0, len(message)-end):])
	}
	if found == nil {
		return 0
	}
	id, err := strconv.Atoi(string(found[1]))
	if err != nil {
		return 0
	}
	return id
}

// checkMessage returns an error if a message is one.
func checkMessage(message []byte) error {
	const start = 60
	if bytes.Contains(message[:min(start, len(message))], []byte(`"error":`)) {
		return fmt.Errorf("error: %.500s", message)
	}
	return nil
}
