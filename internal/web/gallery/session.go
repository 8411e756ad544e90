package gallery

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"zai-image-mcp/internal/auth"
)

const (
	// sessionLifetime is how long a session lasts, unless its principal expires earlier.
	sessionLifetime = 30 * 24 * time.Hour
	// maxCookie is the longest cookie in bytes that browsers keep.
	maxCookie = 4096
	// sealedFor distinguishes sessions from other texts that may be sealed with the key.
	sealedFor = "session of the gallery"
)

// session is the content of a cookie.
type session struct {
	Owner      string    `json:"owner"`
	Credential []byte    `json:"credential"`
	ReadOnly   bool      `json:"read_only,omitzero"`
	Expires    time.Time `json:"expires,omitzero"` // of the principal
	Ends       time.Time `json:"ends"`
}

// sessions seals sessions into cookies, so that the server keeps none. It is safe for
// concurrent use.
type sessions struct {
	key func(context.Context) ([]byte, error) // returns the key of 32 bytes

	mu   sync.Mutex
	aead cipher.AEAD // made at first use
}

// seal returns the value of a cookie for a principal and when it ends.
func (s *sessions) seal(ctx context.Context, p auth.Principal, now time.Time) (value string, ends time.Time, err error) {
	aead, err := s.cipher(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	ends = now.Add(sessionLifetime).UTC()
	if !p.Expires.IsZero() && p.Expires.Before(ends) {
		ends = p.Expires.UTC()
	}
	text, err := json.Marshal(session{Owner: p.Owner, Credential: []byte(p.Credential), ReadOnly: p.ReadOnly, Expires: p.Expires, Ends: ends})
	if err != nil {
		return "", time.Time{}, err
	}
	value = base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, text, []byte(sealedFor))) //nolint:gosec // the cipher makes a random nonce
	if len(value) > maxCookie {
		return "", time.Time{}, fmt.Errorf("the session of %q does not fit into a cookie", p.Owner)
	}
	return value, ends, nil
}

// unseal returns the principal of a cookie. ok is false if the cookie is not one that seal
// returned, or has ended.
func (s *sessions) unseal(ctx context.Context, value string, now time.Time) (p auth.Principal, ok bool, err error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(value) > maxCookie {
		return auth.Principal{}, false, nil //nolint:nilerr // seal returned no such value
	}
	aead, err := s.cipher(ctx)
	if err != nil {
		return auth.Principal{}, false, err
	}
	text, err := aead.Open(nil, nil, sealed, []byte(sealedFor))
	if err != nil {
		return auth.Principal{}, false, nil //nolint:nilerr // the value is forged or sealed with another key
	}
	var read session
	if err := json.Unmarshal(text, &read); err != nil || !now.Before(read.Ends) {
		return auth.Principal{}, false, nil //nolint:nilerr // a later version of the program sealed it
	}
	return auth.Principal{Owner: read.Owner, Credential: string(read.Credential), ReadOnly: read.ReadOnly, Expires: read.Expires}, true, nil
}

// cipher returns the cipher of the key, which it asks for until it gets one.
func (s *sessions) cipher(ctx context.Context) (cipher.AEAD, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aead != nil {
		return s.aead, nil
	}
	key, err := s.key(ctx)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	s.aead, err = cipher.NewGCMWithRandomNonce(block)
	return s.aead, err
}

// newCookie returns the cookie of sessions without its value. Cookies do not distinguish
// ports, so the name contains that of a server without a public URL.
func newCookie(public *url.URL, port int, root string) http.Cookie {
	const name = "zai_gallery"
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
	value, ends, err := g.sessions.seal(r.Context(), p, g.Now())
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
		p, ok, err := g.sessions.unseal(r.Context(), c.Value, g.Now())
		if err != nil {
			return auth.Principal{}, false, err
		}
		if ok && g.Auth.Valid(p) {
			return p, true, nil
		}
	}
	return auth.Principal{}, false, nil
}
