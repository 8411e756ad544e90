package resources

import (
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"zai-image-mcp/resources/render"
)

// URIs of the library's MCP resources.
const (
	ModelsURI = "zai-image://models"
	imagesURI = "zai-image://images/"
)

// View is one of the resources of an image.
type View string

// The views, named as the last part of their URIs.
const (
	Original View = ""
	Preview  View = "preview"
	Metadata View = "metadata"
)

const exportsView = "exports/" // followed by the text of a render.Spec

// ExportView returns the view of an image that is an export.
func ExportView(s render.Spec) View { return View(exportsView + s.String()) }

// Spec returns the spec of a view that is an export. ok is false for other views.
func (v View) Spec() (s render.Spec, ok bool) {
	text, ok := strings.CutPrefix(string(v), exportsView)
	if !ok {
		return render.Spec{}, false
	}
	s, err := render.ParseSpec(text)
	return s, err == nil
}

// valid reports whether there is such a view.
func (v View) valid() bool {
	_, isExport := v.Spec()
	return isExport || v == Preview || v == Metadata
}

// URI returns the URI of a view of an image.
func URI(id string, view View) string {
	if view == Original {
		return imagesURI + id
	}
	return imagesURI + id + "/" + string(view)
}

// ParseURI parses the URI of an image. It accepts only the exact forms that URI
// returns. Callers only look up the id and never join it to a path.
func ParseURI(uri string) (id string, view View, ok bool) {
	rest, ok := strings.CutPrefix(uri, imagesURI)
	if !ok {
		return "", "", false
	}
	id, last, hasView := strings.Cut(rest, "/")
	view = View(last)
	if hasView && !view.valid() {
		return "", "", false
	}
	return id, view, ValidID(id)
}

// FirstID returns an id that is less than the ids of all images made at a time or later, and
// not less than those of earlier ones.
func FirstID(t time.Time) string {
	var id ulid.ULID
	ms := min(max(t.UnixMilli(), 0), int64(ulid.MaxTime()))
	_ = id.SetTime(uint64(ms)) // it is in range
	return strings.ToLower(id.String())
}

// ValidID reports whether text has the form of an image id.
func ValidID(text string) bool {
	if len(text) != ulid.EncodedSize || text != strings.ToLower(text) {
		return false
	}
	_, err := ulid.ParseStrict(strings.ToUpper(text))
	return err == nil
}
