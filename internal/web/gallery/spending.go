package gallery

import (
	"net/http"
	"time"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/resources"
)

// spendingDays is the number of UTC days that the spending page shows.
const spendingDays = 30

// spendingPage shows what was spent. Money of the sandbox was not really spent, and is
// shown apart.
type spendingPage struct {
	page
	Since, Until time.Time // first and last day
	Real, Play   account
}

// account is one kind of money.
type account struct {
	TotalUSD float64
	Images   int
	Chart    chart
	Rows     []resources.Spending // by day, newest first, and model
}

// chart is a bar chart of the days, drawn as SVG.
type chart struct {
	Width, Height int // of the drawing
	MaxUSD        float64
	Bars          []bar // oldest day first
}

// bar is one day. The origin is the upper left corner.
type bar struct {
	Day                 time.Time
	X, Y, Width, Height float64
	USD                 float64
	Images              int
	URL                 string // the list from this day on
}

func (g *Gallery) spending(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	until := g.Now().UTC().Truncate(24 * time.Hour)
	since := until.AddDate(0, 0, 1-spendingDays)
	list, err := g.Library.Spending(r.Context(), p.Owner, since, until)
	if err != nil {
		return err
	}
	v := spendingPage{page: g.newPage(p, "Spending"), Since: since, Until: until}
	for _, s := range list {
		a := &v.Real
		if s.Sandbox {
			a = &v.Play
		}
		a.TotalUSD += s.CostUSD
		a.Images += s.Images
		a.Rows = append(a.Rows, s)
	}
	v.Real.Chart, v.Play.Chart = g.newChart(v.Real.Rows, since), g.newChart(v.Play.Rows, since)
	return g.render(w, http.StatusOK, "spending", v)
}

// newChart returns the chart of the spending on the days from since on.
func (g *Gallery) newChart(rows []resources.Spending, since time.Time) chart {
	const (
		width, height = 600, 120
		step          = float64(width) / spendingDays
		gap           = 4
	)
	c := chart{Width: width, Height: height}
	for n := range spendingDays {
		date := since.AddDate(0, 0, n)
		b := bar{Day: date, X: float64(n)*step + gap/2, Y: height, Width: step - gap, URL: g.root + "?date=" + date.Format(time.DateOnly)}
		for _, s := range rows {
			if s.Day == date.Format(time.DateOnly) {
				b.USD += s.CostUSD
				b.Images += s.Images
			}
		}
		c.MaxUSD = max(c.MaxUSD, b.USD)
		c.Bars = append(c.Bars, b)
	}
	for n := range c.Bars {
		b := &c.Bars[n]
		if b.USD > 0 {
			b.Height = max(1, height*b.USD/c.MaxUSD)
			b.Y = height - b.Height
		}
	}
	return c
}
