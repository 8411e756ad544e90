package resources

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// Downloads serves /images/{id}.{ext} and /images/{id}/preview to requests with
// a signed link, and to authenticated owners for their own images.
type Downloads struct {
	Links *Links
	// Owner returns the authenticated owner of a request. ok is false if the
	// request is not authenticated.
	Owner func(context.Context) (owner string, ok bool)
}

// minBytesPerSecond is the slowest supported download: a response may take one
// minute plus the time for its size at this rate.
const minBytesPerSecond = 16 << 10

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
	id, extension, preview, ok := parseDownload(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	i, denied, err := d.authorize(r, id)
	if denied != nil {
		http.Error(w, denied.text, denied.status)
		return
	}
	if err == nil && (i.State != Saved || extension != "" && extension != path.Ext(i.Path)) {
		err = ErrNotFound
	}
	if err == nil {
		if isSigned(r) {
			// A page of any origin may show an image whose link it has.
			h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		}
		err = d.serve(w, r, i, preview)
	}
	if err != nil {
		h.Set("Cross-Origin-Resource-Policy", "same-origin") // the response is not an image
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrNotFound):
		http.NotFound(w, r)
	default:
		d.Links.library.log.ErrorContext(r.Context(), "failed to serve an image", "id", id, "error", err)
		http.Error(w, "The image cannot be read.", http.StatusInternalServerError)
	}
}

// parseDownload parses the path of a download: an id, an optional extension, and
// optionally /preview.
func parseDownload(name string) (id, extension string, preview, ok bool) {
	name, ok = strings.CutPrefix(name, "/images/")
	if !ok {
		return "", "", false, false
	}
	name, preview = strings.CutSuffix(name, "/preview")
	extension = path.Ext(name)
	id = strings.TrimSuffix(name, extension)
	return id, extension, preview, ValidID(id)
}

// isSigned reports whether a request must be authorized by the signature of its
// link.
func isSigned(r *http.Request) bool {
	query := r.URL.Query()
	return query.Get("sig") != "" || query.Get("exp") != ""
}

// httpError is a response to a request that is not authorized.
type httpError struct {
	status int
	text   string
}

// authorize returns the requested image, or the response to a request that may not
// access it. An invalid link and a missing image get the same response.
func (d *Downloads) authorize(r *http.Request, id string) (Image, *httpError, error) {
	query := r.URL.Query()
	exp, sig := query.Get("exp"), query.Get("sig")
	library := d.Links.library
	if !isSigned(r) {
		owner, ok := d.Owner(r.Context())
		if !ok {
			return Image{}, &httpError{http.StatusForbidden, "The link lacks its signature. Ask for it again with get_image."}, nil
		}
		i, err := library.Image(r.Context(), owner, id)
		return i, nil, err
	}
	invalid := &httpError{http.StatusForbidden, "The link is not valid. Ask for a new one with get_image."}
	i, err := library.image(r.Context(), id)
	if errors.Is(err, ErrNotFound) {
		return i, invalid, nil
	}
	valid := false
	if err == nil {
		valid, err = d.Links.verify(r.Context(), i.Owner, id, exp, sig)
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

// serve writes the image or its preview. The Content-Type is the recorded one and
// never guessed from the content. If w is an io.ReaderFrom, as that of net/http is,
// the kernel sends files (sendfile).
func (d *Downloads) serve(w http.ResponseWriter, r *http.Request, i Image, preview bool) error {
	if !preview {
		if redirected, err := d.redirect(w, r, i); redirected || err != nil {
			return err
		}
	}
	var (
		content  io.ReadSeeker
		size     = i.Bytes
		name     = path.Base(i.Path)
		mimeType = i.MIMEType
		etag     = i.SHA256
	)
	if preview {
		b, err := d.Links.library.Preview(r.Context(), i)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		content, size, mimeType, etag = bytes.NewReader(b), int64(len(b)), "image/jpeg", hex.EncodeToString(sum[:])
		name = path.Base(previewName(i.Path))
	} else {
		file, err := d.Links.library.Open(r.Context(), i)
		if err != nil {
			return err
		}
		defer file.Close()
		content = file
	}
	h := w.Header()
	h.Set("Content-Type", mimeType)
	h.Set("Content-Disposition", disposition(presentation(r), name))
	h.Set("ETag", `"`+etag+`"`)
	h.Set("Cache-Control", d.cacheControl())
	limit := time.Minute + time.Duration(size/minBytesPerSecond)*time.Second
	// An error means that w does not support deadlines; that of net/http does.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit))
	http.ServeContent(w, r, "", i.CreatedAt, content)
	return nil
}

// presentation returns how a browser shows the image of a request.
func presentation(r *http.Request) string {
	if r.URL.Query().Get("download") == "1" {
		return "attachment"
	}
	return "inline"
}

// disposition returns a Content-Disposition.
func disposition(presentation, name string) string {
	return mime.FormatMediaType(presentation, map[string]string{"filename": name})
}

func (d *Downloads) cacheControl() string {
	return fmt.Sprintf("private, max-age=%d, immutable", int(d.Links.lifetime.Seconds()))
}

// redirectLifetime is how long the target of a redirect is valid.
const redirectLifetime = 5 * time.Minute

// redirect redirects a request to the store, if the library does so. The content does
// not pass through this program, so its hash is not computed here: redirect compares
// the size, and the SHA-256 that the service computed when it received the object. A
// service that does not report one is trusted to return what it received.
func (d *Downloads) redirect(w http.ResponseWriter, r *http.Request, i Image) (bool, error) {
	library := d.Links.library
	store, ok := library.store.(Presigner)
	if !ok || !library.redirect {
		return false, nil
	}
	info, err := library.store.Stat(r.Context(), i.Path)
	if err != nil {
		return false, err
	}
	if info.Size != i.Bytes || info.SHA256 != "" && info.SHA256 != i.SHA256 {
		return false, fmt.Errorf("%w: %s", ErrCorrupt, RedactName(i.Path))
	}
	link, _, err := store.Presign(r.Context(), i.Path, Presign{
		Lifetime: redirectLifetime, ContentType: i.MIMEType, CacheControl: d.cacheControl(),
		ContentDisposition: disposition(presentation(r), path.Base(i.Path)),
	})
	if err != nil {
		return false, err
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, link, http.StatusFound)
	return true, nil
}
