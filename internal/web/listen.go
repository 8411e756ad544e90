package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/idna"

	"zai-image-mcp/internal/auth"
)

// ListenConfig holds the settings for the listener, as the user wrote them.
type ListenConfig struct {
	Listen       string // host:port
	PublicURL    string // empty for the address of Listen
	AuthTokens   string // token file, empty for none
	Issuer       IssuerConfig
	AllowOrigins []string
	SSE          bool // serve HTTP+SSE too, the transport of protocol 2024-11-05
}

// ConfigError is a setting with which the server does not start.
type ConfigError struct{ Setting, What, Hint string }

func (e *ConfigError) Error() string { return e.Setting + ": " + e.What }

// Endpoint is an open listener with the rules for its use.
type Endpoint struct {
	Listener     net.Listener
	PublicURL    *url.URL // at which clients reach the server, nil for the listener's address
	AllowOrigins []string // of browser pages, as browsers send them
	Auth         auth.Authenticator
	Issuer       *auth.OIDC   // of access tokens, nil for none
	SignIn       *auth.SignIn // to the gallery at Issuer, nil for none
	SSE          bool
}

// Listen opens the listener before anything else is set up, so that an address
// in use is reported first. Without a token file and an issuer it listens only on
// loopback. A wrong setting is a *ConfigError.
func Listen(ctx context.Context, c ListenConfig) (Endpoint, error) {
	e := Endpoint{Auth: auth.Anonymous{}, SSE: c.SSE}
	var err error
	if e.PublicURL, err = parsePublicURL(c.PublicURL); err != nil {
		return e, err
	}
	if e.AllowOrigins, err = parseOrigins(c.AllowOrigins); err != nil {
		return e, err
	}
	if err := c.Issuer.check(); err != nil {
		return e, err
	}
	anonymous := c.AuthTokens == "" && c.Issuer.URL == ""
	if c.AuthTokens != "" {
		if e.Auth, err = auth.LoadTokenFile(c.AuthTokens); err != nil {
			return e, &ConfigError{"--auth-tokens", err.Error(), "Name a file of lines like alice:TOKEN that only its owner may read (chmod 600)."}
		}
	}
	var refuse func(address string) error
	if anonymous {
		refuse = exposed
	}
	if e.Listener, err = listen(ctx, c.Listen, refuse); err != nil {
		return e, err
	}
	if c.Issuer.URL != "" {
		if err := e.acceptTokens(c.Issuer); err != nil {
			return e, errors.Join(err, e.Listener.Close())
		}
	}
	return e, nil
}

// ListenLocally opens a listener that other machines cannot reach. A wrong address is a
// *ConfigError.
func ListenLocally(ctx context.Context, address string) (net.Listener, error) {
	return listen(ctx, address, func(address string) error {
		return &ConfigError{"--listen", "other machines could reach " + address, "Listen on 127.0.0.1, or serve the library to others with serve --transport http --auth-tokens FILE."}
	})
}

// listen opens a listener. refuse returns the error for an address that other machines
// can reach; it is nil if they may.
func listen(ctx context.Context, address string, refuse func(address string) error) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &ConfigError{"--listen", err.Error(), "Name an address like 127.0.0.1:8787."}
	}
	if refuse != nil && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return nil, refuse(address)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	// The machine's configuration determines the address of localhost.
	if refuse != nil && !isLoopback(listener.Addr()) {
		return nil, errors.Join(refuse(listener.Addr().String()), listener.Close())
	}
	return listener, nil
}

func isLoopback(a net.Addr) bool {
	address, ok := a.(*net.TCPAddr)
	return ok && address.IP.IsLoopback()
}

func exposed(address string) error {
	return &ConfigError{
		"--listen", "other machines could reach " + address + ", and neither a token file nor an issuer restricts access",
		"Name a file of name:token lines with --auth-tokens or an issuer of tokens with --oidc-issuer, or listen on 127.0.0.1.",
	}
}

func parsePublicURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no public URL
	}
	u, err := url.Parse(text)
	if err == nil {
		u.Host, err = canonicalHost(u)
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, &ConfigError{"--public-url", fmt.Sprintf("%q is not a base address", text), "Give scheme, host and perhaps a path, like https://images.example.com."}
	}
	return u, nil
}

// parseOrigins returns origins as browsers send them. It rejects patterns,
// since a star would admit every page.
func parseOrigins(list []string) ([]string, error) {
	origins := make([]string, 0, len(list))
	for _, text := range list {
		u, err := url.Parse(text)
		if err == nil {
			u.Host, err = canonicalHost(u)
		}
		if err != nil || u.Scheme == "" || u.Host == "" || strings.Contains(u.Host, "*") || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, &ConfigError{"--allow-origin", fmt.Sprintf("%q is not an origin", text), "Give scheme, host and port of each page, like https://app.example.com."}
		}
		origins = append(origins, u.Scheme+"://"+u.Host)
	}
	return origins, nil
}

// canonicalHost returns host and port of a URL as browsers send them: in lower
// case and ASCII, without the port that the scheme implies.
// https://url.spec.whatwg.org/#host-parsing
func canonicalHost(u *url.URL) (string, error) {
	name, port := strings.ToLower(u.Hostname()), u.Port()
	if port == impliedPort(u.Scheme) {
		port = ""
	}
	if strings.Contains(name, ":") { // IPv6
		name = "[" + name + "]"
	} else {
		var err error
		if name, err = idna.New(idna.MapForLookup(), idna.StrictDomainName(false)).ToASCII(name); err != nil {
			return "", err
		}
	}
	if port != "" {
		name += ":" + port
	}
	return name, nil
}

// impliedPort returns the port of URLs without one, "" for unknown schemes.
func impliedPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	default:
		return ""
	}
}

// Base returns the URL at which clients reach the server, without a slash at the
// end.
func (e Endpoint) Base() string {
	if e.PublicURL != nil {
		return strings.TrimSuffix(e.PublicURL.String(), "/")
	}
	address, ok := e.Listener.Addr().(*net.TCPAddr)
	if ok && address.IP.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			return fmt.Sprintf("http://%s:%d", name, address.Port)
		}
	}
	return "http://" + e.Listener.Addr().String()
}

// basePath returns the path of the public URL, which a proxy in front may
// remove, without a slash at the end.
func (e Endpoint) basePath() string {
	if e.PublicURL == nil {
		return ""
	}
	return strings.TrimSuffix(e.PublicURL.Path, "/")
}

// authenticates reports whether callers authenticate.
func (e Endpoint) authenticates() bool {
	_, anonymous := e.Auth.(auth.Anonymous)
	return !anonymous
}
