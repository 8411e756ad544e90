package auth_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/testrig"
)

const (
	clientID    = "gallery"
	redirectURI = "https://images.example.com/gallery/callback"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636, appendix B
)

// newSignInRig returns an issuer at which a gallery is registered.
func newSignInRig(t testing.TB, configure ...func(*auth.OIDCConfig)) (*oidcRig, *auth.SignIn) {
	t.Helper()
	w := newOIDCRig(t, configure...)
	w.issuer.Clients, w.issuer.Subject = map[string]string{clientID: redirectURI}, "alice"
	return w, w.SignIn(clientID, redirectURI)
}

// visit opens an address of the issuer and returns the answer with which it sends the
// browser back.
func visit(t testing.TB, address string) url.Values {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(address)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusFound, response.StatusCode)
	back, err := response.Location()
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(back.String(), redirectURI+"?"), back)
	return back.Query()
}

func isSignInError(t testing.TB, err error, reason, message string) {
	t.Helper()
	refused := &auth.SignInError{}
	require.ErrorAs(t, err, &refused, message)
	assert.Contains(t, refused.Reason, reason, message)
}

func TestSignIn(t *testing.T) {
	w, s := newSignInRig(t, func(c *auth.OIDCConfig) { c.ReadScope, c.GenerateScope = "images:read", "images:generate" })
	assert.Equal(t, strings.TrimPrefix(w.issuer.URL, "http://"), s.Host())
	address, err := s.URL(t.Context(), "STATE", verifier)
	require.NoError(t, err)
	answer := visit(t, address)
	assert.Equal(t, "STATE", answer.Get("state"))
	token, err := s.Token(t.Context(), answer, verifier)
	require.NoError(t, err)
	p, err := w.check(token)
	require.NoError(t, err)
	assert.Equal(t, s.Host()+"/alice", p.Owner)
	assert.False(t, p.ReadOnly)

	_, err = s.Token(t.Context(), answer, verifier)
	isSignInError(t, err, "invalid_grant: the code is not valid", "a code again")
	_, err = s.Token(t.Context(), visit(t, address), "another-verifier")
	isSignInError(t, err, "invalid_grant", "the code of another sign-in")
	assert.Equal(t, 1, w.issuer.Fetches())
}

// The authorization request asks for the scopes and the audience that tokens need, and for
// nothing else.
func TestSignIn_Request(t *testing.T) {
	for _, tt := range []struct {
		name      string
		configure func(*auth.OIDCConfig)
		want      map[string]string
	}{
		{"plain", func(*auth.OIDCConfig) {}, map[string]string{"resource": "https://images.example.com/mcp"}},
		{"one scope", func(c *auth.OIDCConfig) { c.ReadScope = "read" }, map[string]string{"resource": "https://images.example.com/mcp", "scope": "read"}},
		{"audiences", func(c *auth.OIDCConfig) { c.Audiences = []string{"api://first", "https://second"} }, map[string]string{"resource": "api://first"}},
		{"id as audience", func(c *auth.OIDCConfig) { c.Audiences = []string{"0b1c-client"} }, nil},
	} {
		w, s := newSignInRig(t, tt.configure)
		w.issuer.Answer(testrig.IssuerMetadata, metadata(w, map[string]any{"authorization_endpoint": "https://id.example.com/a?tenant=t&state=x"}))
		address, err := s.URL(t.Context(), "STATE", verifier)
		require.NoError(t, err)
		u, err := url.Parse(address)
		require.NoError(t, err)
		want := url.Values{
			"tenant": {"t"}, "response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "state": {"STATE"},
			"code_challenge_method": {"S256"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
		}
		for name, value := range tt.want {
			want.Set(name, value)
		}
		assert.Equal(t, want, u.Query(), tt.name)
		assert.Equal(t, "https://id.example.com/a", u.Scheme+"://"+u.Host+u.Path)
	}
}

// metadata returns an answer with changed metadata.
func metadata(w *oidcRig, changes map[string]any) http.HandlerFunc {
	return func(response http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(response).Encode(w.issuer.Metadata(changes))
	}
}

// Browsers and codes go only to addresses that nobody on the network can change. Without
// them tokens are still accepted.
func TestSignIn_Endpoints(t *testing.T) {
	for _, name := range []string{"authorization_endpoint", "token_endpoint"} {
		for _, value := range []any{nil, "", "http://id.example.com/x", "javascript:alert(1)", "/x", "https://user@id.example.com/x", "ftp://127.0.0.1/x"} {
			w, s := newSignInRig(t)
			w.issuer.Answer(testrig.IssuerMetadata, metadata(w, map[string]any{name: value}))
			_, err := s.URL(t.Context(), "STATE", verifier)
			require.Error(t, err, "%s %v", name, value)
			_, err = s.Token(t.Context(), url.Values{"code": {"c"}, "iss": {w.issuer.URL}}, verifier)
			require.Error(t, err, "%s %v", name, value)
			assert.Zero(t, w.issuer.Requests(testrig.IssuerToken))
			_, err = w.check(w.issuer.Token("alice", nil))
			require.NoError(t, err)
		}
	}
}

// An answer that is not a code of this issuer is not redeemed.
func TestSignIn_Answers(t *testing.T) {
	w, s := newSignInRig(t)
	own := w.issuer.URL
	for text, reason := range map[string]string{
		"code=c&iss=https%3A%2F%2Fevil.example":         "not of this issuer",
		"code=c&iss=" + own + "/":                       "not of this issuer",
		"code=c&iss=":                                   "not of this issuer",
		"code=c&iss=" + own + "&iss=https%3A%2F%2Fevil": "not of this issuer",
		"code=c":                                "not of this issuer",
		"error=access_denied":                   "not of this issuer",
		"iss=" + own:                            "no code",
		"code=c&error=access_denied&iss=" + own: "access_denied",
		"error=&iss=" + own:                     "no reason",
		"error=x&error_description=said+%3Cb%3E&iss=" + own:  "x: said <b>",
		"error_description=&error=login_required&iss=" + own: "login_required",
	} {
		answer, err := url.ParseQuery(text)
		require.NoError(t, err)
		_, err = s.Token(t.Context(), answer, verifier)
		isSignInError(t, err, reason, text)
	}
	assert.Zero(t, w.issuer.Requests(testrig.IssuerToken))
	_, err := s.Token(t.Context(), url.Values{"error": {"e"}, "error_description": {strings.Repeat("ä", 5000)}, "iss": {own}}, verifier)
	isSignInError(t, err, "e: ää", "long")
	assert.Less(t, len(err.Error()), 310)

	// Issuers that do not say that they name themselves need not.
	w, s = newSignInRig(t)
	w.issuer.Answer(testrig.IssuerMetadata, metadata(w, map[string]any{"authorization_response_iss_parameter_supported": nil}))
	_, err = s.Token(t.Context(), url.Values{"code": {"c"}}, verifier)
	isSignInError(t, err, "invalid_grant", "redeemed")
}

// The token endpoint may answer anything.
func TestSignIn_TokenEndpoint(t *testing.T) {
	w, s := newSignInRig(t)
	for _, tt := range []struct {
		name    string
		status  int
		body    string
		refused string // reason of a *auth.SignInError, "" for another error
	}{
		{"refusal", 400, `{"error":"invalid_grant","error_description":"used"}`, "invalid_grant: used"},
		{"unknown client", 401, `{"error":"invalid_client"}`, "invalid_client"},
		{"refusal with 200", 200, `{"error":"invalid_grant"}`, ""},
		{"refusal with 500", 500, `{"error":"server_error"}`, ""},
		{"too many", 429, `{"error":"slow_down"}`, ""},
		{"token with 400", 400, `{"access_token":"t"}`, ""},
		{"no token", 200, `{"token_type":"Bearer"}`, ""},
		{"text as token", 200, `{"access_token":7}`, ""},
		{"HTML", 200, `<html>`, ""},
		{"nothing", 200, ``, ""},
		{"created", 201, `{"access_token":"t"}`, ""},
		{"huge", 200, `{"x":"` + strings.Repeat("x", 1<<20) + `","access_token":"t"}`, ""},
		{"huge with the token in front", 200, `{"access_token":"t"}` + strings.Repeat(" ", 1<<20), ""},
		{"redirect", 307, ``, ""},
	} {
		w.issuer.Answer(testrig.IssuerToken, func(response http.ResponseWriter, _ *http.Request) {
			response.Header().Set("Location", "/elsewhere")
			response.WriteHeader(tt.status)
			_, _ = response.Write([]byte(tt.body))
		})
		token, err := s.Token(t.Context(), url.Values{"code": {"c"}, "iss": {w.issuer.URL}}, verifier)
		assert.Empty(t, token, tt.name)
		if tt.refused != "" {
			isSignInError(t, err, tt.refused, tt.name)
			continue
		}
		require.Error(t, err, tt.name)
		refused := &auth.SignInError{}
		assert.NotErrorAs(t, err, &refused, tt.name)
	}
	assert.Zero(t, w.issuer.Requests("/elsewhere"))
}

// While the issuer is down, it is asked no more often for sign-ins than for keys.
func TestSignIn_Down(t *testing.T) {
	w, s := newSignInRig(t)
	w.issuer.SetDown(true)
	for range 100 {
		_, err := s.URL(t.Context(), "STATE", verifier)
		require.ErrorIs(t, err, auth.ErrUnavailable)
	}
	assert.LessOrEqual(t, w.issuer.Fetches(), 4)
}
