package replicas

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// faults change how a proxy treats its connections. The zero value is no fault.
type faults struct {
	Refuse  bool          // no connection is accepted, and existing ones are reset
	ResetAt int           // each connection is reset after this many bytes of the client
	Delay   time.Duration // each piece of data is delayed, in both directions
	Stall   bool          // nothing is forwarded until the fault ends
	Busy    bool          // an HTTP server answers each request with status 503
}

// proxy forwards TCP connections to a server, with faults.
type proxy struct {
	address string // of the proxy
	target  string
	busy    *httptest.Server

	mu      sync.Mutex
	changed sync.Cond // faults or closed
	faults  faults
	accept  net.Listener // nil while connections are refused
	ended   chan bool    // closed when accept is closed and no connection reaches it
	pairs   map[*pair]bool
	hook    func() // called once, before data of a client with marker is forwarded
	marker  string
	closed  bool
}

// pair is a connection of a client with that to the server.
type pair struct {
	client, server net.Conn
	sent           int // bytes of the client since the faults were set
}

// newProxy returns a proxy in front of the server at an address.
func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	p := &proxy{target: target, pairs: map[*pair]bool{}}
	p.changed.L = &p.mu
	p.busy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
		}
	}))
	require.NoError(t, p.listen("127.0.0.1:0"))
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.changed.Broadcast()
		p.mu.Unlock()
		p.set(faults{Refuse: true})
		p.busy.Close()
	})
	return p
}

// listen accepts connections. p.mu must not be locked.
func (p *proxy) listen(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	ended := make(chan bool)
	p.mu.Lock()
	p.address, p.accept, p.ended = l.Addr().String(), l, ended
	p.mu.Unlock()
	go func() {
		defer close(ended)
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return nil
}

// set replaces the faults. Connections of before are reset if the new faults refuse
// connections or answer them with 503.
func (p *proxy) set(f faults) {
	p.mu.Lock()
	p.faults = f
	for pair := range p.pairs {
		pair.sent = 0
		if f.Refuse || f.Busy {
			pair.reset()
		}
	}
	refusing, address, closed, ended := p.accept == nil, p.address, p.closed, p.ended
	if f.Refuse && !refusing {
		_ = p.accept.Close()
		p.accept = nil
	}
	p.changed.Broadcast()
	p.mu.Unlock()
	if f.Refuse {
		<-ended // the socket is open until Accept returns
	}
	if !f.Refuse && refusing && !closed {
		for p.listen(address) != nil { // the port may be in use for a moment
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// cut resets all connections and accepts new ones, as a server that restarts.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range p.pairs {
		pair.reset()
	}
}

// before calls hook once, before the next data of a client that contains marker is
// forwarded.
func (p *proxy) before(marker string, hook func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.marker, p.hook = marker, hook
}

func (p *proxy) serve(client net.Conn) {
	p.mu.Lock()
	target := p.target
	if p.faults.Busy {
		target = strings.TrimPrefix(p.busy.URL, "http://")
	}
	p.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		_ = client.Close()
		return
	}
	both := &pair{client: client, server: server}
	p.mu.Lock()
	if p.closed || p.faults.Refuse {
		both.reset()
	}
	p.pairs[both] = true
	p.mu.Unlock()
	var done sync.WaitGroup
	done.Go(func() { p.forward(both, client, server, true) })
	done.Go(func() { p.forward(both, server, client, false) })
	done.Wait()
	p.mu.Lock()
	delete(p.pairs, both)
	p.mu.Unlock()
	_, _ = client.Close(), server.Close()
}

// forward copies data in one direction until a side closes the connection.
func (p *proxy) forward(both *pair, from, to net.Conn, sent bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		data := buffer[:n]
		if sent && n > 0 {
			p.callHook(data)
		}
		if n > 0 {
			if !p.pass(both, data, sent) {
				both.reset()
				return
			}
			if _, err := to.Write(data); err != nil {
				both.reset()
				return
			}
		}
		if err != nil {
			if tcp, ok := to.(*net.TCPConn); ok && err == io.EOF { //nolint:errorlint // Read returns io.EOF itself
				_ = tcp.CloseWrite()
				return
			}
			both.reset()
			return
		}
	}
}

func (p *proxy) callHook(data []byte) {
	p.mu.Lock()
	hook := p.hook
	if hook == nil || !strings.Contains(string(data), p.marker) {
		p.mu.Unlock()
		return
	}
	p.hook = nil
	p.mu.Unlock()
	hook()
}

// pass waits until data may be forwarded. It reports false if the connection must be
// reset instead.
func (p *proxy) pass(both *pair, data []byte, sent bool) bool {
	p.mu.Lock()
	delay := p.faults.Delay
	for p.faults.Stall && !p.closed {
		p.changed.Wait()
	}
	reset := false
	if sent && p.faults.ResetAt > 0 {
		both.sent += len(data)
		reset = both.sent > p.faults.ResetAt
	}
	p.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	return !reset
}

// reset closes both connections with RST.
func (c *pair) reset() {
	for _, conn := range []net.Conn{c.client, c.server} {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
}

// The proxy of these tests injects the faults that it is asked for.
func TestProxy(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	t.Cleanup(server.Close)
	p := newProxy(t, strings.TrimPrefix(server.URL, "http://"))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // the proxy resets idle connections
	echo := func(body string) (int, string, error) {
		response, err := client.Post("http://"+p.address, "text/plain", strings.NewReader(body))
		if err != nil {
			return 0, "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return response.StatusCode, string(text), err
	}
	works := func() {
		t.Helper()
		p.set(faults{})
		status, text, err := echo("hello")
		require.NoError(t, err)
		assert.Equal(t, 200, status)
		assert.Equal(t, "hello", text)
	}
	works()
	p.set(faults{Refuse: true})
	require.Eventually(t, func() bool { // a process that another test starts keeps the socket open for a moment
		_, _, err := echo("hello")
		require.Error(t, err)
		return strings.Contains(err.Error(), "refused")
	}, 5*time.Second, 10*time.Millisecond)
	works()
	p.set(faults{ResetAt: 1000})
	_, _, err := echo(strings.Repeat("x", 100_000))
	require.Error(t, err)
	works()
	p.set(faults{Busy: true})
	status, _, err := echo("hello")
	require.NoError(t, err)
	assert.Equal(t, 503, status)
	works()
	p.set(faults{Stall: true})
	answered := make(chan string, 1)
	go func() {
		_, text, _ := echo("late")
		answered <- text
	}()
	assert.Empty(t, answered)
	p.set(faults{})
	assert.Equal(t, "late", <-answered)
	p.cut()
	require.Eventually(t, func() bool { _, _, err := echo("again"); return err == nil }, 5*time.Second, 10*time.Millisecond)
	hooked := make(chan bool, 1)
	p.before("marker", func() { hooked <- true })
	_, _, _ = echo("nothing")
	assert.Empty(t, hooked)
	_, _, _ = echo("with marker")
	assert.Len(t, hooked, 1)
}
