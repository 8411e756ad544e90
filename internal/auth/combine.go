package auth

import "net/http"

// Combine returns an Authenticator that accepts tokens of the file and those of
// the issuer. It is a Reloader of the file. Neither argument may be nil.
func Combine(file *TokenFile, issuer *OIDC) Authenticator { return &combined{file, issuer} }

type combined struct {
	file   *TokenFile
	issuer *OIDC
}

var _ Reloader = (*combined)(nil)

// Authenticate implements Authenticator. It looks for the token in the file first.
func (c *combined) Authenticate(r *http.Request) (Principal, error) {
	if p, err := c.file.Authenticate(r); err == nil {
		return p, nil
	}
	return c.issuer.Authenticate(r)
}

// Valid implements Authenticator.
func (c *combined) Valid(p Principal) bool { return c.file.Valid(p) || c.issuer.Valid(p) }

// Reload implements Reloader.
func (c *combined) Reload(always bool) (changed bool, err error) { return c.file.Reload(always) }
