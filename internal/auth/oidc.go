package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// OIDCConfig configures an OIDC. HTTP, Now and Log are required.
type OIDCConfig struct {
	Issuer        string   // URL of an OpenID provider or OAuth 2 authorization server
	Audiences     []string // a token must name one of them
	OwnerClaim    string   // claim that names the owner
	ReadScope     string   // every request needs it; "" for none
	GenerateScope string   // generating images needs it; "" for none
	HTTP          *http.Client
	Now           func() time.Time
	Log           *slog.Logger
}

// OIDC authenticates callers by the JWT access tokens of one issuer.
// https://www.rfc-editor.org/rfc/rfc9068
type OIDC struct {
	config OIDCConfig
	keys   *keyring
	tag    [sha256.Size]byte // begins the credentials of this issuer's principals
}

var _ Authenticator = (*OIDC)(nil)

// NewOIDC returns an authenticator. It fails if the issuer is not a URL with
// https, or with http on this machine. It does not contact the issuer.
func NewOIDC(c OIDCConfig) (*OIDC, error) {
	if err := checkOIDCConfig(c); err != nil {
		return nil, err
	}
	return &OIDC{config: c, keys: newKeyring(c), tag: sha256.Sum256([]byte(c.Issuer))}, nil
}

var (
	// scopeToken is the grammar of one scope.
	// https://www.rfc-editor.org/rfc/rfc6749#section-3.3
	scopeToken = regexp.MustCompile(`^[!#-\[\]-~]+$`)
	// claimName matches names of claims that can be part of a quoted header field, apart
	// from their length.
	claimName = regexp.MustCompile(`^[!#-\[\]-~]+$`)
)

func checkOIDCConfig(c OIDCConfig) error {
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || !trustworthy(u) || strings.ContainsFunc(c.Issuer, unprintable):
		return fmt.Errorf("the issuer %q is not a URL with https, or with http on this machine", c.Issuer)
	case strings.ContainsAny(c.Issuer, "?#"):
		return fmt.Errorf("the issuer %q must not have a query or a fragment", c.Issuer)
	case len(c.Audiences) == 0 || slices.Contains(c.Audiences, ""):
		return errors.New("an audience of the tokens is required")
	case len(c.OwnerClaim) > maxName || !claimName.MatchString(c.OwnerClaim):
		return fmt.Errorf("%q is not the name of a claim", c.OwnerClaim)
	}
	for _, scope := range []string{c.ReadScope, c.GenerateScope} {
		if scope != "" && !scopeToken.MatchString(scope) {
			return fmt.Errorf("%q is not a scope", scope)
		}
	}
	return nil
}

func unprintable(r rune) bool { return r <= ' ' || r > '~' }

// trustworthy reports whether nobody on the network can change the response of a
// URL: it has https, or http on this machine.
func trustworthy(u *url.URL) bool {
	if u.Host == "" || u.User != nil {
		return false
	}
	host := u.Hostname()
	address, err := netip.ParseAddr(host)
	local := host == "localhost" || err == nil && address.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && local
}

// Scopes returns the scopes that tokens need, those of reading first.
func (o *OIDC) Scopes() []string {
	var scopes []string
	for _, scope := range []string{o.config.ReadScope, o.config.GenerateScope} {
		if scope != "" {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// Authenticate implements Authenticator.
func (o *OIDC) Authenticate(r *http.Request) (Principal, error) {
	text, ok := bearer(r)
	if !ok {
		return Principal{}, ErrNoPrincipal
	}
	token, err := parseJWT(text)
	if err != nil {
		return Principal{}, err
	}
	// These checks precede that of the signature because no key can make up for a
	// failure, and keys may have to be fetched.
	if err := token.claims.check(o.config, o.config.Now()); err != nil {
		return Principal{}, err
	}
	issuer, err := o.keys.verify(r.Context(), token)
	if err != nil {
		return Principal{}, err
	}
	if iss, _ := token.claims.text("iss"); iss != issuer {
		return Principal{}, errIssuer
	}
	return o.principal(text, token.claims)
}

// principal returns the principal of a valid token.
func (o *OIDC) principal(text string, c claims) (Principal, error) {
	scopes := c.scopes()
	if !granted(scopes, o.config.ReadScope) {
		return Principal{}, &ScopeError{o.config.ReadScope}
	}
	name, err := c.owner(o.config.OwnerClaim)
	if err != nil {
		return Principal{}, err
	}
	expires, _ := c.time("exp") // it was checked
	digest := sha256.Sum256([]byte(text))
	return Principal{
		Owner:      ownerPrefix(o.config.Issuer) + name,
		Expires:    expires,
		ReadOnly:   !granted(scopes, o.config.GenerateScope),
		Credential: string(o.tag[:]) + string(digest[:]),
	}, nil
}

// ownerPrefix begins the owners of an issuer. It contains a slash, which names in
// a token file do not.
func ownerPrefix(issuer string) string {
	_, rest, _ := strings.Cut(issuer, "://")
	return strings.TrimSuffix(rest, "/") + "/"
}

// Valid implements Authenticator: the principal must be of this issuer. It does
// not check Expires.
func (o *OIDC) Valid(p Principal) bool {
	digest, ok := strings.CutPrefix(p.Credential, string(o.tag[:]))
	return ok && len(digest) == sha256.Size
}

// IssuerName returns the issuer as its own metadata spells it. It fetches the
// metadata if that is not known yet, and fails with ErrUnavailable.
func (o *OIDC) IssuerName(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	return o.keys.issuerName(ctx)
}
