package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// session is a client over Streamable HTTP.
type session struct {
	address string // of the server
	http    *http.Client
	id      string // as the server named it
	last    atomic.Int64
	buffers sync.Pool
}

// newSession opens a session of a server.
func newSession(address string) (*session, error) {
	const callers = 256
	s := &session{
		address: address,
		http:    &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers, ReadBufferSize: 1 << 20}},
		buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
	if err := s.request("initialize", initialize, func([]byte) error { return nil }); err != nil {
		return nil, err
	}
	return s, s.post(initialized, func([]byte) error { return nil })
}

func (s *session) close() { s.http.CloseIdleConnections() }

func (s *session) request(method, params string, read func([]byte) error) error {
	message := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, s.last.Add(1), method, params)
	return s.post(message, read)
}

func (s *session) post(message string, read func([]byte) error) error {
	response, err := s.do(context.Background(), http.MethodPost, message)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body := s.buffers.Get().(*bytes.Buffer)
	defer s.buffers.Put(body)
	body.Reset()
	if _, err := io.Copy(body, response.Body); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s: %.500s", response.Status, body)
	}
	if s.id == "" {
		s.id = response.Header.Get("Mcp-Session-Id")
	}
	answer := body.Bytes()
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		answer = lastEvent(answer)
	}
	return errors.Join(checkMessage(answer), read(answer))
}

// listen opens the session's stream of notifications, which ends with ctx.
func (s *session) listen(ctx context.Context) (io.Closer, error) {
	response, err := s.do(ctx, http.MethodGet, "")
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, errors.New(response.Status)
	}
	return response.Body, nil
}

func (s *session) do(ctx context.Context, method, message string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.address+"/mcp", strings.NewReader(message))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/event-stream")
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/json, text/event-stream")
	}
	if s.id != "" {
		request.Header.Set("Mcp-Session-Id", s.id)
		request.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	}
	return s.http.Do(request)
}

// lastEvent returns the data of the last event in a stream.
func lastEvent(stream []byte) []byte {
	const field = "data: "
	at := bytes.LastIndex(stream, []byte(field))
	if at < 0 {
		return nil
	}
	line, _, _ := bytes.Cut(stream[at+len(field):], []byte("\n"))
	return line
}
