package accounts

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// person is a caller with images.
type person struct {
	*server
	owner, token, secret string // secret is in the prompt of the image
	id, link             string
}

func newPerson(s *server, owner, token, secret string) *person {
	s.t.Helper()
	p := &person{server: s, owner: owner, token: token, secret: secret}
	result := p.call("generate_image", fmt.Sprintf(`{"prompt":%q,"size":"512x512"}`, secret)).ToolResult(s.t)
	require.False(s.t, result.IsError, result.Content)
	image := result.StructuredContent.Images[0]
	p.id, p.link = image.ID, strings.TrimPrefix(image.DownloadURL, s.base)
	require.NotEmpty(s.t, p.link)
	return p
}

// send sends a request of the protocol without sessions.
func (p *person) send(method, name, params string) testrig.Message {
	p.t.Helper()
	_, _, text := p.stateless(p.t.Context(), p.token, method, name, params)
	return testrig.ParseMessage(p.t, []byte(text))
}

func (p *person) call(tool, arguments string) testrig.Message {
	p.t.Helper()
	return p.send("tools/call", tool, fmt.Sprintf(`"name":%q,"arguments":%s`, tool, arguments))
}

// get requests a path with the person's token, or with none, and returns the status.
func (p *person) get(path, token string) int {
	p.t.Helper()
	status, _, text := p.do(p.t.Context(), http.MethodGet, path, token, "")
	require.NotZero(p.t, status, text)
	return status
}

// session begins a session and returns its id.
func (p *person) session() string {
	p.t.Helper()
	status, header, text := p.do(p.t.Context(), http.MethodPost, "/mcp", p.token, testrig.Initialize)
	require.Equal(p.t, http.StatusOK, status, text)
	return header.Get("Mcp-Session-Id")
}

// sse opens a stream of HTTP+SSE, which ends with the test, and returns the path to send
// messages to.
func (p *person) sse() string {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.base+"/sse", http.NoBody)
	require.NoError(p.t, err)
	request.Header.Set("Authorization", "Bearer "+p.token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			path := strings.TrimPrefix(strings.TrimSpace(data), p.base)
			require.Contains(p.t, path, "/message?sessionId=")
			return path
		}
	}
	require.Fail(p.t, "no endpoint", lines.Text())
	return ""
}

// gallery signs in to the gallery and returns the text of a page.
func (p *person) gallery(path string) (status int, text string) {
	p.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	body := url.Values{"token": {p.token}}.Encode()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.base+"/gallery/login", strings.NewReader(body))
	require.NoError(p.t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", p.base)
	response, err := client.Do(request)
	require.NoError(p.t, err)
	response.Body.Close()
	require.Equal(p.t, http.StatusSeeOther, response.StatusCode)
	require.NotEmpty(p.t, response.Cookies())
	cookie := response.Cookies()[0]
	status, _, text = p.do(p.t.Context(), http.MethodGet, path, "", "", "Cookie", cookie.Name+"="+cookie.Value)
	return status, text
}

// seesNothingOf checks that a person finds nothing of another one by any method.
func (p *person) seesNothingOf(other *person) {
	t := p.t
	t.Helper()
	uri := "zai-image://images/" + other.id
	for _, c := range []struct {
		method, name, params string
		refused              bool // with an error of the protocol
		want                 string
	}{
		{"tools/call", "get_image", `"name":"get_image","arguments":{"id":"` + other.id + `"}`, false, `"kind":"not_found"`},
		{"tools/call", "export_image", `"name":"export_image","arguments":{"id":"` + other.id + `"}`, false, `"kind":"not_found"`},
		{"tools/call", "list_images", `"name":"list_images","arguments":{}`, false, p.id},
		{"tools/call", "list_images", `"name":"list_images","arguments":{"query":"` + other.secret + `"}`, false, `"images":[]`},
		{"resources/list", "", `"x":0`, false, p.id},
		{"resources/read", uri, `"uri":"` + uri + `"`, true, ""},
		{"resources/read", uri + "/preview", `"uri":"` + uri + `/preview"`, true, ""},
		{"resources/read", uri + "/metadata", `"uri":"` + uri + `/metadata"`, true, ""},
		{"resources/read", uri + "/exports/png-100x100-cover", `"uri":"` + uri + `/exports/png-100x100-cover"`, true, ""},
		{"completion/complete", "", `"ref":{"type":"ref/resource","uri":"zai-image://images/{id}"},"argument":{"name":"id","value":"` + other.id[:8] + `"}`, false, ""},
	} {
		m := p.send(c.method, c.name, c.params)
		text := string(m.Result)
		require.Equal(t, c.refused, m.Error != nil, "%s %s: %+v %s", c.method, c.name, m.Error, text)
		assert.Contains(t, text, c.want, c.method)
		if !strings.Contains(c.params, other.secret) {
			assert.NotContains(t, text, other.secret, c.method)
		}
		if !strings.Contains(c.params, other.id) {
			assert.NotContains(t, text, other.id, c.method)
		}
	}

	unsigned, _, _ := strings.Cut(other.link, "?")
	assert.Equal(t, http.StatusNotFound, p.get(unsigned, p.token))
	assert.Equal(t, http.StatusUnauthorized, p.get(unsigned, ""))

	theirs := other.session()
	for method, body := range map[string]string{http.MethodPost: testrig.Ping, http.MethodGet: "", http.MethodDelete: ""} {
		status, _, _ := p.do(t.Context(), method, "/mcp", p.token, body, "Mcp-Session-Id", theirs)
		assert.Equal(t, http.StatusNotFound, status, method)
	}
	status, _, _ := p.do(t.Context(), http.MethodPost, other.sse(), p.token, testrig.Ping)
	assert.Equal(t, http.StatusNotFound, status)

	status, page := p.gallery("/gallery/")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, page, p.id)
	assert.NotContains(t, page, other.id)
	assert.NotContains(t, page, other.secret)
	status, page = p.gallery("/gallery/" + other.id)
	assert.Equal(t, http.StatusNotFound, status)
	assert.NotContains(t, page, other.secret)
}

// The owner anna of the file of tokens and the account anna of the provider have nothing
// in common. Both are served at the same time.
func TestOwners_SameName(t *testing.T) {
	const token = "anna-0123456789abcdef0123456789abcdef0123456789abcdef"
	p := newProvider(t, "ACCOUNTS=anna")
	s := newServer(t, p, "--auth-tokens", testrig.TokenFile(t, "anna:"+token))
	inFile := newPerson(s, "anna", token, "harbor")
	atProvider := newPerson(s, p.owner("anna"), p.token("anna", s.base+"/mcp", scopes), "meadow")
	inFile.seesNothingOf(atProvider)
	atProvider.seesNothingOf(inFile)
	for _, who := range []*person{inFile, atProvider} {
		listed := s.images(who.owner, "list", "--json")
		var entry struct{ ID string }
		require.NoError(t, json.Unmarshal([]byte(listed), &entry), listed)
		assert.Equal(t, who.id, entry.ID)
		assert.Equal(t, http.StatusOK, who.get(who.link, ""), "a signed link needs no token")
	}
	assert.EqualValues(t, 2, s.api.Posts())
}
