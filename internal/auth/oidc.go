package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// OIDCConfig configures an OIDC.
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
type OIDC struct{ config OIDCConfig }

var _ Authenticator = (*OIDC)(nil)

// NewOIDC returns an authenticator. It fails if the issuer is not a URL with
// https, or with http on this machine. It does not contact the issuer.
func NewOIDC(c OIDCConfig) (*OIDC, error) { return &OIDC{c}, nil }

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
func (o *OIDC) Authenticate(*http.Request) (Principal, error) {
	return Principal{}, errors.New("not implemented")
}

// Valid implements Authenticator: the principal must be of this issuer. It does
// not check Expires.
func (o *OIDC) Valid(Principal) bool { return false }

// IssuerName returns the issuer as its own metadata spells it. It fetches the
// metadata if that is not known yet, and fails with ErrUnavailable.
func (o *OIDC) IssuerName(context.Context) (string, error) { return "", ErrUnavailable }
