package web

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/internal/web/gallery"
	"zai-image-mcp/resources"
)

// newRoutes returns the paths of the server. ServeHTTP decides who may use them.
func (s *Server) newRoutes(port int) (*http.ServeMux, error) {
	routes := http.NewServeMux()
	routes.HandleFunc("/mcp", s.mcp.ServeMCP)
	if s.SSE {
		routes.HandleFunc("/sse", s.mcp.ServeSSE)
		routes.HandleFunc("/message", s.mcp.ServeMessages)
	}
	share := limit.WebExports
	if s.authenticates() { // several owners
		share /= limit.Share
	}
	exports := limit.NewQuota(limit.WebExports, share)
	if s.Links != nil {
		routes.Handle("/images/", &resources.Downloads{Links: s.Links, Owner: authenticatedOwner, Exports: exports})
	}
	if s.Library != nil {
		c := gallery.Config{
			Library: s.Library, Auth: s.admission, Open: !s.authenticates(), PublicURL: s.PublicURL, Port: port, Exports: exports, Now: s.Now, Log: s.Log,
		}
		if s.SignIn != nil {
			c.Provider, c.Base = s.SignIn, s.Base()
		}
		g, err := gallery.New(c)
		if err != nil {
			return nil, err
		}
		mountGallery(routes, g)
	}
	routes.HandleFunc("/healthz", healthz)
	routes.HandleFunc("/readyz", s.readyz)
	if metrics := s.Telemetry.Handler(); metrics != nil {
		routes.Handle("/metrics", metrics)
	}
	return routes, nil
}

// authenticatedOwner returns the owner of a request by its token. Without
// tokens only a signed link proves who may see an image.
func authenticatedOwner(ctx context.Context) (owner string, ok bool) {
	p := transport.RequestFrom(ctx).Principal
	return p.Owner, p.Authenticated()
}

// ServeHTTP checks Host, Origin, token and content type before routing.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	r = s.routed(r)
	c := transport.Caller{RequestID: rand.Text()[:12]}
	ctx := transport.WithCaller(propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header)), c)
	defer func() {
		if value := recover(); value != nil {
			s.logPanic(ctx, r, value)
			panic(http.ErrAbortHandler) // a truncated response must not look complete
		}
		s.Log.DebugContext(ctx, "served a request", "method", limit.Clip(r.Method), "path", limit.Clip(r.URL.Path), "took", time.Since(began))
	}()
	setDeadlines(w, r, s.Limits, began)
	header := w.Header()
	header.Set("X-Request-Id", c.RequestID)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if endpoint, ok := s.describedEndpoint(r.URL.Path); ok && s.allowed.checkHost(r) == "" {
		s.serveMetadata(w, r, endpoint)
		return
	}
	if refusal := s.allowed.checkHostAndOrigin(r); refusal != "" {
		s.refuse(ctx, w, r, refusal)
		return
	}
	if cors(w, r) {
		return
	}
	principal, err := s.admission.Authenticate(r)
	if err != nil && r.URL.Path == "/healthz" {
		header.Set("Connection", "close") // unauthenticated clients get no keep-alive
	}
	if err != nil && !needsNoToken(r) {
		s.denied(w, r, err)
		return
	}
	c.Principal, c.Client = principal, principal.Owner
	if r.URL.Path == "/mcp" || r.URL.Path == "/sse" {
		c.Query = r.URL.Query()
		if err := s.App.CheckQuery(c.Query); err != nil {
			transport.Reject(w, r, http.StatusBadRequest, "In the URL, "+err.Error()+".")
			return
		}
	}
	ctx = transport.WithCaller(ctx, c)
	if r.Method == http.MethodPost && !isGallery(r) && !isJSON(r) {
		transport.Reject(w, r, http.StatusUnsupportedMediaType, "Content-Type must be application/json.")
		return
	}
	s.routes.ServeHTTP(w, r.WithContext(ctx))
}

// setDeadlines bounds a request. Streams and downloads set their own deadlines,
// and net/http clears the read deadline at the end of the body.
func setDeadlines(w http.ResponseWriter, r *http.Request, limits limit.Limits, began time.Time) {
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(began.Add(limits.WriteTime))
	if r.ContentLength != 0 {
		_ = control.SetReadDeadline(began.Add(limits.BodyTime))
	}
}

// refuse answers a request with a foreign Host or Origin. Health checks are
// still answered. Neither gets keep-alive.
func (s *Server) refuse(ctx context.Context, w http.ResponseWriter, r *http.Request, refusal string) {
	w.Header().Set("Connection", "close")
	if isHealthCheck(r) {
		s.routes.ServeHTTP(w, r)
		return
	}
	s.refusals.Do(func() {
		s.Log.WarnContext(ctx, "refused a request", "host", limit.Clip(r.Host), "origin", limit.Clip(r.Header.Get("Origin")), "path", limit.Clip(r.URL.Path))
	})
	transport.Reject(w, r, http.StatusForbidden, refusal)
}

// routed returns a request with the path of a route: without the path of the
// public URL, which not every proxy removes, and without a slash at the end of
// an endpoint.
func (s *Server) routed(r *http.Request) *http.Request {
	path := r.URL.Path
	inner, found := strings.CutPrefix(path, s.basePath())
	switch {
	case !found || s.basePath() == "":
	case inner == "" && s.Library != nil:
		path = "/"
	case strings.HasPrefix(inner, "/") && (!s.isRoute(r, path) || inner != "/" && s.isRoute(r, inner) && !isGalleryFile(r)):
		path = inner
	}
	switch path {
	case "/mcp/", "/sse/", "/message/":
		path = strings.TrimSuffix(path, "/")
	}
	if path == r.URL.Path {
		return r
	}
	return withPath(r, path)
}

// withPath returns a request for another path.
func withPath(r *http.Request, path string) *http.Request {
	routed, address := *r, *r.URL
	address.Path, address.RawPath = path, ""
	routed.URL = &address
	return &routed
}

// isRoute reports whether there is a route for another path of a request.
func (s *Server) isRoute(r *http.Request, path string) bool {
	_, pattern := s.routes.Handler(withPath(r, path))
	return pattern != ""
}
