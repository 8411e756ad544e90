package gallery_test

import (
	"html/template"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"zai-image-mcp/resources"
)

// byID returns the text of the element of a page with an id.
func byID(t testing.TB, page, id string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && attribute(n, "id") == id {
			return text(n)
		}
	}
	require.Fail(t, "no element", id)
	return ""
}

// The page of an image has every fact and leads to its neighbors.
func TestGallery_Image(t *testing.T) {
	r := newRig(t, nil)
	older := r.save(t, nil)
	i := r.save(t, func(i *resources.Image) {
		i.Prompt, i.UserID, i.RequestID, i.Sandbox = "an owl\nat night", "user-17", "request-9", true
	})
	r.save(t, of("alice"))
	newer := r.save(t, nil)
	page := r.get(t, "/gallery/"+i.ID)
	for _, fact := range []string{i.ID, i.SHA256, i.Model, "hd", "40x30", "user-17", "image/png", "$0.01", "sandbox", i.CreatedAt.Format("2006-01-02T15:04:05Z")} {
		assert.Contains(t, page.body, template.HTMLEscapeString(fact))
	}
	assert.Equal(t, i.Prompt, byID(t, page.body, "prompt"))
	assert.Equal(t, i.ID, byID(t, page.body, "id"))
	assert.Equal(t, "/gallery/"+newer.ID, link(t, page.body, "prev"))
	assert.Equal(t, "/gallery/"+older.ID, link(t, page.body, "next"))
	assert.NotContains(t, page.body, r.library.Path(i), "a path of the server")
	for _, name := range []string{i.ID, i.ID + ".png", i.ID + "/preview", i.ID + "/exports/webp-20x10-cover.webp"} {
		file := r.get(t, "/gallery/images/"+name)
		assert.True(t, strings.HasPrefix(file.Header.Get("Content-Type"), "image/"), name)
		assert.Equal(t, "private, max-age=86400, immutable", file.Header.Get("Cache-Control"))
		assert.Contains(t, file.Header.Get("Content-Security-Policy"), "sandbox")
	}
	assert.Contains(t, r.get(t, "/gallery/images/"+i.ID+".png?download=1").Header.Get("Content-Disposition"), "attachment")
}

// An image that is not saved has a page that says why.
func TestGallery_UnsavedImage(t *testing.T) {
	r := newRig(t, nil)
	ids := fill(t, r.library, 1, noon, 0, func(row *resources.Row) {
		row.State, row.Path, row.Failure = resources.Failed, "", &resources.Failure{Message: "The prompt was <refused>.", Hint: "Rephrase it."}
	})
	page := r.get(t, "/gallery/"+ids[0])
	assert.Contains(t, page.body, "The prompt was &lt;refused&gt;. Rephrase it.")
	assert.NotContains(t, page.body, "/gallery/images/"+ids[0])
	sees(t, http.StatusNotFound, r.do(t, http.MethodGet, "/gallery/"+ids[0]+"/export?format=png", ""), "export")
}

// Whatever a prompt contains, it is text on the pages.
func TestGallery_HostilePrompts(t *testing.T) {
	r := newRig(t, nil)
	for _, prompt := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</title></textarea></svg><script>x</script>`, `javascript:alert(1)`,
		"{{.}} ${x} <!-- ]]> -->", "\x00\x1b[31m\u202e", `&lt;b&gt;`, "<style>*{display:none}</style>", strings.Repeat("<b>", 300),
	} {
		prompt = strings.ToValidUTF8(strings.ReplaceAll(prompt, "\x00", ""), "")
		i := r.save(t, func(i *resources.Image) { i.Prompt = prompt })
		page := r.get(t, "/gallery/"+i.ID)
		assert.Equal(t, prompt, byID(t, page.body, "prompt"))
		for _, body := range []string{page.body, r.get(t, "/gallery/").body, r.get(t, "/gallery/?q="+url.QueryEscape(prompt)).body} {
			inert(t, body)
		}
	}
}

// inert asserts that a page has no script, style or handler of its own.
func inert(t *testing.T, page string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		assert.NotContains(t, []string{"style", "iframe", "object", "embed", "base", "b"}, n.Data)
		if n.Data == "script" {
			assert.True(t, strings.HasPrefix(attribute(n, "src"), "/gallery/assets/"))
			assert.Empty(t, text(n))
		}
		for _, a := range n.Attr {
			assert.False(t, strings.HasPrefix(a.Key, "on") || a.Key == "style", "%s %s", n.Data, a.Key)
			assert.False(t, strings.HasPrefix(a.Val, "javascript:") && (a.Key == "href" || a.Key == "src" || a.Key == "action"), a.Val)
		}
	}
}

// The command makes the same image when it is pasted into a shell.
func TestGallery_Command(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("NOT TESTED: there is no bash")
	}
	r := newRig(t, nil)
	for _, prompt := range []string{"a fox", "it's", `back\slash "quoted" $HOME $(id) ` + "`id`", "two\nlines\tand a tab!", "-n", "", "\x1b[201~\nrm -rf x", "猫 👨‍👩‍👧 é", "don't\x07!\\"} {
		i := r.save(t, func(i *resources.Image) { i.Prompt = prompt })
		command := byID(t, r.get(t, "/gallery/"+i.ID).body, "command")
		assert.NotContains(t, command, "\n", "pasting it must not run a part of it")
		assert.NotContains(t, command, "\x1b")
		const function = `zai-image-mcp() { printf '%s\0' "$@"; }; LC_ALL=C.UTF-8; `
		out, err := exec.CommandContext(t.Context(), bash, "--norc", "-c", function+command).Output()
		require.NoError(t, err, command)
		assert.Equal(t, []string{"generate", "--model", "cogview-4-250304", "--size", "40x30", "--quality", "hd", "--", prompt, ""}, strings.Split(string(out), "\x00"))
	}
	i := r.save(t, func(i *resources.Image) { i.Sandbox = true })
	assert.Contains(t, byID(t, r.get(t, "/gallery/"+i.ID).body, "command"), " --sandbox ", "an image that was free is not paid for")
}

// Deleting leads to the next older image, then to the newer one, then to the list.
func TestGallery_Delete(t *testing.T) {
	r := newRig(t, nil)
	first, second, third := r.save(t, nil), r.save(t, nil), r.save(t, nil)
	remove := func(id string) response { return r.do(t, http.MethodPost, "/gallery/"+id+"/delete", "") }
	sees(t, http.StatusMethodNotAllowed, r.do(t, http.MethodGet, "/gallery/"+second.ID+"/delete", ""), "GET")
	for _, tt := range []struct{ id, to string }{{second.ID, "/gallery/" + first.ID}, {first.ID, "/gallery/" + third.ID}, {third.ID, "/gallery/"}} {
		answer := remove(tt.id)
		sees(t, http.StatusSeeOther, answer, tt.id)
		assert.Equal(t, tt.to, answer.Header.Get("Location"))
		sees(t, http.StatusNotFound, r.do(t, http.MethodGet, "/gallery/"+tt.id, ""), "its page")
		sees(t, http.StatusNotFound, r.do(t, http.MethodGet, "/gallery/images/"+tt.id, ""), "its file")
	}
	sees(t, http.StatusNotFound, remove(second.ID), "again")
	id, err := r.library.NewID()
	require.NoError(t, err)
	_, err = r.library.Catalog().Reserve(t.Context(), resources.Reservation{Images: []resources.Image{{ID: id, Owner: "local", State: resources.Submitted}}, Count: 1})
	require.NoError(t, err)
	sees(t, http.StatusConflict, remove(id), "being made")
	for _, text := range []string{"x", "%00", "%ff", "..%2fmcp", strings.ToUpper(third.ID)} {
		sees(t, http.StatusNotFound, remove(text), text)
	}
}

// The form for exports leads to the file, or says what is wrong.
func TestGallery_Export(t *testing.T) {
	r := newRig(t, nil)
	i := r.save(t, nil)
	export := func(query string) response { return r.do(t, http.MethodGet, "/gallery/"+i.ID+"/export?"+query, "") }
	answer := export("format=webp&size=20x10&fit=contain&background=%23fff")
	sees(t, http.StatusSeeOther, answer, "export")
	assert.Equal(t, "/gallery/images/"+i.ID+"/exports/webp-20x10-contain-ffffff.webp?download=1", answer.Header.Get("Location"))
	assert.Equal(t, "image/webp", r.get(t, answer.Header.Get("Location")).Header.Get("Content-Type"))
	for _, query := range []string{"", "format=gif", "format=png&size=9x", "format=jpg&background=transparent", "format=png&size=99999x1", "format=png&fit=cover"} {
		sees(t, http.StatusUnprocessableEntity, export(query), query)
	}
	links := 0
	for _, n := range nodes(t, r.get(t, "/gallery/"+i.ID).body, "a") {
		if href := attribute(n, "href"); strings.Contains(href, "/exports/") {
			r.get(t, href)
			links++
		}
	}
	assert.Equal(t, 8, links)
}

// A session is needed for files, whatever the query of their address is: the signature of a
// download link opens nothing here, and a wrong one does no harm.
func TestGallery_SignaturesIgnored(t *testing.T) {
	r := newRig(t, withTokens(t))
	i := r.save(t, of("alice"))
	signed, _, err := resources.NewLinks(r.library, "/gallery", time.Hour).URL(t.Context(), i)
	require.NoError(t, err)
	sees(t, http.StatusUnauthorized, r.do(t, http.MethodGet, signed, ""), "no session")
	r.signIn(t, bobToken)
	sees(t, http.StatusNotFound, r.do(t, http.MethodGet, signed, ""), "the session of another owner")
	r.signIn(t, aliceToken)
	for _, target := range []string{signed, signed + "0", "/gallery/images/" + i.ID + "?exp=1&sig=x"} {
		file := r.get(t, target)
		assert.Equal(t, "same-origin", file.Header.Get("Cross-Origin-Resource-Policy"))
		assert.Equal(t, "Cookie", file.Header.Get("Vary"))
	}
}
