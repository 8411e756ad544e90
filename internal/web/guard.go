package web

import (
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"zai-image-mcp/internal/auth"
)

// Any web page can send requests to local ports, and DNS rebinding can make them
// same-origin. So a request must name a host of this server, and if a browser
// names the page that sends it, the page must be allowed.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#security-warning

// allowedHosts are the hosts and origins of the server.
type allowedHosts struct {
	everywhere bool            // every address of this machine, also later ones
	hosts      map[string]bool // with their port
	name       string          // of the public URL, empty without one
	own        map[string]bool // origins of the server itself
	origins    map[string]bool
}

// newAllowedHosts returns the names by which a listener is reached.
func newAllowedHosts(address *net.TCPAddr, public *url.URL, allowed []string) allowedHosts {
	p := allowedHosts{everywhere: address.IP.IsUnspecified(), hosts: map[string]bool{}, own: map[string]bool{}, origins: map[string]bool{}}
	port := strconv.Itoa(address.Port)
	for _, name := range namesOf(address.IP) {
		p.add("http", net.JoinHostPort(name, port))
	}
	if public != nil {
		p.add(public.Scheme, public.Host)
		// With any port: proxies remove it from Host or replace it, and DNS
		// rebinding does not work with this name.
		p.name = public.Hostname()
	}
	for _, origin := range allowed {
		p.origins[origin] = true
	}
	return p
}

// add allows a host with and without the port that its scheme implies.
func (p allowedHosts) add(scheme, host string) {
	port := impliedPort(scheme)
	forms := []string{host}
	if _, given, err := net.SplitHostPort(host); err != nil {
		forms = append(forms, net.JoinHostPort(strings.Trim(host, "[]"), port))
	} else if given == port {
		forms = append(forms, strings.TrimSuffix(host, ":"+port))
	}
	for _, form := range forms {
		p.hosts[form] = true
		p.own[scheme+"://"+form] = true
		p.origins[scheme+"://"+form] = true
	}
}

// namesOf returns the names and addresses of the machine for a listening address.
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
	addresses, _ := net.InterfaceAddrs() // if that fails, only the names above are known
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok {
			names = append(names, network.IP.String())
		}
	}
	return names
}

// checkHost returns why a request with this Host is refused, "" if it is not.
func (p allowedHosts) checkHost(r *http.Request) (refusal string) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	here := p.everywhere && local != nil && r.Host == local.String() // the address at which the request arrived
	host := strings.ToLower(r.Host)
	named := p.name != "" && (&url.URL{Host: host}).Hostname() == p.name
	if !here && !named && !p.hosts[host] {
		return "This server is not reached by this Host. If it should be, name it with --public-url."
	}
	return ""
}

// checkHostAndOrigin returns why a request is refused, "" if it is not.
func (p allowedHosts) checkHostAndOrigin(r *http.Request) (refusal string) {
	if refusal := p.checkHost(r); refusal != "" {
		return refusal
	}
	return p.checkOrigin(r)
}

// checkOrigin returns why a page may not send a request, "" if it may.
func (p allowedHosts) checkOrigin(r *http.Request) (refusal string) {
	if refusal := p.checkForm(r); refusal != "" {
		return refusal
	}
	if origin, sent := r.Header["Origin"]; sent {
		if len(origin) != 1 || !p.origins[strings.ToLower(origin[0])] {
			return "Pages of this Origin may not use this server. If they should, name it with --allow-origin."
		}
		return ""
	}
	// Browsers send no Origin where a page embeds something.
	// https://www.w3.org/TR/fetch-metadata/
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return ""
	}
	if strings.HasPrefix(r.URL.Path, "/images/") {
		return "" // their links are signed
	}
	if isNavigation(r) && isGallery(r) {
		return "" // a user follows a link, and the page that has it cannot read the response
	}
	return "Other pages may not use this server."
}

// admission is an Authenticator that refuses some owners.
type admission struct {
	auth.Authenticator
	refused func(owner string) bool
}

// Authenticate implements auth.Authenticator.
func (a admission) Authenticate(r *http.Request) (auth.Principal, error) {
	p, err := a.Authenticator.Authenticate(r)
	if err == nil && a.refused(p.Owner) {
		return auth.Principal{}, &auth.ForbiddenError{Reason: "this server does not serve " + p.Owner + "; ask who runs it"}
	}
	return p, err
}

// Valid implements auth.Authenticator.
func (a admission) Valid(p auth.Principal) bool {
	return a.Authenticator.Valid(p) && !a.refused(p.Owner)
}

// needsNoToken reports whether a request is served without a token: health checks,
// signed links, and the gallery, which checks its sessions itself.
func needsNoToken(r *http.Request) bool {
	return r.URL.Path == "/healthz" || isGallery(r) || strings.HasPrefix(r.URL.Path, "/images/") && r.URL.Query().Get("sig") != ""
}

// isHealthCheck reports whether a request is one of a load balancer, which uses
// an address of its own as Host, or none in HTTP/1.0. The answer reveals
// nothing.
func isHealthCheck(r *http.Request) bool {
	return r.URL.Path == "/healthz" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// unauthorized asks for a token.
// https://www.rfc-editor.org/rfc/rfc6750#section-3
func unauthorized(w http.ResponseWriter, r *http.Request) {
	challenge := `Bearer realm="` + realm + `"`
	if r.Header.Get("Authorization") != "" {
		challenge += `, error="invalid_token"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	http.Error(w, "This server needs a token: send Authorization: Bearer TOKEN.", http.StatusUnauthorized)
}

// isJSON reports whether a request's body is declared as JSON. Pages of other
// origins cannot declare that without a CORS preflight.
func isJSON(r *http.Request) bool {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	encoding := strings.Join(r.Header.Values("Content-Encoding"), ",")
	return err == nil && mediaType == "application/json" && (encoding == "" || strings.EqualFold(encoding, "identity"))
}
