package gallery

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"zai-image-mcp/internal/auth"
)

// page is what all pages have.
type page struct {
	Title    string
	Root     string // path of the first page, with a slash at the end
	Owner    string // who is signed in, "" if nobody signs in
	SignedIn bool   // there is a session that can be ended
	ReadOnly bool   // nothing can be deleted

	assets map[string]asset
}

// errorPage says what went wrong.
type errorPage struct {
	page
	Status int
	Text   string
}

// newPage returns what all pages for a principal have.
func (g *Gallery) newPage(p auth.Principal, title string) page {
	v := page{Title: title, Root: g.root, ReadOnly: p.ReadOnly, assets: g.assets}
	if !g.Open {
		v.Owner = p.Owner
		v.SignedIn = p.Authenticated() && g.keys == nil
	}
	return v
}

// Asset returns the path of an asset with its hash.
func (p page) Asset(name string) (string, error) {
	a, ok := p.assets[name]
	if !ok {
		return "", fmt.Errorf("there is no asset %s", name)
	}
	return p.Root + "assets/" + name + "?" + a.hash, nil
}

// parsePages returns the template of each page by its name. All share layout.html.
func parsePages() (map[string]*template.Template, error) {
	names, err := files.ReadDir("pages")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, e := range names {
		name := strings.TrimSuffix(e.Name(), path.Ext(e.Name()))
		if name == "layout" {
			continue
		}
		pages[name], err = template.New(name).Funcs(functions()).ParseFS(files, "pages/layout.html", "pages/"+e.Name())
		if err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// functions returns the functions of the templates.
func functions() template.FuncMap {
	return template.FuncMap{
		"usd":  dollars,
		"size": byteSize,
		"iso":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"time": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" },
		"date": func(t time.Time) string { return t.UTC().Format(time.DateOnly) },
		"day":  func(t time.Time) string { return t.UTC().Format("Monday, 2 January 2006") },
	}
}

// dollars returns an amount with at least two decimals, and a third one if it matters.
func dollars(amount float64) string {
	text := strconv.FormatFloat(amount, 'f', 3, 64)
	return "$" + strings.TrimSuffix(text, "0")
}

// byteSize returns a number of bytes for people.
func byteSize(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1e6:
		return fmt.Sprintf("%.0f KB", float64(n)/1e3)
	default:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
}

// render sends a page. It sends nothing if the template fails.
func (g *Gallery) render(w http.ResponseWriter, status int, name string, view any) error {
	var b bytes.Buffer
	if err := g.pages[name].ExecuteTemplate(&b, "layout", view); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a client that is gone needs no page
	return nil
}
