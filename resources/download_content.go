package resources

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"zai-image-mcp/resources/render"
)

// minBytesPerSecond is the slowest supported download: a response may take one
// minute plus the time for its size at this rate.
const minBytesPerSecond = 16 << 10

// content is what a download sends.
type content struct {
	io.ReadSeeker
	size                 int64
	name, mimeType, etag string
	close                func()
}

// serve writes the image, its preview or an export. The Content-Type is the recorded one
// and never guessed from the content. If w is an io.ReaderFrom, as that of net/http is,
// the kernel sends files (sendfile).
func (d *Downloads) serve(w http.ResponseWriter, r *http.Request, i Image, p downloadPath) error {
	if p.view == Original {
		if redirected, err := d.redirect(w, r, i); redirected || err != nil {
			return err
		}
	}
	c, err := d.open(r.Context(), i, p)
	if err != nil {
		return err
	}
	defer c.close()
	h := w.Header()
	h.Set("Content-Type", c.mimeType)
	h.Set("Content-Disposition", disposition(presentation(r), c.name))
	h.Set("ETag", `"`+c.etag+`"`)
	h.Set("Cache-Control", d.cacheControl())
	limit := time.Minute + time.Duration(c.size/minBytesPerSecond)*time.Second
	// An error means that w does not support deadlines; that of net/http does.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit))
	http.ServeContent(w, r, "", i.CreatedAt, c.ReadSeeker)
	return nil
}

// open returns the content of a download, which the caller must close.
func (d *Downloads) open(ctx context.Context, i Image, p downloadPath) (content, error) {
	library := d.Links.library
	spec, isExport := p.view.Spec()
	switch {
	case isExport:
		return d.openExport(ctx, i, spec)
	case p.view == Preview:
		b, err := library.Preview(ctx, i)
		if err != nil {
			return content{}, err
		}
		sum := sha256.Sum256(b)
		return content{bytes.NewReader(b), int64(len(b)), path.Base(previewName(i.Path)), "image/jpeg", hex.EncodeToString(sum[:]), func() {}}, nil
	}
	file, err := library.Open(ctx, i)
	if err != nil {
		return content{}, err
	}
	return content{file, i.Bytes, path.Base(i.Path), i.MIMEType, i.SHA256, func() { file.Close() }}, nil
}

// openExport makes an export if there is a place for it, which its content takes until it is
// closed: clients that read slowly keep it in memory.
func (d *Downloads) openExport(ctx context.Context, i Image, s render.Spec) (content, error) {
	release := func() {}
	if d.Exports != nil {
		var ok bool
		if release, ok = d.Exports.Take(i.Owner, places(i, s)); !ok {
			return content{}, errBusy
		}
	}
	e, err := d.Links.library.Export(ctx, i, s)
	if err != nil {
		release()
		return content{}, err
	}
	name := strings.TrimSuffix(path.Base(i.Path), path.Ext(i.Path)) + "-" + s.String() + s.Format.Extension()
	return content{bytes.NewReader(e.Data), int64(len(e.Data)), name, e.MIMEType, e.SHA256, release}, nil
}

// places returns how many places of Downloads.Exports an export takes: one for each 2
// megapixels, whose file has at most about 8 MB.
func places(i Image, s render.Spec) int {
	const pixels = 2 << 20
	width, height := s.Width, s.Height
	if width == 0 {
		width, height = i.Width, i.Height
	}
	return 1 + min(width*height, render.MaxSide*render.MaxSide)/pixels
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
	if !ok || !library.redirect || d.Direct {
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
