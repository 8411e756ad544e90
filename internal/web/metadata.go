package web

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/transport"
)

// metadataPath is the path of metadata about a protected resource; the path of
// the resource follows it.
// https://www.rfc-editor.org/rfc/rfc9728#section-3.1
const metadataPath = "/.well-known/oauth-protected-resource"

// resourceMetadata tells clients where to get a token for an endpoint.
// https://www.rfc-editor.org/rfc/rfc9728#section-2
type resourceMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	ResourceName         string   `json:"resource_name"`
}

// metadataAddress returns the URL of an endpoint's metadata: clients expect it
// at the root of the host, before the path of the public URL.
func (s *Server) metadataAddress(endpoint string) string {
	base, err := url.Parse(s.Base())
	if err != nil { // Base is a URL
		return ""
	}
	base.Path, base.RawPath = metadataPath+strings.TrimSuffix(base.Path, "/")+endpoint, ""
	return base.String()
}

// describedEndpoint returns the endpoint whose metadata has this path. Clients
// ask with the path of the public URL, which a proxy may remove, and some only
// for the metadata of the whole server, which is that of /mcp.
func (s *Server) describedEndpoint(path string) (endpoint string, ok bool) {
	if s.Issuer == nil {
		return "", false
	}
	rest, ok := strings.CutPrefix(path, metadataPath)
	if !ok {
		return "", false
	}
	if inner, below := strings.CutPrefix(rest, s.basePath()); below {
		rest = inner
	}
	rest = strings.TrimSuffix(rest, "/")
	if rest == "" {
		return "/mcp", true
	}
	for _, endpoint := range s.endpoints() {
		if rest == endpoint {
			return endpoint, true
		}
	}
	return "", false
}

// serveMetadata serves the metadata of an endpoint to everybody, also to pages of
// other origins: it contains nothing that is not public.
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request, endpoint string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "*")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		transport.Reject(w, r, http.StatusMethodNotAllowed, "Only GET.")
		return
	}
	// From protocol 2026-07-28 on, clients refuse an issuer that is not spelled as
	// in its own metadata, so none is better than a guess.
	ctx, cancel := context.WithTimeout(r.Context(), issuerTimeout)
	defer cancel()
	issuer, err := s.Issuer.IssuerName(ctx)
	if err != nil {
		s.refusals.Do(func() {
			s.Log.WarnContext(ctx, "failed to read the metadata of the token issuer", "path", limit.Clip(r.URL.Path), "error", err)
		})
		s.issuerUnavailable(w, r)
		return
	}
	document, err := json.Marshal(resourceMetadata{
		Resource: s.Base() + endpoint, AuthorizationServers: []string{issuer}, Scopes: s.Issuer.Scopes(),
		BearerMethods: []string{"header"}, ResourceName: resourceName,
	})
	if err != nil { // its fields are texts
		transport.Reject(w, r, http.StatusInternalServerError, "The metadata cannot be written.")
		return
	}
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(document) // a client that is gone needs no answer
}

const (
	issuerTimeout = 5 * time.Second
	resourceName  = "Z.AI images"
)
