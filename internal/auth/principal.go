package auth

import (
	"errors"
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
	// credential.
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

// ErrNoPrincipal means that a request has no valid credential.
var ErrNoPrincipal = errors.New("no valid token")

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
