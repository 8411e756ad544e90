package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/idna"
)

// Address says how the server is reached over HTTP, in the words of its user.
type Address struct {
	Listen       string // host:port
	PublicURL    string // "" for what Listen says
	AuthTokens   string // file, "" for none
	AllowOrigins []string
	SSE          bool
}

// SettingError is a setting with which the server does not start.
type SettingError struct{ Setting, What, Hint string }

func (e *SettingError) Error() string { return e.Setting + ": " + e.What }

// Listen takes the address, so that nothing else can go wrong before the
// server is reached. Beyond the machine itself it does so only with tokens.
// Wrong settings are a *SettingError.
func Listen(ctx context.Context, a Address) (HTTP, error) {
	c := HTTP{SSE: a.SSE, Limits: DefaultLimits()}
	var err error
	if c.PublicURL, err = parsePublicURL(a.PublicURL); err != nil {
		return c, err
	}
	if c.AllowOrigins, err = parseOrigins(a.AllowOrigins); err != nil {
		return c, err
	}
	if a.AuthTokens != "" {
		if c.Tokens, err = LoadTokens(a.AuthTokens); err != nil {
			return c, &SettingError{"--auth-tokens", err.Error(), "Name a file of lines like alice:TOKEN that only its owner may read (chmod 600)."}
		}
	}
	host, _, err := net.SplitHostPort(a.Listen)
	if err != nil {
		return c, &SettingError{"--listen", err.Error(), "Name an address like 127.0.0.1:8787."}
	}
	if ip := net.ParseIP(host); c.Tokens == nil && host != "localhost" && !ip.IsLoopback() {
		return c, exposed(a.Listen)
	}
	if c.Listener, err = new(net.ListenConfig).Listen(ctx, "tcp", a.Listen); err != nil {
		return c, fmt.Errorf("--listen: %w", err)
	}
	// What localhost means is up to the machine's configuration.
	if address, ok := c.Listener.Addr().(*net.TCPAddr); c.Tokens == nil && (!ok || !address.IP.IsLoopback()) {
		return c, errors.Join(exposed(c.Listener.Addr().String()), c.Listener.Close())
	}
	return c, nil
}

func exposed(address string) error {
	return &SettingError{
		"--listen", "other machines could reach " + address + ", and there are no tokens to tell who may",
		"Name a file of name:token lines with --auth-tokens, or listen on 127.0.0.1.",
	}
}

func parsePublicURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // none is given
	}
	u, err := url.Parse(text)
	if err == nil {
		u.Host, err = canonicalHost(u)
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, &SettingError{"--public-url", fmt.Sprintf("%q is not a base address", text), "Give scheme, host and perhaps a path, like https://images.example.com."}
	}
	return u, nil
}

// parseOrigins takes origins alone, since a star would let every page in, and
// returns them as browsers send them.
func parseOrigins(list []string) ([]string, error) {
	origins := make([]string, 0, len(list))
	for _, text := range list {
		u, err := url.Parse(text)
		if err == nil {
			u.Host, err = canonicalHost(u)
		}
		if err != nil || u.Scheme == "" || u.Host == "" || strings.Contains(u.Host, "*") || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, &SettingError{"--allow-origin", fmt.Sprintf("%q is not an origin", text), "Give scheme, host and port of each page, like https://app.example.com."}
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

// impliedPort is the port of URLs that name none.
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

// Base is where clients reach the server, without a slash at the end.
func (c HTTP) Base() string {
	if c.PublicURL != nil {
		return strings.TrimSuffix(c.PublicURL.String(), "/")
	}
	address, ok := c.Listener.Addr().(*net.TCPAddr)
	if ok && address.IP.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			return fmt.Sprintf("http://%s:%d", name, address.Port)
		}
	}
	return "http://" + c.Listener.Addr().String()
}
