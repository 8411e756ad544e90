package gallery_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web/gallery"
	"zai-image-mcp/resources"
)

func TestMain(m *testing.M) { testrig.Main(m) }

const (
	aliceToken = "alice-0123456789abcdef"
	bobToken   = "bob-0123456789abcdefgh"
)

// rig is a gallery that tests call without a network.
type rig struct {
	*gallery.Gallery
	library *resources.Library
	now     time.Time
	cookies []*http.Cookie // of the browser
	log     *testrig.Buffer
}

// newRig returns the gallery of a new library. The function changes its configuration.
func newRig(t testing.TB, configure func(*gallery.Config)) *rig {
	t.Helper()
	return newRigOf(t, testrig.Library(t), configure)
}

func newRigOf(t testing.TB, l *resources.Library, configure func(*gallery.Config)) *rig {
	t.Helper()
	r := &rig{library: l, now: time.Now(), log: &testrig.Buffer{}}
	c := gallery.Config{
		Library: l, Auth: auth.Anonymous{}, Open: true, Port: 8787, Now: func() time.Time { return r.now }, Log: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	if configure != nil {
		configure(&c)
	}
	var err error
	r.Gallery, err = gallery.New(c)
	require.NoError(t, err)
	return r
}

// withTokens makes a gallery require the tokens of alice and bob.
func withTokens(t testing.TB) func(*gallery.Config) {
	t.Helper()
	file, err := auth.LoadTokenFile(testrig.TokenFile(t, "alice:"+aliceToken, "bob:"+bobToken))
	require.NoError(t, err)
	return func(c *gallery.Config) { c.Auth, c.Open = file, false }
}

// response is a response with its body.
type response struct {
	*http.Response
	body string
}

func (r *rig) do(t testing.TB, method, target, body string, headers ...string) response {
	t.Helper()
	request := httptest.NewRequest(method, target, strings.NewReader(body))
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	for _, c := range r.cookies {
		request.AddCookie(c)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, request)
	answer := w.Result()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	for _, c := range answer.Cookies() {
		if r.cookies = nil; c.MaxAge >= 0 {
			r.cookies = []*http.Cookie{{Name: c.Name, Value: c.Value}}
		}
	}
	return response{answer, string(text)}
}

// get requires a page.
func (r *rig) get(t testing.TB, target string) response {
	t.Helper()
	answer := r.do(t, http.MethodGet, target, "")
	require.Equal(t, http.StatusOK, answer.StatusCode, "%s: %s", target, answer.body)
	return answer
}

// signIn signs a browser in.
func (r *rig) signIn(t testing.TB, token string) {
	t.Helper()
	answer := r.do(t, http.MethodPost, "/gallery/login", url.Values{"token": {token}}.Encode())
	require.Equal(t, http.StatusSeeOther, answer.StatusCode, answer.body)
	require.Len(t, r.cookies, 1)
}

// save saves an image. The function changes what is recorded.
func (r *rig) save(t testing.TB, change func(*resources.Image)) resources.Image {
	t.Helper()
	id, err := r.library.NewID()
	require.NoError(t, err)
	i := resources.Image{
		ID: id, CallID: id, Owner: auth.LocalOwner, State: resources.Submitted, Model: "cogview-4-250304", Prompt: "a fox", Size: "40x30", Quality: "hd",
		CostMicroUSD: 10_000, Charged: true,
	}
	if change != nil {
		change(&i)
	}
	outcome, err := r.library.Catalog().Reserve(t.Context(), resources.Reservation{Images: []resources.Image{i}, Count: 1})
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 40, 30))))
	i, err = r.library.Save(t.Context(), outcome.New[0], resources.Content{Reader: &b, MIMEType: "image/png", Extension: ".png", Width: 40, Height: 30}, "")
	require.NoError(t, err)
	return i
}

// of returns a change of an image's owner.
func of(owner string) func(*resources.Image) {
	return func(i *resources.Image) { i.Owner = owner }
}

// fill adds the rows of images without files, one each interval, the newest at a time.
func fill(t testing.TB, l *resources.Library, n int, newest time.Time, interval time.Duration, change func(*resources.Row)) (ids []string) {
	t.Helper()
	const atOnce = 5000
	var rows []resources.Row
	for k := range n {
		made := newest.Add(-time.Duration(k) * interval).UTC().Truncate(time.Millisecond)
		id := resources.FirstID(made)[:20] + fmt.Sprintf("%06d", k)
		ids = append(ids, id)
		row := resources.Row{Image: resources.Image{
			ID: id, CallID: id, Owner: auth.LocalOwner, State: resources.Saved, CreatedAt: made, Model: "cogview-4-250304", CostMicroUSD: 10_000, Charged: true,
			Prompt: fmt.Sprintf("image number %d of a fox in the snow", k), Size: "1024x1024", Quality: "standard", Path: "2026/01/01/" + id + ".png", MIMEType: "image/png",
			Width: 1024, Height: 1024, Bytes: 1_500_000, SHA256: "00", Marks: []string{},
		}}
		if change != nil {
			change(&row)
		}
		if rows = append(rows, row); len(rows) == atOnce || k == n-1 {
			added, err := l.Catalog().Insert(t.Context(), rows...)
			require.NoError(t, err)
			require.Equal(t, len(rows), added)
			rows = nil
		}
	}
	return ids
}

// nodes returns the elements of a page with a name.
func nodes(t testing.TB, page, name string) (found []*html.Node) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			found = append(found, n)
		}
	}
	return found
}

// attribute returns an attribute of an element, "" if it has none.
func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// text returns the text in an element.
func text(n *html.Node) (all string) {
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			all += d.Data
		}
	}
	return all
}

// shown returns the ids of the images on a page with a list.
func shown(t testing.TB, page string) (ids []string) {
	t.Helper()
	for _, n := range nodes(t, page, "img") {
		id, ok := strings.CutSuffix(attribute(n, "src"), "/preview")
		if ok {
			ids = append(ids, id[strings.LastIndexByte(id, '/')+1:])
		}
	}
	return ids
}

// link returns the address of the link with a relation, "" if there is none.
func link(t testing.TB, page, rel string) string {
	t.Helper()
	for _, n := range nodes(t, page, "a") {
		if attribute(n, "rel") == rel {
			return attribute(n, "href")
		}
	}
	return ""
}

// sees asserts that a response has a status.
func sees(t testing.TB, status int, answer response, message string) {
	t.Helper()
	assert.Equal(t, status, answer.StatusCode, "%s: %s", message, answer.body)
}
