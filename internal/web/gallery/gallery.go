package gallery

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/resources"
)

// Path is where a server mounts a Gallery.
const Path = "/gallery/"

// MaxForm is the maximum size of a form in bytes.
const MaxForm = 8 << 10

// Config configures a Gallery.
type Config struct {
	Library *resources.Library
	// Auth authenticates those who sign in.
	Auth auth.Authenticator
	// Open is set if nobody signs in, because Auth authenticates every request.
	Open bool
	// Local is set for a gallery of one owner that is opened with a key. Auth is then not
	// used.
	Local *Local
	// Provider is where users can sign in without typing a token; nil for nowhere.
	Provider  Provider
	Base      string          // of the addresses that Provider knows
	PublicURL *url.URL        // at which browsers reach the server, nil for the listener's address
	Port      int             // of the listener
	Exports   resources.Quota // see resources.Downloads; may be nil
	Now       func() time.Time
	Log       *slog.Logger
}

// Gallery serves the pages of an image library. It is safe for concurrent use.
type Gallery struct {
	Config
	root      string      // path of the first page as browsers see it, with a slash at the end
	cookie    http.Cookie // of sessions
	signingIn http.Cookie // of sign-ins at the provider
	sealer    *sealer
	attempts  *attempts
	failures  rate.Sometimes // limits which failures of the provider are logged: anybody can cause them
	keys      *oneTimeKey    // nil unless Local is set
	downloads http.Handler
	assets    map[string]asset
	pages     map[string]*template.Template
	routes    *http.ServeMux
}

// New returns a gallery.
func New(c Config) (*Gallery, error) {
	g := &Gallery{Config: c, sealer: &sealer{key: c.Library.GalleryKey}, attempts: newAttempts(), failures: rate.Sometimes{First: 20, Interval: time.Second}}
	if c.Local != nil {
		var err error
		if g.keys, g.sealer, err = openLocal(c.Local); err != nil {
			return nil, err
		}
		g.Auth = g.keys
	}
	base := ""
	if c.PublicURL != nil {
		base = strings.Trim(c.PublicURL.Path, "/")
	}
	g.root = path.Join("/", base, Path) + "/"
	g.cookie = newCookie("zai_gallery", c.PublicURL, c.Port, g.root)
	g.signingIn = newCookie("zai_gallery_signin", c.PublicURL, c.Port, g.root)
	const cached = 24 * time.Hour
	g.downloads = http.StripPrefix(strings.TrimSuffix(Path, "/"), &resources.Downloads{
		Links: resources.NewLinks(c.Library, "", cached), Owner: ownerOf, Exports: c.Exports, Direct: true,
	})
	var err error
	if g.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if g.pages, err = parsePages(); err != nil {
		return nil, err
	}
	g.routes = g.newRoutes()
	return g, nil
}

func (g *Gallery) newRoutes() *http.ServeMux {
	routes := http.NewServeMux()
	routes.HandleFunc("GET "+Path+"{$}", g.signedIn(g.list))
	routes.HandleFunc("GET "+Path+"spending", g.signedIn(g.spending))
	routes.HandleFunc("GET "+Path+"{id}", g.signedIn(g.image))
	routes.HandleFunc("GET "+Path+"{id}/export", g.signedIn(g.export))
	routes.HandleFunc("POST "+Path+"{id}/delete", g.signedIn(g.remove))
	if !g.Open {
		routes.HandleFunc("GET "+Path+"login", g.loginForm)
		routes.HandleFunc("POST "+Path+"login", g.login)
		routes.HandleFunc("POST "+Path+"logout", g.logout)
	}
	if g.Provider != nil {
		routes.HandleFunc("GET "+Path+"signin", g.startSignIn)
		routes.HandleFunc("GET "+CallbackPath, g.finishSignIn)
	}
	return routes
}

// Root returns the path of the first page as browsers see it.
func (g *Gallery) Root() string { return g.root }

// ServeHTTP serves paths below Path.
func (g *Gallery) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	if r.Method == http.MethodPost {
		if !isForm(r) {
			http.Error(w, "Content-Type must be application/x-www-form-urlencoded.", http.StatusUnsupportedMediaType)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, MaxForm)
		if err := r.ParseForm(); err != nil {
			status := http.StatusBadRequest
			if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
				status = http.StatusRequestEntityTooLarge
			}
			http.Error(w, "The form cannot be read.", status)
			return
		}
	}
	name := strings.TrimPrefix(r.URL.Path, Path)
	switch {
	case strings.HasPrefix(name, "assets/"):
		g.serveAsset(w, r, strings.TrimPrefix(name, "assets/"))
	case strings.HasPrefix(name, "images/"):
		g.serveFile(w, r)
	default:
		g.routes.ServeHTTP(w, r)
	}
}

// setHeaders sets the headers of all responses. Files of images have stricter ones, see
// resources.Downloads.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "private, no-cache")
}

// isForm reports whether the body of a request is declared as a form without files.
func isForm(r *http.Request) bool {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && mediaType == "application/x-www-form-urlencoded"
}

// handler answers the request of a principal.
type handler func(w http.ResponseWriter, r *http.Request, p auth.Principal) error

// signedIn returns a handler for requests with a session. It sends others to the page on
// which they sign in.
func (g *Gallery) signedIn(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if g.keys != nil && r.Method == http.MethodGet && r.URL.Query().Has("key") { // HEAD must not use the key up
			g.useKey(w, r)
			return
		}
		p, ok, err := g.principal(r)
		switch {
		case err != nil:
			g.fail(w, r, auth.Principal{}, err)
			return
		case !ok && r.Method == http.MethodPost:
			g.fail(w, r, auth.Principal{}, &problem{http.StatusUnauthorized, "Your session has ended. Sign in and repeat this."})
			return
		case !ok:
			g.redirect(w, g.loginURL(r))
			return
		}
		if err := h(w, r, p); err != nil {
			g.fail(w, r, p, err)
		}
	}
}

// serveFile serves the file, the preview or an export of an image.
func (g *Gallery) serveFile(w http.ResponseWriter, r *http.Request) {
	p, ok, err := g.principal(r)
	switch {
	case err != nil:
		g.fail(w, r, auth.Principal{}, err)
	case !ok:
		http.Error(w, "Sign in at "+g.root+"login.", http.StatusUnauthorized)
	default:
		w.Header().Set("Vary", "Cookie") // after the user signs out, the browser must not show what it keeps
		g.downloads.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), ownerKey{}, p.Owner)))
	}
}

// ownerKey is the key of the owner in the context of a request for a file.
type ownerKey struct{}

func ownerOf(ctx context.Context) (owner string, ok bool) {
	owner, ok = ctx.Value(ownerKey{}).(string)
	return owner, ok
}

// problem is an error that is shown to the user.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

// fail shows an error.
func (g *Gallery) fail(w http.ResponseWriter, r *http.Request, p auth.Principal, err error) {
	shown, known := errors.AsType[*problem](err)
	switch {
	case known:
	case errors.Is(err, resources.ErrNotFound):
		shown = &problem{http.StatusNotFound, "There is no such image. It may have been deleted."}
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil: // nobody reads the response
		shown = &problem{http.StatusServiceUnavailable, "The request has ended."}
	default:
		g.Log.ErrorContext(r.Context(), "failed to serve a page of the gallery", "error", err)
		shown = &problem{http.StatusInternalServerError, "The image library cannot be used now. The log of the server says why."}
	}
	view := errorPage{page: g.newPage(p, http.StatusText(shown.status)), Status: shown.status, Text: shown.text}
	if err := g.render(w, shown.status, "error", view); err != nil {
		g.Log.ErrorContext(r.Context(), "failed to serve a page of the gallery", "error", err)
		http.Error(w, shown.text, shown.status)
	}
}

// redirect sends the browser to a path of this server with GET.
func (g *Gallery) redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// imageURL returns the path of an image's page.
func (g *Gallery) imageURL(id string) string { return g.root + url.PathEscape(id) }

// fileURL returns the path of a file of an image, such as "ID/preview".
func (g *Gallery) fileURL(name string) string { return fmt.Sprintf("%simages/%s", g.root, name) }
