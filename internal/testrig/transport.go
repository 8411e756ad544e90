package testrig

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
)

// Transport is an http.RoundTripper that calls a handler in this process, for
// synctest bubbles, which do not support a network. The handler cannot hijack
// the connection.
type Transport struct{ Handler http.Handler }

// RoundTrip implements http.RoundTripper. A request whose context ends fails;
// its handler goes on.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	request := r.Clone(context.WithoutCancel(r.Context()))
	request.Body, request.Host, request.RequestURI = io.NopCloser(bytes.NewReader(body)), r.URL.Host, r.URL.RequestURI()
	done := make(chan *http.Response, 1)
	go func() {
		answer := httptest.NewRecorder()
		t.Handler.ServeHTTP(answer, request)
		done <- answer.Result()
	}()
	select {
	case response := <-done:
		return response, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}
