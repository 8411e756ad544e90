package resources

import (
	"context"
	"errors"
	"net/http"
	"path"
	"strconv"
	"strings"

	"zai-image-mcp/resources/render"
)

// Downloads serves /images/{id}.{ext}, /images/{id}/preview and
// /images/{id}/exports/{spec}.{ext} to requests with a signed link, and to authenticated
// owners for their own images. The signature of an image's link is also valid for its
// preview, and that of an export only for this export.
type Downloads struct {
	Links *Links
	// Owner returns the authenticated owner of a request. ok is false if the
	// request is not authenticated.
	Owner func(context.Context) (owner string, ok bool)
	// Exports bounds the exports that are in memory to be sent, in total and for the images
	// of an owner; nil for no bound. Larger ones take several places.
	Exports Quota
	// Direct is set if only authenticated owners get files, at stable addresses: signatures
	// are ignored, and requests are not redirected to the store.
	Direct bool
}

// Quota is a number of places in total and for each client.
type Quota interface {
	// Take takes n places for a client until release is called. ok is false if fewer are
	// free.
	Take(client string, n int) (release func(), ok bool)
}

// ServeHTTP answers GET and HEAD.
func (d *Downloads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "Only GET and HEAD.", http.StatusMethodNotAllowed)
		return
	}
	file, ok := parseDownload(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	i, denied, err := d.authorize(r, file)
	if denied != nil {
		http.Error(w, denied.text, denied.status)
		return
	}
	if err == nil && (i.State != Saved || !file.isOf(i)) {
		err = ErrNotFound
	}
	if err == nil {
		if d.isSigned(r) {
			// A page of any origin may show an image whose link it has.
			h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		}
		err = d.serve(w, r, i, file)
	}
	if err != nil {
		h.Set("Cross-Origin-Resource-Policy", "same-origin") // the response is not an image
		d.fail(w, r, file.id, err)
	}
}

// fail answers a request for a file that cannot be served.
func (d *Downloads) fail(w http.ResponseWriter, r *http.Request, id string, err error) {
	spec, isSpec := errors.AsType[*render.SpecError](err)
	switch {
	case errors.Is(err, ErrNotFound):
		http.NotFound(w, r)
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Too many exports are being downloaded. Repeat the request later.", http.StatusServiceUnavailable)
	case isSpec:
		http.Error(w, spec.Problem+" "+spec.Hint, http.StatusUnprocessableEntity)
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil: // nobody reads the response
		http.Error(w, "The request has ended.", http.StatusServiceUnavailable)
	default:
		d.Links.library.log.ErrorContext(r.Context(), "failed to serve an image", "id", id, "error", err)
		http.Error(w, "The image cannot be read.", http.StatusInternalServerError)
	}
}

// errBusy means that Downloads.Exports has no place.
var errBusy = errors.New("too many exports are being downloaded")

// downloadPath is the path of a download.
type downloadPath struct {
	id        string
	extension string // "" if it has none
	view      View   // Original, Preview or an export
}

// parseDownload parses the path of a download: an id, an optional extension, and
// optionally /preview; or an id and /exports/ with a spec and the extension of its format.
func parseDownload(name string) (p downloadPath, ok bool) {
	name, ok = strings.CutPrefix(name, "/images/")
	if !ok {
		return p, false
	}
	if id, file, isExport := strings.Cut(name, "/"+exportsView); isExport {
		p = downloadPath{id, path.Ext(file), View(exportsView + strings.TrimSuffix(file, path.Ext(file)))}
		spec, ok := p.view.Spec()
		return p, ok && ValidID(id) && p.extension == spec.Format.Extension()
	}
	name, preview := strings.CutSuffix(name, "/preview")
	if preview {
		p.view = Preview
	}
	p.extension = path.Ext(name)
	p.id = strings.TrimSuffix(name, p.extension)
	return p, ValidID(p.id)
}

// isOf reports whether the extension is that of an image. The extension of an export does
// not depend on it.
func (p downloadPath) isOf(i Image) bool {
	_, isExport := p.view.Spec()
	return isExport || p.extension == "" || p.extension == path.Ext(i.Path)
}

// target returns what the signature of a link covers.
func (p downloadPath) target() string {
	if spec, ok := p.view.Spec(); ok {
		return exportTarget(p.id, spec)
	}
	return p.id
}

// isSigned reports whether a request must be authorized by the signature of its
// link.
func (d *Downloads) isSigned(r *http.Request) bool {
	query := r.URL.Query()
	return !d.Direct && (query.Get("sig") != "" || query.Get("exp") != "")
}

// httpError is a response to a request that is not authorized.
type httpError struct {
	status int
	text   string
}

// authorize returns the requested image, or the response to a request that may not
// access it. An invalid link and a missing image get the same response.
func (d *Downloads) authorize(r *http.Request, file downloadPath) (Image, *httpError, error) {
	query := r.URL.Query()
	exp, sig := query.Get("exp"), query.Get("sig")
	library := d.Links.library
	if !d.isSigned(r) {
		owner, ok := d.Owner(r.Context())
		if !ok {
			return Image{}, &httpError{http.StatusForbidden, "The link lacks its signature. Ask for it again with get_image."}, nil
		}
		i, err := library.Image(r.Context(), owner, file.id)
		return i, nil, err
	}
	invalid := &httpError{http.StatusForbidden, "The link is not valid. Ask for a new one with get_image."}
	i, err := library.image(r.Context(), file.id)
	if errors.Is(err, ErrNotFound) {
		return i, invalid, nil
	}
	valid := false
	if err == nil {
		valid, err = d.Links.verify(r.Context(), i.Owner, file.target(), exp, sig)
	}
	switch {
	case err != nil:
		return Image{}, nil, err
	case !valid:
		return Image{}, invalid, nil
	}
	if expires, _ := strconv.ParseInt(exp, 10, 64); library.now().Unix() >= expires { // a valid signature covers a number
		return Image{}, &httpError{http.StatusGone, "The link has expired. Ask for a new one with get_image."}, nil
	}
	return i, nil, nil
}
