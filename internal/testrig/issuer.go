package testrig

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Issuer is an OpenID provider on a local HTTP server: it publishes metadata and keys,
// and signs whatever a test wants. It signs by itself, without the library by which
// signatures are checked.
type Issuer struct {
	URL      string // the name of the issuer; a test may change it before the first request
	Audience string // of Claims
	Now      func() time.Time
	Clients  map[string]string // redirect URIs of those who may sign users in, by client id
	Subject  string            // who signs in

	t       testing.TB
	root    string // of the server
	mu      sync.Mutex
	signer  IssuerKey
	jwks    []map[string]any
	answers map[string]http.HandlerFunc // by path
	down    bool
	fetches map[string]int        // by path
	codes   map[string]url.Values // authorization requests by their code
}

// Paths of an Issuer.
const (
	IssuerMetadata      = "/.well-known/openid-configuration"
	IssuerKeys          = "/keys"
	IssuerAuthorization = "/authorize"
	IssuerToken         = "/token"
)

// NewIssuer starts an issuer with one key for ES256.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{
		Audience: "https://images.example.com/mcp", Now: time.Now,
		t: t, answers: map[string]http.HandlerFunc{}, fetches: map[string]int{}, codes: map[string]url.Values{},
	}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.URL, i.root = server.URL, server.URL
	i.Rotate("ES256")
	return i
}

// ServeHTTP implements http.Handler.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.fetches[r.URL.Path]++
	down, answer := i.down, i.answers[r.URL.Path]
	keys := map[string]any{"keys": slices.Clone(i.jwks)}
	i.mu.Unlock()
	switch {
	case down:
		w.WriteHeader(http.StatusBadGateway)
	case answer != nil:
		answer(w, r)
	case r.URL.Path == IssuerMetadata:
		i.ServeMetadata(w, r)
	case r.URL.Path == IssuerKeys:
		writeJSON(w, http.StatusOK, keys)
	case r.URL.Path == IssuerAuthorization:
		i.authorize(w, r)
	case r.URL.Path == IssuerToken:
		i.redeem(w, r)
	default:
		http.NotFound(w, r)
	}
}

// ServeMetadata writes the metadata of the issuer. With Answer, a test serves it at
// another path.
func (i *Issuer) ServeMetadata(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, i.Metadata(nil))
}

// Metadata returns the metadata of the issuer, with changes. What is nil in the changes is
// left out.
func (i *Issuer) Metadata(changes map[string]any) map[string]any {
	return changed(map[string]any{
		"issuer": i.URL, "jwks_uri": i.root + IssuerKeys, "authorization_endpoint": i.root + IssuerAuthorization, "token_endpoint": i.root + IssuerToken,
		"authorization_response_iss_parameter_supported": true,
	}, changes)
}

func writeJSON(w http.ResponseWriter, status int, document map[string]any) {
	text, err := json.Marshal(document)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// Answer replaces the answer to requests of a path; nil restores it.
func (i *Issuer) Answer(path string, h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answers[path] = h
}

// SetDown makes the issuer answer everything with 502, or ends that.
func (i *Issuer) SetDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// Fetches returns how often the keys were asked for, or the metadata if that is more.
func (i *Issuer) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return max(i.fetches[IssuerKeys], i.fetches[IssuerMetadata])
}

// Requests returns how often a path was requested.
func (i *Issuer) Requests(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches[path]
}

// Rotate publishes a new key for an algorithm and signs with it from now on. The keys
// before it stay published.
func (i *Issuer) Rotate(algorithm string) IssuerKey {
	i.t.Helper()
	key := NewIssuerKey(i.t, algorithm)
	i.Publish(key.JWK())
	i.mu.Lock()
	defer i.mu.Unlock()
	i.signer = key
	return key
}

// Publish adds a JSON Web Key to the published keys.
func (i *Issuer) Publish(jwk map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.jwks = append(i.jwks, jwk)
}

// Remove removes a key from the published keys.
func (i *Issuer) Remove(key IssuerKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.jwks = slices.DeleteFunc(i.jwks, func(jwk map[string]any) bool { return jwk["kid"] == key.ID })
}

// Key returns the key that the issuer signs with.
func (i *Issuer) Key() IssuerKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.signer
}

// Claims returns the claims of a valid token, with changes. A claim that is nil in the
// changes is left out.
func (i *Issuer) Claims(subject string, changes map[string]any) map[string]any {
	now := i.Now()
	return changed(map[string]any{
		"iss": i.URL, "aud": i.Audience, "sub": subject,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}, changes)
}

// Token returns a valid access token, with changes of its claims.
func (i *Issuer) Token(subject string, changes map[string]any) string {
	i.t.Helper()
	return i.Sign(i.Claims(subject, changes), nil)
}

// Sign returns a token with these claims, and with changes of the header.
func (i *Issuer) Sign(claims, header map[string]any) string {
	i.t.Helper()
	return i.Key().Sign(i.t, claims, header)
}

// Sign returns a token with these claims, and with changes of the header. It signs
// with the algorithm of the key, whatever the header says.
func (k IssuerKey) Sign(t testing.TB, claims, header map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	return k.SignBytes(t, payload, header)
}

// SignBytes is like Sign for any payload.
func (k IssuerKey) SignBytes(t testing.TB, payload []byte, header map[string]any) string {
	t.Helper()
	top, err := json.Marshal(changed(map[string]any{"alg": k.Algorithm, "kid": k.ID, "typ": "at+jwt"}, header))
	require.NoError(t, err)
	input := encode(top) + "." + encode(payload)
	return input + "." + encode(k.signature(t, input))
}

func changed(values, changes map[string]any) map[string]any {
	maps.Copy(values, changes)
	maps.DeleteFunc(values, func(_ string, value any) bool { return value == nil })
	return values
}

// keyID returns an id for a public key.
func keyID(public []byte) string {
	sum := sha256.Sum256(public)
	return encode(sum[:9])
}
