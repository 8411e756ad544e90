package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/web/gallery"
)

// DefaultOwnerClaim is the claim that names the owner unless another is set.
const DefaultOwnerClaim = "sub"

// IssuerConfig holds the settings for access tokens of an issuer, as the user
// wrote them.
type IssuerConfig struct {
	URL        string   // empty for no issuer
	Audiences  []string // empty for the addresses of the endpoints
	OwnerClaim string   // empty for DefaultOwnerClaim
	Scopes     string   // one that all requests need and, after a comma, one to generate images
	ClientID   string   // of the gallery at the issuer; empty if users cannot sign in to it there
	HTTP       *http.Client
	Now        func() time.Time
	Log        *slog.Logger
}

// check fails if a setting is not valid or needs an issuer.
func (c IssuerConfig) check() error {
	if c.URL != "" {
		if slices.Contains(c.Audiences, "") {
			return &ConfigError{"--oidc-audience", "an audience is empty", "Name what the issuer writes into aud, like https://images.example.com/mcp."}
		}
		if c.OwnerClaim != "" && !isName(c.OwnerClaim) {
			return &ConfigError{"--oidc-owner-claim", fmt.Sprintf("%q is not the name of a claim", c.OwnerClaim), "Name one claim, like sub, email or oid."}
		}
		if strings.ContainsFunc(c.ClientID, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return &ConfigError{"--oidc-client-id", fmt.Sprintf("%q is not the id of a client", c.ClientID), "Name the client that is registered at the issuer for the gallery."}
		}
		_, _, err := c.scopes()
		return err
	}
	for setting, isSet := range map[string]bool{
		"--oidc-audience": len(c.Audiences) > 0, "--oidc-scopes": c.Scopes != "", "--oidc-client-id": c.ClientID != "",
		"--oidc-owner-claim": c.OwnerClaim != "" && c.OwnerClaim != DefaultOwnerClaim,
	} {
		if isSet {
			return &ConfigError{setting, "there is no issuer whose tokens it applies to", "Name the issuer with --oidc-issuer."}
		}
	}
	return nil
}

// scopes returns the scopes that tokens need, "" for none.
func (c IssuerConfig) scopes() (read, generate string, err error) {
	if c.Scopes == "" {
		return "", "", nil
	}
	read, generate, both := strings.Cut(c.Scopes, ",")
	read, generate = strings.TrimSpace(read), strings.TrimSpace(generate)
	if !isName(read) || both && !isName(generate) {
		return "", "", &ConfigError{
			"--oidc-scopes", fmt.Sprintf("%q is not one scope or two", c.Scopes),
			"Name the scope that a token needs and, after a comma, the one to generate images, like images:read,images:generate.",
		}
	}
	return read, generate, nil
}

// isName reports whether text can be a scope or the name of a claim. None has a
// comma, so that a list of three scopes is not taken for two.
// https://www.rfc-editor.org/rfc/rfc6749#section-3.3
func isName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"\,`, r) })
}

// acceptTokens accepts the access tokens of an issuer, besides those of the
// token file if there is one.
func (e *Endpoint) acceptTokens(c IssuerConfig) error {
	read, generate, err := c.scopes()
	if err != nil {
		return err
	}
	audiences := c.Audiences
	if len(audiences) == 0 {
		for _, path := range e.endpoints() {
			audiences = append(audiences, e.Base()+path)
		}
		if e.PublicURL == nil && !isLoopback(e.Listener.Addr()) {
			c.Log.Warn("found no --public-url: tokens must name the address of this machine as their audience, which may not be the one that clients use", "audiences", audiences)
		}
	}
	if c.OwnerClaim == "" {
		c.OwnerClaim = DefaultOwnerClaim
	}
	e.Issuer, err = auth.NewOIDC(auth.OIDCConfig{
		Issuer: c.URL, Audiences: audiences, OwnerClaim: c.OwnerClaim, ReadScope: read, GenerateScope: generate, HTTP: c.HTTP, Now: c.Now, Log: c.Log,
	})
	if err != nil {
		return &ConfigError{"--oidc-issuer", err.Error(), "Name the issuer as its metadata spells it, like https://id.example.com."}
	}
	if c.ClientID != "" {
		e.SignIn = e.Issuer.SignIn(c.ClientID, e.Base()+gallery.CallbackPath)
	}
	if file, ok := e.Auth.(*auth.TokenFile); ok {
		e.Auth = auth.Combine(file, e.Issuer)
	} else {
		e.Auth = e.Issuer
	}
	return nil
}

// endpoints returns the paths that clients connect to.
func (e *Endpoint) endpoints() []string {
	if e.SSE {
		return []string{"/mcp", "/sse"}
	}
	return []string{"/mcp"}
}
