package gallery

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"time"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/plaintext"
)

// CallbackPath is where browsers come back to from the provider.
const CallbackPath = Path + "callback"

const (
	// signInLifetime is how long users may take to sign in at the provider.
	signInLifetime = 10 * time.Minute
	// answerTime limits the work for an answer of the provider. It is shorter than the time
	// that the server has for a response.
	answerTime = 6 * time.Second
	// sealedSignIn is what cookies of sign-ins are sealed for, see sealer.
	sealedSignIn = "sign-in to the gallery"
)

// Provider is an identity provider at which users sign in. auth.SignIn implements it.
type Provider interface {
	// Host names the provider to users.
	Host() string
	// URL returns the address at which a user signs in.
	URL(ctx context.Context, state, verifier string) (string, error)
	// Token returns the access token of a user who came back with an answer. It fails with
	// an *auth.SignInError if the provider did not sign the user in.
	Token(ctx context.Context, answer url.Values, verifier string) (string, error)
}

// signIn is a sign-in under way at the provider. It is the content of a cookie: only the
// browser that began it can finish it.
type signIn struct {
	State    string    `json:"state"`
	Verifier string    `json:"verifier"` // of PKCE
	To       string    `json:"to"`       // path to show afterwards
	Ends     time.Time `json:"ends"`
}

// signInURL returns the address that leads to the provider. It begins with the base that
// the provider sends browsers back to, because its cookie would be missing elsewhere.
func (g *Gallery) signInURL(to string) string {
	address := g.Base + Path + "signin"
	if to != g.root {
		address += "?" + url.Values{"to": {to}}.Encode()
	}
	return address
}

// startSignIn sends a browser to the provider.
func (g *Gallery) startSignIn(w http.ResponseWriter, r *http.Request) {
	s := signIn{State: rand.Text(), Verifier: rand.Text() + rand.Text(), To: g.target(r.URL.Query().Get("to")), Ends: g.Now().Add(signInLifetime).UTC()}
	address, err := g.Provider.URL(r.Context(), s.State, s.Verifier)
	if err != nil {
		g.refuseSignIn(w, r, s.To, err)
		return
	}
	value, err := g.sealer.seal(r.Context(), sealedSignIn, s)
	if len(value) > maxCookie {
		s.To = g.root
		value, err = g.sealer.seal(r.Context(), sealedSignIn, s)
	}
	if err != nil {
		g.fail(w, r, auth.Principal{}, err)
		return
	}
	c := g.signingIn //nolint:gosec // newCookie sets its attributes
	c.Value, c.MaxAge = value, int(signInLifetime/time.Second)
	http.SetCookie(w, &c)
	g.redirect(w, address)
}

// finishSignIn starts a session for a user who comes back from the provider.
func (g *Gallery) finishSignIn(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	r = r.WithContext(ctx)
	answer := r.URL.Query()
	s, ok, err := g.signInOf(r, answer.Get("state"))
	if err != nil {
		g.fail(w, r, auth.Principal{}, err)
		return
	}
	if !ok {
		g.showLogin(w, r, http.StatusBadRequest, loginPage{
			To: g.root, Problem: "This sign-in was not begun in this browser, took more than ten minutes, or is over already. Sign in again.",
		})
		return
	}
	c := g.signingIn //nolint:gosec // newCookie sets its attributes
	c.MaxAge = -1
	http.SetCookie(w, &c)
	view := loginPage{To: s.To}
	if !g.allowAttempt(w, r, view) {
		return
	}
	token, err := g.Provider.Token(ctx, answer, s.Verifier)
	if err != nil {
		g.refuseSignIn(w, r, s.To, err)
		return
	}
	g.startSession(w, r, view, "The token of "+g.Provider.Host(), token)
}

// signInOf returns the sign-in that the browser of a request has begun with a state. ok is
// false if there is none.
func (g *Gallery) signInOf(r *http.Request, state string) (s signIn, ok bool, err error) {
	for _, c := range r.CookiesNamed(g.signingIn.Name) { // other servers of this host may have set some
		var s signIn
		ok, err := g.sealer.unseal(r.Context(), sealedSignIn, c.Value, &s)
		if err != nil {
			return signIn{}, false, err
		}
		if ok && g.Now().Before(s.Ends) && subtle.ConstantTimeCompare([]byte(s.State), []byte(state)) == 1 {
			return s, true, nil
		}
	}
	return signIn{}, false, nil
}

// refuseSignIn shows why a sign-in at the provider failed.
func (g *Gallery) refuseSignIn(w http.ResponseWriter, r *http.Request, to string, err error) {
	view := loginPage{To: to}
	if refused, ok := errors.AsType[*auth.SignInError](err); ok {
		view.Problem = g.Provider.Host() + " did not sign you in: " + plaintext.Line(refused.Reason, 0)
		g.showLogin(w, r, http.StatusForbidden, view)
		return
	}
	g.failures.Do(func() { g.Log.WarnContext(r.Context(), "failed to reach the identity provider", "error", err) })
	w.Header().Set("Retry-After", "15")
	view.Problem = "You cannot sign in at " + g.Provider.Host() + " now. Try again in a moment."
	g.showLogin(w, r, http.StatusServiceUnavailable, view)
}
