package gallery

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"zai-image-mcp/internal/auth"
)

// loginPage is the page on which users sign in.
type loginPage struct {
	page
	To          string // path to show afterwards
	Problem     string // why the last attempt failed, "" without one
	Provider    string // at which users can sign in, "" for none
	ProviderURL string // that leads there
}

// loginURL returns the path of the page on which users sign in to see the page of r.
func (g *Gallery) loginURL(r *http.Request) string {
	to := url.URL{Path: g.root + strings.TrimPrefix(r.URL.Path, Path), RawQuery: r.URL.RawQuery}
	if target := to.String(); target != g.root {
		return g.root + "login?" + url.Values{"to": {target}}.Encode()
	}
	return g.root + "login"
}

// target returns the path to show after a sign-in: a page of the gallery, or the first one
// if text is anything else.
func (g *Gallery) target(text string) string {
	const maxTarget = 2000
	u, err := url.Parse(text)
	if err != nil || len(text) > maxTarget || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return g.root
	}
	name, ok := strings.CutPrefix(u.Path, g.root)
	if !ok || strings.ContainsAny(name, `/\.`) || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return g.root
	}
	switch name {
	case "login", "logout", "signin", "callback":
		return g.root
	}
	return (&url.URL{Path: g.root + name, RawQuery: u.Query().Encode()}).String()
}

func (g *Gallery) loginForm(w http.ResponseWriter, r *http.Request) {
	if g.keys != nil {
		g.fail(w, r, auth.Principal{}, &problem{http.StatusUnauthorized, "Open the address that the command printed. It can be used once; run the command again for a new one."})
		return
	}
	g.showLogin(w, r, http.StatusOK, loginPage{To: g.target(r.URL.Query().Get("to"))})
}

func (g *Gallery) showLogin(w http.ResponseWriter, r *http.Request, status int, view loginPage) {
	view.page = g.newPage(auth.Principal{}, "Sign in")
	if g.Provider != nil {
		view.Provider, view.ProviderURL = g.Provider.Host(), g.signInURL(view.To)
	}
	if err := g.render(w, status, "login", view); err != nil {
		g.fail(w, r, auth.Principal{}, err)
	}
}

// login starts a session for a token.
func (g *Gallery) login(w http.ResponseWriter, r *http.Request) {
	view := loginPage{To: g.target(r.PostForm.Get("to"))}
	if g.allowAttempt(w, r, view) {
		g.startSession(w, r, view, "This token", r.PostForm.Get("token"))
	}
}

// allowAttempt reports whether a request may try to sign in. If not, it says so.
func (g *Gallery) allowAttempt(w http.ResponseWriter, r *http.Request, view loginPage) bool {
	if g.attempts.allow(r, g.Now()) {
		return true
	}
	w.Header().Set("Retry-After", "10")
	view.Problem = "There were too many attempts. Wait a moment and try again."
	g.showLogin(w, r, http.StatusTooManyRequests, view)
	return false
}

// startSession starts a session for a token, which name describes to the user.
func (g *Gallery) startSession(w http.ResponseWriter, r *http.Request, view loginPage, name, token string) {
	p, err := g.authenticate(r, token)
	if err == nil && !p.Expires.IsZero() && !g.Now().Before(p.Expires) {
		err = &auth.TokenError{Reason: "the token has expired"}
	}
	if err != nil {
		g.refuse(w, r, view, name, err)
		return
	}
	if err := g.setSession(w, r, p); err != nil {
		g.fail(w, r, auth.Principal{}, err)
		return
	}
	g.redirect(w, view.To)
}

// refuse shows why a token was not accepted.
func (g *Gallery) refuse(w http.ResponseWriter, r *http.Request, view loginPage, name string, err error) {
	status := g.explain(&view, name, err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "15")
		g.Log.WarnContext(r.Context(), "failed to check a token", "error", err)
	}
	g.showLogin(w, r, status, view)
}

// authenticate returns the principal of a token.
func (g *Gallery) authenticate(r *http.Request, token string) (auth.Principal, error) {
	token = strings.TrimSpace(token)
	if scheme, rest, ok := strings.Cut(token, " "); ok && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(rest)
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return auth.Principal{}, auth.ErrNoPrincipal
	}
	asked := r.Clone(r.Context())
	asked.Header = http.Header{"Authorization": {"Bearer " + token}}
	return g.Auth.Authenticate(asked)
}

// explain sets the problem of a sign-in that failed, and returns the status of the response.
func (g *Gallery) explain(view *loginPage, name string, err error) int {
	token, isToken := errors.AsType[*auth.TokenError](err)
	scope, isScope := errors.AsType[*auth.ScopeError](err)
	forbidden, isForbidden := errors.AsType[*auth.ForbiddenError](err)
	switch {
	case isScope:
		view.Problem = name + " cannot be used here: " + scope.Error() + "."
		return http.StatusForbidden
	case isForbidden:
		view.Problem = name + " cannot be used here: " + strings.TrimSuffix(forbidden.Reason, ".") + "."
		return http.StatusForbidden
	case isToken:
		view.Problem = name + " is not accepted: " + strings.TrimSuffix(token.Reason, ".") + "."
		return http.StatusUnauthorized
	case errors.Is(err, auth.ErrNoPrincipal):
		view.Problem = name + " is not valid."
		return http.StatusUnauthorized
	default:
		view.Problem = name + " cannot be checked now. Try again in a moment."
		return http.StatusServiceUnavailable
	}
}

// logout ends the session in this browser.
func (g *Gallery) logout(w http.ResponseWriter, _ *http.Request) {
	c := g.cookie //nolint:gosec // newCookie sets its attributes
	c.MaxAge = -1
	http.SetCookie(w, &c)
	g.redirect(w, g.root+"login")
}
