package mcpserver_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
)

const bothScopes = "images:read images:generate"

// newIssuerRig returns a server that accepts the tokens of an issuer, and the issuer.
func newIssuerRig(t *testing.T, o webOptions) (*webRig, *testrig.Issuer) {
	t.Helper()
	issuer := testrig.NewIssuer(t)
	keys := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(keys.CloseIdleConnections)
	o.address.Issuer = web.IssuerConfig{
		URL: issuer.URL, Audiences: []string{issuer.Audience}, Scopes: "images:read,images:generate",
		HTTP: keys, Now: func() time.Time { return issuer.Now() }, Log: slog.New(slog.DiscardHandler),
	}
	return newWebRig(t, o), issuer
}

// scoped returns the claims of a token with these scopes.
func scoped(scopes string) map[string]any { return map[string]any{"scope": scopes} }

// An owner of the issuer and one of the token file with the same name share nothing.
func TestAccounts_SameName(t *testing.T) {
	t.Parallel()
	for _, byIssuer := range []bool{false, true} {
		t.Run(fmt.Sprint("made by an owner of the issuer: ", byIssuer), func(t *testing.T) {
			t.Parallel()
			r, issuer := newIssuerRig(t, webOptions{address: web.ListenConfig{AuthTokens: testrig.TokenFile(t, "alice:"+aliceToken)}})
			mine, other := bearer(aliceToken), bearer(issuer.Token("alice", scoped(bothScopes)))
			if byIssuer {
				mine, other = other, mine
			}
			id, link := madeBy(t, r.streamable(t, false, mine...), "a secret garden")
			r.seesNothing(t, id, other...)
			unsigned, _, _ := strings.Cut(strings.TrimPrefix(link, r.base), "?")
			status, _ := r.ask(t, http.MethodGet, unsigned, "", other...)
			assert.Equal(t, http.StatusNotFound, status)
			status, _ = r.ask(t, http.MethodGet, unsigned, "", mine...)
			assert.Equal(t, http.StatusOK, status)
			status, _ = r.ask(t, http.MethodGet, strings.TrimPrefix(link, r.base), "")
			assert.Equal(t, http.StatusOK, status, "a signed link needs no token")
			named := r.session(t, mine...)
			for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
				body := map[string]string{http.MethodPost: testrig.Ping}[method]
				status, _ := r.ask(t, method, "/mcp", body, append(named[:2:2], other...)...)
				assert.Equal(t, http.StatusNotFound, status, method)
			}
			stream := r.openSSE(t, mine...)
			status, _ = r.ask(t, http.MethodPost, stream.endpoint, testrig.Ping, other...)
			assert.Equal(t, http.StatusNotFound, status)
		})
	}
}

// A session belongs to its owner, so it goes on with a newer token. With one that has
// expired, it is as closed as everything else.
func TestAccounts_RefreshedToken(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	r, issuer := newIssuerRig(t, webOptions{config: func(c *settings) { c.Now = now }})
	issuer.Now = now
	token := func(subject string) []string {
		return bearer(issuer.Token(subject, map[string]any{"scope": bothScopes, "exp": now().Add(5 * time.Second).Unix()}))
	}
	first := token("ann")
	named := r.session(t, first...)[:2:2]
	sse := r.openSSE(t, first...)
	for range 3 {
		ahead.Add(int64(30 * time.Second))
		newer := token("ann")
		status, text := r.ask(t, http.MethodPost, "/mcp", testrig.Ping, append(named, newer...)...)
		assert.Equal(t, http.StatusOK, status, text)
		sse.headers = newer
		sse.send(t, testrig.Ping)
		assert.Nil(t, sse.answer(t).Error)
		status, _ = r.ask(t, http.MethodPost, "/mcp", testrig.Ping, append(named, token("bob")...)...)
		assert.Equal(t, http.StatusNotFound, status)
	}
	status, _ := r.ask(t, http.MethodPost, "/mcp", testrig.Ping, append(named, first...)...)
	assert.Equal(t, http.StatusUnauthorized, status)
	ahead.Add(int64(66 * time.Second)) // the stream ends now, with its newest token
	for range sse.incoming {           // until it ends
	}
}

// A token without the scope to generate is answered with 403 before anything is paid,
// whichever way the request is spelled. A newer token works in the same session, and
// nothing else needs the scope.
func TestAccounts_StepUp(t *testing.T) {
	t.Parallel()
	r, issuer := newIssuerRig(t, webOptions{})
	reader, maker := bearer(issuer.Token("ann", scoped("images:read"))), bearer(issuer.Token("ann", scoped(bothScopes)))
	named := r.session(t, reader...)[:2:2]
	sse := r.openSSE(t, reader...)
	const arguments = `{"prompt":"a fox","size":"512x512"}`
	legacy := func(name string) string {
		return `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"arguments":` + arguments + `,"name":` + name + `}}`
	}
	calls := map[string]func(as []string) *http.Response{
		"session": func(as []string) *http.Response {
			return r.do(t, http.MethodPost, "/mcp", legacy(`"generate_image"`), append(named, as...)...)
		},
		"escaped name": func(as []string) *http.Response {
			return r.do(t, http.MethodPost, "/mcp", legacy(`"generate\u005fimage"`), append(named, as...)...)
		},
		"stateless": func(as []string) *http.Response {
			return r.do(t, http.MethodPost, "/mcp", statelessCall(6, "generate_image", arguments), append(statelessHeaders("tools/call", "generate_image"), as...)...)
		},
		"sse": func(as []string) *http.Response {
			return r.do(t, http.MethodPost, sse.endpoint, legacy(`"generate_image"`), as...)
		},
	}
	for name, ask := range calls {
		response := ask(reader)
		assert.Equal(t, http.StatusForbidden, response.StatusCode, name)
		assert.Contains(t, response.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`, name)
		assert.Contains(t, response.Header.Get("WWW-Authenticate"), `scope="`+bothScopes+`"`, name)
		assert.NotContains(t, response.Header.Get("Content-Type"), "event-stream", name)
	}
	assert.Zero(t, r.sandbox.Posts())
	for name, ask := range calls {
		assert.Less(t, ask(maker).StatusCode, 300, name)
	}
	status, _ := r.ask(t, http.MethodPost, "/mcp", `[`+legacy(`"generate_image"`)+`]`, append(named, reader...)...)
	assert.Equal(t, http.StatusBadRequest, status, "there are no batches")
	status, text := r.ask(t, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"list_images"}}`, append(named, reader...)...)
	assert.Equal(t, http.StatusOK, status)
	assert.NotContains(t, text, `"isError":true`)
}

// The sessions and all kinds of streams of an owner who is refused end, those of others
// do not.
func TestAccounts_RefusedOwner(t *testing.T) {
	t.Parallel()
	var refused atomic.Value
	refused.Store("")
	r, issuer := newIssuerRig(t, webOptions{web: func(c *web.Config) {
		c.Refused = func(owner string) bool { return owner == refused.Load() }
	}})
	_, host, _ := strings.Cut(issuer.URL, "://")
	ann, bob := bearer(issuer.Token("ann", scoped(bothScopes))), bearer(issuer.Token("bob", scoped(bothScopes)))
	open := func(as []string) map[string]<-chan *message {
		subscribe := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{%s,"notifications":{}}}`, statelessMeta)
		streams := map[string]*http.Response{
			"session":      r.do(t, http.MethodGet, "/mcp", "", r.session(t, as...)...),
			"sse":          r.do(t, http.MethodGet, "/sse", "", as...),
			"subscription": r.do(t, http.MethodPost, "/mcp", subscribe, append(statelessHeaders("subscriptions/listen", ""), as...)...),
		}
		incoming := map[string]<-chan *message{}
		for name, response := range streams {
			require.Equal(t, http.StatusOK, response.StatusCode, name)
			incoming[name] = events(t, response.Body)
		}
		return incoming
	}
	session, theirs, others := r.session(t, ann...), open(ann), open(bob)["session"]
	refused.Store(host + "/ann")
	for _, incoming := range theirs {
		for range incoming { // until it ends
			continue
		}
	}
	for _, path := range []string{"/mcp", "/sse"} {
		status, text := r.ask(t, http.MethodPost, path, testrig.Ping, session...)
		assert.Equal(t, http.StatusForbidden, status, path)
		assert.Contains(t, text, host+"/ann")
	}
	madeBy(t, r.streamable(t, true, bob...), "a fox")
	notified := false
	for m := range others {
		if notified = m != nil && m.Method == "notifications/resources/list_changed"; notified {
			break
		}
	}
	assert.True(t, notified, "the stream of bob is open")
	refused.Store("")
	status, _ := r.ask(t, http.MethodPost, "/mcp", testrig.Ping, session...)
	assert.Equal(t, http.StatusNotFound, status, "the session was closed")
}

// The clients of mcp-go work with a token in both eras, and the owner of what they make
// has the issuer in its name.
func TestAccounts_Clients(t *testing.T) {
	t.Parallel()
	r, issuer := newIssuerRig(t, webOptions{})
	headers := map[string]string{"Authorization": "Bearer " + issuer.Token("ann", scoped(bothScopes))}
	for _, version := range []string{mcp.LATEST_LEGACY_PROTOCOL_VERSION, mcp.LATEST_PROTOCOL_VERSION} {
		for _, path := range []string{"/mcp", "/sse"} {
			var c *client.Client
			var err error
			if path == "/sse" {
				c, err = client.NewSSEMCPClient(r.base+path, transport.WithHeaders(headers))
			} else {
				c, err = client.NewStreamableHttpClient(r.base+path, transport.WithHTTPHeaders(headers))
			}
			require.NoError(t, err)
			require.NoError(t, c.Start(t.Context()))
			initialize := mcp.InitializeRequest{}
			initialize.Params.ProtocolVersion = version
			initialize.Params.ClientInfo = mcp.Implementation{Name: "t", Version: "1"}
			about, err := c.Initialize(t.Context(), initialize)
			require.NoError(t, err)
			assert.Equal(t, version, about.ProtocolVersion, path)
			call := mcp.CallToolRequest{}
			call.Params.Name, call.Params.Arguments = "generate_image", map[string]any{"prompt": "a fox by " + path + version, "size": "512x512"}
			result, err := c.CallTool(t.Context(), call)
			require.NoError(t, err)
			assert.False(t, result.IsError)
			require.NoError(t, c.Close())
		}
	}
	_, host, _ := strings.Cut(issuer.URL, "://")
	assert.Contains(t, r.log.String(), `owner=`+host+`/ann`)
	var count struct {
		Result struct {
			StructuredContent struct{ Images []json.RawMessage }
		}
	}
	_, text := r.ask(t, http.MethodPost, "/mcp", statelessCall(1, "list_images", "{}"), append(statelessHeaders("tools/call", "list_images"), "Authorization", headers["Authorization"])...)
	require.NoError(t, json.Unmarshal([]byte(text), &count), text)
	assert.Len(t, count.Result.StructuredContent.Images, 4)
}
