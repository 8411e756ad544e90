package mcpserver_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// memory reads a figure of a process in bytes, like VmRSS or VmHWM.
func memory(t testing.TB, pid int, name string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("NOT TESTED: memory is not measured without /proc")
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kilobytes, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			require.NoError(t, err)
			return kilobytes << 10
		}
	}
	require.Fail(t, "no "+name)
	return 0
}

// needsLoad skips tests that load the machine for seconds and measure its
// memory or time.
func needsLoad(t *testing.T) {
	t.Helper()
	if os.Getenv("ZAI_TEST_LOAD") == "" {
		t.Skip("NOT TESTED: this loads the machine and measures memory or time; set ZAI_TEST_LOAD=1")
	}
}

// Neither large bodies, slow connections, sessions, nor clients that never read
// exhaust the server. Meanwhile others are served.
func TestLoad_Floods(t *testing.T) {
	needsLoad(t)
	scale := 10
	if os.Getenv("ZAI_TEST_FULL") != "" {
		scale = 1
	}
	s := serve(t, nil)
	address := strings.TrimPrefix(s.base, "http://")
	named := s.session(t)
	_, made := s.ask(t, "POST", "/mcp", generate(0, "large"), named...)
	id := regexp.MustCompile(`images/(\w{26})`).FindStringSubmatch(made)[1]
	require.Contains(t, made, `"saved"`)

	stop := make(chan struct{})
	pings := make(chan []time.Duration, 1)
	go func() {
		var took []time.Duration
		defer func() { pings <- took }()
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				began := time.Now()
				status, _ := s.ask(t, "POST", "/mcp", testrig.Ping, named...)
				assert.Equal(t, 200, status)
				took = append(took, time.Since(began))
			}
		}
	}()
	var all sync.WaitGroup
	var connections []net.Conn
	dial := func(text string, values ...any) net.Conn {
		c, err := net.Dial("tcp", address)
		require.NoError(t, err)
		fmt.Fprintf(c, text, values...)
		connections = append(connections, c)
		return c
	}
	// Slow connections of each kind: no header, no body, a body that trickles
	// in.
	for n := range 2000 / scale {
		switch n % 3 {
		case 0:
			dial("GET /mcp HTTP/1.1\r\nHost: ")
		case 1:
			dial("POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n", address)
		case 2:
			c := dial("POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", address)
			all.Go(func() {
				for {
					if _, err := io.WriteString(c, "1000\r\n"+strings.Repeat(" ", 0x1000)+"\r\n"); err != nil {
						return
					}
					time.Sleep(300 * time.Millisecond)
				}
			})
		}
	}
	// Clients that ask for much and never read.
	for range 1000 / scale {
		c := dial("GET /sse HTTP/1.1\r\nHost: %s\r\n\r\n", address)
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"zai-image://images/%s",%s}}`, id, statelessMeta)
		for range 20 {
			fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nMcp-Protocol-Version: 2026-07-28\r\nMcp-Method: resources/read\r\nMcp-Name: zai-image://images/%s\r\nContent-Length: %d\r\n\r\n%s",
				address, id, len(body), body)
		}
	}
	// An endless body, and ever more sessions.
	all.Go(func() {
		request, err := http.NewRequestWithContext(t.Context(), "POST", s.base+"/mcp", io.LimitReader(endless{}, int64(1<<30/scale)))
		if assert.NoError(t, err) {
			request.Header.Set("Content-Type", "application/json")
			if response, err := s.client.Do(request); err == nil {
				response.Body.Close()
			}
		}
	})
	padded := strings.Replace(testrig.Initialize, `"name":"t"`, `"name":"`+strings.Repeat("t", 150<<10)+`"`, 1)
	for range 4 {
		all.Go(func() {
			for range 5000 / scale {
				response := s.do(t, "POST", "/mcp", padded)
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if response.StatusCode != 200 {
					assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
				}
			}
		})
	}
	time.Sleep(10 * time.Second)
	stuck := 0
	for n, c := range connections[:2000/scale] {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
		if _, err := io.Copy(io.Discard, c); err != nil && os.IsTimeout(err) {
			stuck++
			t.Log("stuck", n%3)
		}
	}
	for _, c := range connections {
		c.Close()
	}
	all.Wait()
	close(stop)
	took := <-pings
	slices.Sort(took)
	t.Logf("%d pings, median %v, p99 %v, longest %v; peak %d MB", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1], memory(t, s.cmd.Process.Pid, "VmHWM")>>20)
	assert.Zero(t, stuck, "connections stay open that should not")
	if !raceEnabled {
		assert.Less(t, memory(t, s.cmd.Process.Pid, "VmHWM"), 256<<20)
	}
	assert.Less(t, took[len(took)*99/100], time.Second)
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return copy(b, bytes.Repeat([]byte(" "), len(b))), nil }

// Sessions of all kinds that are opened and dropped leave nothing behind.
func TestSessions_DroppedLeaveNothing(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	for range 50 {
		named := r.session(t)
		stream := r.do(t, "GET", "/mcp", "", named...)
		s := r.openSSE(t)
		s.send(t, testrig.Initialize)
		s.answer(t)
		subscription := r.do(t, "POST", "/mcp", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{%s,"notifications":{"resourcesListChanged":true}}}`, statelessMeta),
			statelessHeaders("subscriptions/listen", "")...)
		require.Equal(t, 200, subscription.StatusCode)
		subscription.Body.Close()
		stream.Body.Close()
		s.close()
		r.ask(t, "DELETE", "/mcp", "", named...)
	}
	assert.Eventually(t, func() bool {
		_, text := r.ask(t, "GET", "/metrics", "")
		return strings.Contains(text, "\nzai_image_sessions 0\n") && strings.Contains(text, "\nzai_image_streams 0\n")
	}, patience, 5*time.Millisecond)
	assert.Zero(t, r.Sessions())
	assert.Contains(t, r.log.String(), "served a request")
}

// Messages with many keys cost no more memory than their bytes.
func TestLoad_ManyKeys(t *testing.T) {
	needsLoad(t)
	s := serve(t, nil)
	body := testrig.ManyKeys(100_000)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			status, text := s.ask(t, http.MethodPost, "/mcp", body)
			assert.Equal(t, http.StatusBadRequest, status)
			assert.Contains(t, text, "keys and values")
		})
	}
	all.Wait()
	peak := memory(t, s.cmd.Process.Pid, "VmHWM")
	t.Logf("peak %d MiB", peak>>20)
	if !raceEnabled {
		assert.Less(t, peak, 160<<20)
	}
}
