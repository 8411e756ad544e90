package gallery

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"time"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/render"
)

// imagePage shows one image with all facts and actions.
type imagePage struct {
	page
	resources.Description
	Made        time.Time
	Alt         string // the prompt on one line, shortened
	Saved       bool   // there is a file
	FileURL     string
	DownloadURL string
	PreviewURL  string
	NewerURL    string // "" for the newest image
	OlderURL    string // "" for the oldest image
	DayURL      string // the list from the day of the image on
	Charged     bool
	UserID      string
	LogID       string
	TaskID      string
	Command     string // makes an image like this one
	Exports     []exportLink
	ExportURL   string               // target of the form for other exports
	Files       []resources.Exported // written for users; only if they are on this machine
	DeleteURL   string               // "" if the image cannot be deleted
}

// exportLink downloads an export.
type exportLink struct {
	Name string // what it is for
	Spec string
	URL  string
}

func (g *Gallery) image(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	i, err := g.Library.Image(r.Context(), p.Owner, r.PathValue("id"))
	if err != nil {
		return err
	}
	newer, older, err := g.Library.Neighbors(r.Context(), p.Owner, i.ID)
	if err != nil {
		return err
	}
	const maxTitle, maxAlt = 60, 1000
	local := g.keys != nil
	v := imagePage{
		page: g.newPage(p, plaintext.Line(i.Prompt, maxTitle)), Description: g.Library.Describe(r.Context(), i, resources.Locator{Path: local}),
		Made: i.CreatedAt, Alt: plaintext.Line(i.Prompt, maxAlt), Saved: i.State == resources.Saved, Charged: i.Charged,
		UserID: i.UserID, LogID: i.LogID, TaskID: i.TaskID, Command: command(i),
		DayURL: g.root + "?" + url.Values{"date": {i.CreatedAt.UTC().Format(time.DateOnly)}}.Encode(),
	}
	if v.Saved {
		v.FileURL, v.PreviewURL = g.fileURL(i.ID+path.Ext(i.Path)), g.fileURL(i.ID+"/preview")
		v.DownloadURL = v.FileURL + "?download=1"
		v.Exports, v.ExportURL = g.exports(i), g.imageURL(i.ID)+"/export"
	}
	if newer != "" {
		v.NewerURL = g.imageURL(newer)
	}
	if older != "" {
		v.OlderURL = g.imageURL(older)
	}
	if !p.ReadOnly {
		v.DeleteURL = g.imageURL(i.ID) + "/delete"
	}
	if local {
		if v.Files, err = g.Library.Catalog().ExportsOf(r.Context(), i.ID); err != nil {
			return err
		}
	}
	return g.render(w, http.StatusOK, "image", v)
}

// exports returns links to exports that people often need.
func (g *Gallery) exports(i resources.Image) (links []exportLink) {
	for _, e := range []struct {
		name, size string
		format     render.Format
	}{
		{"WebP, same size", "", render.WebP},
		{"JPEG, same size", "", render.JPEG},
		{"PNG, same size", "", render.PNG},
		{"Social card", "1200x630", render.JPEG},
		{"Square", "1080x1080", render.JPEG},
		{"Banner", "1920x1080", render.WebP},
		{"Icon", "512x512", render.PNG},
		{"Favicon", "", render.ICO},
	} {
		s, err := render.NewSpec(e.format, e.size, "", "")
		if err != nil {
			continue // there is no such spec
		}
		links = append(links, exportLink{Name: e.name, Spec: s.String(), URL: g.exportURL(i.ID, s)})
	}
	return links
}

// exportURL returns the path that downloads an export.
func (g *Gallery) exportURL(id string, s render.Spec) string {
	return g.fileURL(id+"/"+string(resources.ExportView(s))+s.Format.Extension()) + "?download=1"
}

// export sends the browser from the form for exports to the file.
func (g *Gallery) export(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	i, err := g.Library.Image(r.Context(), p.Owner, r.PathValue("id"))
	if err == nil && i.State != resources.Saved {
		err = resources.ErrNotFound
	}
	if err != nil {
		return err
	}
	query := r.URL.Query()
	s, err := render.NewSpec(render.Format(query.Get("format")), query.Get("size"), query.Get("fit"), query.Get("background"))
	if spec, ok := errors.AsType[*render.SpecError](err); ok {
		return &problem{http.StatusUnprocessableEntity, spec.Problem + " " + spec.Hint}
	}
	if err != nil {
		return err
	}
	g.redirect(w, g.exportURL(i.ID, s))
	return nil
}

// remove deletes an image and shows the next older one.
func (g *Gallery) remove(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	if p.ReadOnly {
		return &problem{http.StatusForbidden, "You may look at images and not delete them."}
	}
	id := r.PathValue("id")
	newer, older, err := g.Library.Neighbors(r.Context(), p.Owner, id)
	if err != nil {
		return err
	}
	switch err := g.Library.Remove(r.Context(), p.Owner, id); {
	case errors.Is(err, resources.ErrWorking):
		return &problem{http.StatusConflict, "The image is still being made. Wait until it is done."}
	case err != nil:
		return err
	}
	g.Log.InfoContext(r.Context(), "deleted an image", "id", id, "owner", p.Owner)
	switch {
	case older != "":
		g.redirect(w, g.imageURL(older))
	case newer != "":
		g.redirect(w, g.imageURL(newer))
	default:
		g.redirect(w, g.root)
	}
	return nil
}
