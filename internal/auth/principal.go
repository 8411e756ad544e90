package auth

import (
	"net/http"
	"time"
)

// LocalOwner owns all images of callers that do not authenticate.
const LocalOwner = "local"

// Principal is an authenticated caller. Principals are comparable: two requests
// have equal principals if they were authenticated by the same credential.
type Principal struct {
	Owner   string    // of the images that are made and seen
	Expires time.Time // zero for a principal that does not expire
	// ReadOnly is set if the credential does not allow generating images.
	ReadOnly bool
	// Credential identifies what proved the owner, without being usable as
	// proof. It is empty for the local owner.
	Credential string
}

// Authenticated reports whether the caller proved its identity. Different
// callers may share the local owner.
func (p Principal) Authenticated() bool { return p.Credential != "" }

// Authenticator finds the principal of a request.
type Authenticator interface {
	// Authenticate fails with ErrNoPrincipal if the request has no valid
	// credential, with a *TokenError if that is an access token that is not
	// accepted, with a *ScopeError or a *ForbiddenError if the token is valid and
	// its bearer may not use the server, and with ErrUnavailable if the token
	// cannot be checked now.
	Authenticate(r *http.Request) (Principal, error)
	// Valid reports whether an earlier principal may still use the server.
	Valid(p Principal) bool
}

// Reloader is an Authenticator whose credentials can change while the server
// runs.
type Reloader interface {
	// Reload reads the credentials if they were changed, or always. After an
	// error the earlier ones stay in force.
	Reload(always bool) (changed bool, err error)
}

// Anonymous treats every caller as the local owner.
type Anonymous struct{}

// Authenticate implements Authenticator. It never fails.
func (Anonymous) Authenticate(*http.Request) (Principal, error) {
	return Principal{Owner: LocalOwner}, nil
}

// Valid implements Authenticator.
func (Anonymous) Valid(Principal) bool { return true }

// Local returns the principal of callers that do not authenticate.
func Local() Principal { return Principal{Owner: LocalOwner} }
