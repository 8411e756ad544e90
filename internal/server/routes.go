package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
)

// ServeHTTP lets nothing through to the routes that may not be there.
func (h *web) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	r = h.routed(r)
	c := caller{request: rand.Text()[:12]}
	ctx := withCaller(propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header)), c)
	defer func() {
		if value := recover(); value != nil {
			h.logPanic(ctx, clip(r.URL.Path), value)
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
		h.log.DebugContext(ctx, "request", "method", clip(r.Method), "path", clip(r.URL.Path), "took", time.Since(began))
	}()
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(began.Add(h.WriteTime)) // streams and downloads set their own
	if r.ContentLength != 0 {
		_ = control.SetReadDeadline(began.Add(h.BodyTime)) // until readBody is through
	}
	header := w.Header()
	header.Set("X-Request-Id", c.request)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if refusal := h.addresses.admit(r); refusal != "" {
		if isHealthCheck(r) {
			header.Set("Connection", "close") // strangers keep no connections
			h.routes.ServeHTTP(w, r)
			return
		}
		h.refusals.Do(func() {
			h.log.WarnContext(ctx, "request refused", "host", clip(r.Host), "origin", clip(r.Header.Get("Origin")), "path", clip(r.URL.Path))
		})
		header.Set("Connection", "close")
		refuse(w, r, http.StatusForbidden, refusal)
		return
	}
	if cors(w, r) {
		return
	}
	owner, token, known := h.identify(r)
	if !known && r.URL.Path == "/healthz" {
		header.Set("Connection", "close") // strangers keep no connections
	}
	if !known && !isPublic(r) {
		header.Set("Connection", "close")
		unauthorized(w, r)
		return
	}
	c.owner, c.client, c.token = owner, owner, token
	if r.URL.Path == "/mcp" || r.URL.Path == "/sse" {
		var err error
		if c.wishes, err = readWishes(r.URL.Query()); err != nil {
			refuse(w, r, http.StatusBadRequest, "In the URL, "+err.Error()+".")
			return
		}
	}
	ctx = withCaller(ctx, c)
	if r.Method == http.MethodPost && !isJSON(r) {
		refuse(w, r, http.StatusUnsupportedMediaType, "Content-Type must be application/json.")
		return
	}
	h.routes.ServeHTTP(w, r.WithContext(ctx))
}

// routed returns a request with its path as the routes know it: without the
// path of the public URL, which not every proxy takes away, and without a slash
// at the end of an endpoint.
func (h *web) routed(r *http.Request) *http.Request {
	path := r.URL.Path
	if _, pattern := h.routes.Handler(r); pattern == "" {
		if inner, found := strings.CutPrefix(path, h.basePath()); found && strings.HasPrefix(inner, "/") {
			path = inner
		}
	}
	switch path {
	case "/mcp/", "/sse/", "/message/":
		path = strings.TrimSuffix(path, "/")
	}
	if path == r.URL.Path {
		return r
	}
	routed, address := *r, *r.URL
	address.Path, address.RawPath = path, ""
	routed.URL = &address
	return &routed
}

// refuse answers a request that is not looked at further. The connection is
// not used again if there may be a body on it that nobody read.
func refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
	renew(w)
	http.Error(w, text, status)
}

// renew gives an answer time to be written that comes late in its request.
func renew(w http.ResponseWriter) {
	const limit = 8 * time.Second
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit))
}

// accept answers a message to which there is nothing to say.
func accept(w http.ResponseWriter, status int) {
	renew(w)
	w.WriteHeader(status)
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a client that is gone needs no answer
}

// ready tells load balancers whether calls can be served.
func (h *web) ready(w http.ResponseWriter, r *http.Request) {
	if h.stopping.Err() != nil {
		writeText(w, http.StatusServiceUnavailable, "the server is ending\n")
		return
	}
	if err := h.library.Reachable(r.Context()); err != nil {
		h.log.ErrorContext(r.Context(), "not ready", "error", err)
		writeText(w, http.StatusServiceUnavailable, "the image library cannot be used\n")
		return
	}
	writeText(w, http.StatusOK, "ready\n")
}

// soon is when to ask again for a session or a stream: those there are, are in
// use, and any of them may be through at any moment.
const soon = 5 * time.Second

// busyHere answers when there is no room. It asks the client to come back.
func busyHere(w http.ResponseWriter, r *http.Request, why error, after time.Duration) {
	w.Header().Set("Retry-After", fmt.Sprint(int(after.Seconds())))
	text := strings.ToUpper(why.Error()[:1]) + why.Error()[1:] + "; try again later."
	refuse(w, r, http.StatusServiceUnavailable, text)
}

var (
	errManyRequests = errors.New("too many requests are under way")
	errEnding       = errors.New("the server is ending")
)
