package server

import (
	"crypto/sha256"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
)

// A web page that its user looks at can send requests to every port of the
// user's machine, and make a name of its own point there. So a request has to
// name a host that this server is reached by, and if a browser says which page
// it comes from, that page has to be allowed.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#security-warning

// addresses are the hosts and origins that belong to the server.
type addresses struct {
	everywhere bool            // every address of this machine, also those it gets later
	hosts      map[string]bool // with their port
	name       string          // of the public URL; "" for none
	origins    map[string]bool
}

// addressesOf lists by which names the listener is reached.
func addressesOf(address *net.TCPAddr, public *url.URL, allowed []string) addresses {
	p := addresses{everywhere: address.IP.IsUnspecified(), hosts: map[string]bool{}, origins: map[string]bool{}}
	port := strconv.Itoa(address.Port)
	for _, name := range namesOf(address.IP) {
		p.add("http", net.JoinHostPort(name, port))
	}
	if public != nil {
		p.add(public.Scheme, public.Host)
		// With any port: proxies leave it out of Host or put their own in, and
		// a page that makes a name its own cannot make this one its own.
		p.name = public.Hostname()
	}
	for _, origin := range allowed {
		p.origins[origin] = true
	}
	return p
}

// add takes a host with and without the port that its scheme implies.
func (p addresses) add(scheme, host string) {
	port := impliedPort(scheme)
	forms := []string{host}
	if _, given, err := net.SplitHostPort(host); err != nil {
		forms = append(forms, net.JoinHostPort(strings.Trim(host, "[]"), port))
	} else if given == port {
		forms = append(forms, strings.TrimSuffix(host, ":"+port))
	}
	for _, form := range forms {
		p.hosts[form] = true
		p.origins[scheme+"://"+form] = true
	}
}

func namesOf(ip net.IP) []string {
	loopback := []string{"localhost", "127.0.0.1", "::1"}
	switch {
	case ip.IsLoopback():
		return append(loopback, ip.String())
	case !ip.IsUnspecified():
		return []string{ip.String()}
	}
	names := loopback
	if name, err := os.Hostname(); err == nil {
		names = append(names, strings.ToLower(name))
	}
	addresses, _ := net.InterfaceAddrs() // without them only the names above are known
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok {
			names = append(names, network.IP.String())
		}
	}
	return names
}

// admit checks where a request comes from and goes to.
func (p addresses) admit(r *http.Request) (refusal string) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	here := p.everywhere && local != nil && r.Host == local.String() // an address that the request did arrive at
	host := strings.ToLower(r.Host)
	named := p.name != "" && (&url.URL{Host: host}).Hostname() == p.name
	if !here && !named && !p.hosts[host] {
		return "This server is not reached by this Host. If it should be, name it with --public-url."
	}
	if origin, sent := r.Header["Origin"]; sent {
		if len(origin) != 1 || !p.origins[strings.ToLower(origin[0])] {
			return "Pages of this Origin may not use this server. If they should, name it with --allow-origin."
		}
		return ""
	}
	// Browsers leave Origin out where a page only embeds something.
	// https://www.w3.org/TR/fetch-metadata/
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return ""
	}
	if strings.HasPrefix(r.URL.Path, "/images/") {
		return "" // their links say by themselves who may
	}
	return "Other pages may not use this server."
}

// cors lets pages of allowed origins read the answer. It reports whether the
// request was only a question if they may.
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

// identify tells the owner of a request by its token. Where there are no
// tokens, everybody who gets this far is the local owner.
func (h *web) identify(r *http.Request) (owner string, token tokenDigest, ok bool) {
	if h.Tokens == nil {
		return LocalOwner, token, true
	}
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || value == "" {
		return "", token, false
	}
	token = sha256.Sum256([]byte(strings.TrimSpace(value)))
	owner, ok = h.Tokens.name(token)
	return owner, token, ok
}

// isPublic tells the paths that prove by themselves who may: none needs a
// token.
func isPublic(r *http.Request) bool {
	return r.URL.Path == "/healthz" || strings.HasPrefix(r.URL.Path, "/images/") && r.URL.Query().Get("sig") != ""
}

// isHealthCheck tells the requests of load balancers, which ask under addresses
// of their own, or under none in HTTP/1.0. What they hear says nothing.
func isHealthCheck(r *http.Request) bool {
	return r.URL.Path == "/healthz" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// unauthorized asks for a token.
// https://www.rfc-editor.org/rfc/rfc6750#section-3
func unauthorized(w http.ResponseWriter, r *http.Request) {
	challenge := `Bearer realm="` + Name + `"`
	if r.Header.Get("Authorization") != "" {
		challenge += `, error="invalid_token"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	http.Error(w, "This server needs a token: send Authorization: Bearer TOKEN.", http.StatusUnauthorized)
}

// isJSON reports whether a request's body says that it is JSON. Pages of other
// origins cannot say that without asking first.
func isJSON(r *http.Request) bool {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	encoding := strings.Join(r.Header.Values("Content-Encoding"), ",")
	return err == nil && mediaType == "application/json" && (encoding == "" || strings.EqualFold(encoding, "identity"))
}
