package gallery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"zai-image-mcp/internal/auth"
)

const (
	// sessionLifetime is how long a session lasts, unless its principal expires earlier.
	sessionLifetime = 30 * 24 * time.Hour
	// sealedSession is what session cookies are sealed for, see sealer.
	sealedSession = "session of the gallery"
)

// session is the content of a cookie.
type session struct {
	Owner      string    `json:"owner"`
	Credential []byte    `json:"credential"`
	ReadOnly   bool      `json:"read_only,omitzero"`
	Expires    time.Time `json:"expires,omitzero"` // of the principal
	Ends       time.Time `json:"ends"`
}

// sealSession returns the value of a cookie for a principal and when it ends.
func (g *Gallery) sealSession(ctx context.Context, p auth.Principal) (value string, ends time.Time, err error) {
	ends = g.Now().Add(sessionLifetime).UTC()
	if !p.Expires.IsZero() && p.Expires.Before(ends) {
		ends = p.Expires.UTC()
	}
	value, err = g.sealer.seal(ctx, sealedSession, session{
		Owner: p.Owner, Credential: []byte(p.Credential), ReadOnly: p.ReadOnly, Expires: p.Expires, Ends: ends,
	})
	if err == nil && len(value) > maxCookie {
		err = fmt.Errorf("the session of %q does not fit into a cookie", p.Owner)
	}
	return value, ends, err
}

// unsealSession returns the principal of a cookie. ok is false if the cookie is not one
// that sealSession returned, or has ended.
func (g *Gallery) unsealSession(ctx context.Context, value string) (p auth.Principal, ok bool, err error) {
	var read session
	ok, err = g.sealer.unseal(ctx, sealedSession, value, &read)
	if err != nil || !ok || !g.Now().Before(read.Ends) {
		return auth.Principal{}, false, err
	}
	return auth.Principal{Owner: read.Owner, Credential: string(read.Credential), ReadOnly: read.ReadOnly, Expires: read.Expires}, true, nil
}

// newCookie returns a cookie without its value. Cookies do not distinguish ports, so the
// name gets that of a server without a public URL.
func newCookie(name string, public *url.URL, port int, root string) http.Cookie {
	c := http.Cookie{Name: name, Path: root, HttpOnly: true, SameSite: http.SameSiteLaxMode} //nolint:gosec // Secure is set below, unless the server has no https
	switch {
	case public == nil:
		c.Name = fmt.Sprintf("%s_%d", name, port)
	case public.Scheme == "https": // no other host can set a cookie with this prefix
		c.Name, c.Path, c.Secure = "__Host-"+name, "/", true
	}
	return c
}

// setSession starts the session of a principal.
func (g *Gallery) setSession(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	value, ends, err := g.sealSession(r.Context(), p)
	if err != nil {
		return err
	}
	c := g.cookie //nolint:gosec // newCookie sets its attributes
	c.Value = value
	if g.keys == nil { // otherwise the session ends with the process
		c.Expires = ends
	}
	http.SetCookie(w, &c)
	return nil
}

// principal returns the principal of a request. ok is false if it has no valid session.
func (g *Gallery) principal(r *http.Request) (p auth.Principal, ok bool, err error) {
	if g.Open {
		p, err := g.Auth.Authenticate(r)
		if forbidden, ok := errors.AsType[*auth.ForbiddenError](err); ok {
			err = &problem{http.StatusForbidden, forbidden.Reason}
		}
		return p, err == nil, err
	}
	for _, c := range r.CookiesNamed(g.cookie.Name) { // other servers of this host may have set some
		p, ok, err := g.unsealSession(r.Context(), c.Value)
		if err != nil {
			return auth.Principal{}, false, err
		}
		if ok && g.Auth.Valid(p) {
			return p, true, nil
		}
	}
	return auth.Principal{}, false, nil
}
