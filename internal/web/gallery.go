package web

import (
	"net/http"
	"strings"

	"zai-image-mcp/internal/web/gallery"
)

// mountGallery adds the routes of the gallery.
func mountGallery(routes *http.ServeMux, g *gallery.Gallery) {
	first := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", g.Root())
		w.WriteHeader(http.StatusSeeOther)
	}
	routes.HandleFunc("GET /{$}", first)
	routes.HandleFunc("GET "+strings.TrimSuffix(gallery.Path, "/"), first)
	routes.Handle(gallery.Path, g)
}

// isGallery reports whether a request is for the gallery, or for a path that only leads
// to it.
func isGallery(r *http.Request) bool {
	leads := r.URL.Path == "/" || r.URL.Path == strings.TrimSuffix(gallery.Path, "/")
	return leads && (r.Method == http.MethodGet || r.Method == http.MethodHead) || strings.HasPrefix(r.URL.Path, gallery.Path)
}

// isGalleryFile reports whether a request is for a file of the gallery, and not for the
// same path below a public URL that ends in /gallery.
func isGalleryFile(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, gallery.Path+"images/") && r.Header.Get("Authorization") == "" && r.URL.Query().Get("sig") == ""
}

// isNavigation reports whether a browser shows the response as a page of its own, not as
// a part of another page.
// https://www.w3.org/TR/fetch-metadata/
func isNavigation(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// checkForm returns why a form of the gallery is refused, "" if it is not. Browsers name
// the page that sends a form. Pages that only may use the MCP server must not.
func (p allowedHosts) checkForm(r *http.Request) (refusal string) {
	if !isGallery(r) || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return ""
	}
	if origin := r.Header["Origin"]; len(origin) != 1 || !p.own[strings.ToLower(origin[0])] {
		return "Only pages of this server may send forms to the gallery."
	}
	return ""
}
