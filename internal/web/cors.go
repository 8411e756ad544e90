package web

import (
	"net/http"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
)

// cors lets pages of allowed origins read the response. It reports whether it
// answered a preflight request. The guard has refused all other origins.
// https://fetch.spec.whatwg.org/#http-cors-protocol
func cors(w http.ResponseWriter, r *http.Request) (preflight bool) {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", mcp.HeaderSessionID+", WWW-Authenticate, Retry-After, X-Request-Id")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", strings.Join([]string{
		"Accept", "Authorization", "Content-Type", mcp.HeaderLastEventID, mcp.HeaderMethod, mcp.HeaderName,
		mcp.HeaderProtocolVersion, mcp.HeaderSessionID,
	}, ", "))
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
