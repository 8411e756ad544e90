package gallery_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// Following the link to older images shows every image once, newest first.
func TestGallery_Pages(t *testing.T) {
	r := newRig(t, nil)
	want := fill(t, r.library, 150, noon, time.Hour, nil)
	fill(t, r.library, 3, noon.Add(time.Millisecond), time.Hour, func(row *resources.Row) { row.Owner = "alice" })
	var got []string
	pages := 0
	for next := "/gallery/"; next != ""; pages++ {
		page := r.get(t, next)
		got = append(got, shown(t, page.body)...)
		next = link(t, page.body, "next")
	}
	assert.Equal(t, want, got)
	assert.Equal(t, 3, pages, "60 images each")
}

// A day is found by its date, and has a heading with what it cost.
func TestGallery_Days(t *testing.T) {
	r := newRig(t, nil)
	r.now = noon
	ids := fill(t, r.library, 72, noon, time.Hour, func(row *resources.Row) { row.Sandbox = row.CreatedAt.Hour() == 0 })
	page := r.get(t, "/gallery/?date=2026-11-19")
	assert.Equal(t, ids[13:], shown(t, page.body), "from 23:00 on the day before on")
	var headings []string
	for _, n := range nodes(t, page.body, "h2") {
		headings = append(headings, strings.Join(strings.Fields(text(n)), " "))
	}
	require.Len(t, headings, 3)
	assert.Contains(t, headings[0], "Thursday, 19 November 2026")
	assert.Contains(t, headings[0], "$0.23")
	assert.Contains(t, headings[0], "$0.01")
	assert.Contains(t, headings[1], "Wednesday, 18 November 2026")
	assert.Empty(t, shown(t, r.get(t, "/gallery/?date=1969-01-01").body))
	assert.Empty(t, shown(t, r.get(t, "/gallery/?date=0001-01-01").body))
	assert.Len(t, shown(t, r.get(t, "/gallery/?date=9999-12-31").body), 60)
}

// A search finds the prompts with all words, and keeps them on the next page.
func TestGallery_Search(t *testing.T) {
	r := newRig(t, nil)
	fill(t, r.library, 100, noon, time.Hour, nil)
	page := r.get(t, "/gallery/?q=SNOW+fox")
	assert.Len(t, shown(t, page.body), 60)
	next, err := url.Parse(link(t, page.body, "next"))
	require.NoError(t, err)
	assert.Equal(t, "SNOW fox", next.Query().Get("q"))
	assert.Len(t, shown(t, r.get(t, next.String()).body), 40)
	assert.Len(t, shown(t, r.get(t, "/gallery/?q=number+77+snow").body), 1)
	for _, query := range []string{"absent", "fox absent", "%", "_", "' OR 1=1 --"} {
		assert.Empty(t, shown(t, r.get(t, "/gallery/?q="+url.QueryEscape(query)).body), query)
	}
	assert.NotContains(t, page.body, "$", "the cost of a day is not that of the images found")
}

func TestGallery_WrongQuery(t *testing.T) {
	r := newRig(t, nil)
	for _, query := range []string{
		"before=x", "before=01M7WNSDJ83VTHHJY68QFE1HKE", "date=20.11.2026", "date=2026-13-01", "q=" + strings.Repeat("x", resources.MaxQuery+1), "q=%00", "q=%ff",
	} {
		sees(t, http.StatusBadRequest, r.do(t, http.MethodGet, "/gallery/?"+query, ""), query)
	}
}

// Every query gets a page or says what is wrong with it.
func FuzzGallery_Query(f *testing.F) {
	for _, seed := range []string{
		"", "q=fox", "q=%00", "before=01m7wnsdj83vthhjy68qfe1hke", "date=2026-11-20", "date=9999-12-31&q=x", "before=%", "q=\"><script>", "key=x", "to=//evil",
	} {
		f.Add(seed)
	}
	r := newRig(f, nil)
	fill(f, r.library, 5, noon, time.Hour, nil)
	f.Fuzz(func(t *testing.T, query string) {
		u := url.URL{Path: "/gallery/", RawQuery: query}
		if _, err := url.ParseRequestURI(u.String()); err != nil || strings.ContainsAny(u.String(), " \r\n\t") {
			t.Skip("no browser sends it")
		}
		answer := r.do(t, http.MethodGet, u.String(), "")
		assert.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, answer.StatusCode, answer.body)
		for _, n := range nodes(t, answer.body, "script") {
			assert.True(t, strings.HasPrefix(attribute(n, "src"), "/gallery/assets/"), "%q", query)
			assert.Empty(t, text(n))
		}
	})
}
