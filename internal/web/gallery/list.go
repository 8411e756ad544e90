package gallery

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
)

// perPage is the number of images on a page.
const perPage = 60

// listPage shows images by day, newest first.
type listPage struct {
	page
	Query     string // words that the prompts contain
	Date      string // first day of the page if the user went to a day, as in 2026-11-20
	Today     string
	Days      []day
	OlderURL  string // "" on the last page
	NewestURL string // the first page of the same search, "" if this is it
}

// day is the images of one UTC day on a page.
type day struct {
	Date       time.Time
	Images     []thumb
	CostUSD    float64 // of all images of the day, 0 in a search
	SandboxUSD float64 // what those of the sandbox would have cost
}

// thumb is an image in a list.
type thumb struct {
	ID            string
	Prompt        string // on one line, shortened
	URL           string // of the page of the image
	PreviewURL    string
	CreatedAt     time.Time
	Model         string
	Width, Height int
	Sandbox       bool
}

// selection is what a list shows.
type selection struct {
	query  string
	before string    // id, "" for no limit
	date   time.Time // the newest day, if dated
	dated  bool
}

// parseSelection reads the parameters of a list. It fails with a *problem.
func parseSelection(values url.Values) (s selection, err error) {
	s.query = strings.TrimSpace(values.Get("q"))
	if len(s.query) > resources.MaxQuery || !utf8.ValidString(s.query) || strings.ContainsRune(s.query, 0) {
		return s, &problem{http.StatusBadRequest, "The search is too long or is not text."}
	}
	if s.before = values.Get("before"); s.before != "" && !resources.ValidID(s.before) {
		return s, &problem{http.StatusBadRequest, "This address does not come from a page of the gallery."}
	}
	if text := values.Get("date"); text != "" {
		if s.date, err = time.Parse(time.DateOnly, text); err != nil {
			return s, &problem{http.StatusBadRequest, "Write the date as in 2026-11-20."}
		}
		s.dated = true
	}
	return s, nil
}

// cursor returns the id that the ids of all images of a list are less than.
func (s selection) cursor() string {
	if s.before == "" && s.dated {
		return resources.FirstID(s.date.AddDate(0, 0, 1))
	}
	return s.before
}

// url returns the path of a list.
func (s selection) url(root string) string {
	values := url.Values{}
	if s.query != "" {
		values.Set("q", s.query)
	}
	if s.before != "" {
		values.Set("before", s.before)
	}
	if len(values) == 0 {
		return root
	}
	return root + "?" + values.Encode()
}

func (g *Gallery) list(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	s, err := parseSelection(r.URL.Query())
	if err != nil {
		return err
	}
	images, next, err := g.Library.List(r.Context(), p.Owner, s.query, s.cursor(), perPage)
	if err != nil {
		return err
	}
	view := listPage{page: g.newPage(p, "Images"), Query: s.query, Today: g.Now().UTC().Format(time.DateOnly), Days: g.byDay(images)}
	if s.dated {
		view.Date = s.date.Format(time.DateOnly)
	}
	if next != "" {
		view.OlderURL = selection{query: s.query, before: next}.url(g.root)
	}
	if s.cursor() != "" {
		view.NewestURL = selection{query: s.query}.url(g.root)
	}
	if s.query == "" {
		if err := g.addCosts(r.Context(), p.Owner, view.Days); err != nil {
			return err
		}
	}
	return g.render(w, http.StatusOK, "list", view)
}

// byDay groups images, which are sorted by time.
func (g *Gallery) byDay(images []resources.Image) (days []day) {
	const maxPrompt = 200
	for _, i := range images {
		date := i.CreatedAt.UTC().Truncate(24 * time.Hour)
		if len(days) == 0 || !days[len(days)-1].Date.Equal(date) {
			days = append(days, day{Date: date})
		}
		d := &days[len(days)-1]
		d.Images = append(d.Images, thumb{
			ID: i.ID, Prompt: plaintext.Line(i.Prompt, maxPrompt), URL: g.imageURL(i.ID), PreviewURL: g.fileURL(i.ID + "/preview"),
			CreatedAt: i.CreatedAt, Model: i.Model, Width: i.Width, Height: i.Height, Sandbox: i.Sandbox,
		})
	}
	return days
}

// addCosts sets what each day cost.
func (g *Gallery) addCosts(ctx context.Context, owner string, days []day) error {
	if len(days) == 0 {
		return nil
	}
	list, err := g.Library.Spending(ctx, owner, days[len(days)-1].Date, days[0].Date)
	if err != nil {
		return err
	}
	for n := range days {
		for _, s := range list {
			switch {
			case s.Day != days[n].Date.Format(time.DateOnly):
			case s.Sandbox:
				days[n].SandboxUSD += s.CostUSD
			default:
				days[n].CostUSD += s.CostUSD
			}
		}
	}
	return nil
}
