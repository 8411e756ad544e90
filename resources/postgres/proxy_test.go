package postgres_test

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// proxy forwards connections to a server, and can cut them.
type proxy struct {
	URL string

	t        testing.TB
	listener net.Listener
	server   string

	mu    sync.Mutex
	open  map[net.Conn]net.Conn // server by client
	fault fault
	hits  int
	all   sync.WaitGroup
}

// fault cuts a connection when a client sends COMMIT. It applies once.
type fault int

const (
	none         fault = iota
	beforeCommit       // the server does not receive the COMMIT
	afterCommit        // the client does not receive the answer
)

// newProxy starts a proxy for the server of a database.
func newProxy(t testing.TB, database string) *proxy {
	t.Helper()
	address, err := url.Parse(database)
	require.NoError(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{t: t, listener: listener, server: address.Host, open: map[net.Conn]net.Conn{}}
	address.Host = listener.Addr().String()
	p.URL = address.String()
	p.all.Go(p.accept)
	t.Cleanup(func() {
		assert.NoError(t, listener.Close())
		p.cut()
		p.all.Wait()
	})
	return p
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client, server := range p.open {
		client.Close()
		server.Close()
	}
}

// arm sets the next fault.
func (p *proxy) arm(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// faults returns how many faults were applied.
func (p *proxy) faults() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.open[client] = server
		p.mu.Unlock()
		p.all.Go(func() { p.forward(client, server) })
		p.all.Go(func() {
			_, _ = io.Copy(client, server)
			client.Close()
		})
	}
}

// forward copies what the client sends. pgx sends COMMIT in a message of its own.
func (p *proxy) forward(client, server net.Conn) {
	defer func() {
		client.Close()
		server.Close()
		p.mu.Lock()
		delete(p.open, client)
		p.mu.Unlock()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		f := none
		if bytes.Contains(buffer[:n], []byte("commit\x00")) {
			p.mu.Lock()
			if f = p.fault; f != none {
				p.fault = none
				p.hits++
			}
			p.mu.Unlock()
		}
		if f == beforeCommit {
			return
		}
		if f == afterCommit {
			client.Close() // the answer has nowhere to go
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
		if f == afterCommit {
			_ = server.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, server) // until the server has executed it
			return
		}
	}
}
