package auth_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/testrig"
)

// Forged tokens get nobody in, make the issuer be asked four times, and leave nothing
// in memory.
func TestOIDC_ForgedTokens(t *testing.T) {
	const count, callers = 10_000, 16
	w := newOIDCRig(t)
	valid := w.issuer.Token("alice", nil)
	_, err := w.check(valid)
	require.NoError(t, err)
	fetches := w.issuer.Fetches()

	forger := testrig.NewIssuerKey(t, "EdDSA")
	claims := w.issuer.Claims("alice", nil)
	headers := func(n int) fields {
		return []fields{
			{"kid": rand.Text()},
			{"kid": w.issuer.Key().ID},
			{"kid": w.issuer.Key().ID, "alg": "ES256"},
			{"kid": nil},
		}[n%4]
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var accepted, unavailable atomic.Int64
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for n := caller; n < count; n += callers {
				_, err := w.check(forger.Sign(t, claims, headers(n)))
				switch {
				case err == nil:
					accepted.Add(1)
				case errors.Is(err, auth.ErrUnavailable):
					unavailable.Add(1)
				default:
					assert.ErrorIs(t, err, auth.ErrNoPrincipal)
				}
			}
		})
	}
	all.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)

	assert.Zero(t, accepted.Load())
	assert.Positive(t, unavailable.Load(), "after four fetches, unknown keys are not looked up")
	assert.LessOrEqual(t, w.issuer.Fetches()-fetches, 4)
	assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(1<<20))
	_, err = w.check(valid)
	require.NoError(t, err, "tokens with known keys are not affected")
}

// Whatever tokens arrive, unknown keys make the issuer be asked at most four times a
// minute. They do not keep out those whose tokens are good: a new key is known after a
// minute at the latest, and the others all the time.
func TestOIDC_FetchLimit(t *testing.T) {
	w := newOIDCRig(t)
	forged := testrig.NewIssuerKey(t, "ES256").Sign(t, w.issuer.Claims("alice", nil), nil)
	before := w.issuer.Token("alice", fields{"exp": w.time().Add(48 * time.Hour).Unix()})
	for range 2 { // the first token needs the keys anyway
		_, err := w.check(before)
		require.NoError(t, err)
	}
	require.Equal(t, 1, w.issuer.Fetches())
	var asked []time.Time // when
	for second := range 5 * 60 {
		if second == 1 {
			w.issuer.Rotate("EdDSA")
		}
		_, err := w.check(before)
		require.NoError(t, err)
		for range 5 {
			fetches := w.issuer.Fetches()
			_, err := w.check(forged)
			if w.issuer.Fetches() == fetches {
				require.ErrorIs(t, err, auth.ErrUnavailable)
				continue
			}
			require.ErrorIs(t, err, auth.ErrNoPrincipal)
			asked = append(asked, w.time())
			if n := len(asked) - 5; n >= 0 {
				assert.GreaterOrEqual(t, asked[n+4].Sub(asked[n]), time.Minute)
			}
		}
		if _, err := w.check(w.issuer.Token("alice", nil)); second < 60 && err != nil {
			require.ErrorIs(t, err, auth.ErrUnavailable, "not that it is bad")
		} else {
			require.NoError(t, err)
		}
		w.pass(time.Second)
	}
	assert.Len(t, asked, 3+4*4)
}

// A token that no key could make acceptable is no reason to ask the issuer.
func TestOIDC_UnacceptableClaims(t *testing.T) {
	w := newOIDCRig(t)
	for _, claims := range []fields{
		{"iss": "https://evil.example.com"}, {"aud": "other"}, {"exp": 1}, {"nbf": w.time().Add(time.Hour).Unix()}, {"c_hash": "x"},
	} {
		_, err := w.check(w.issuer.Token("alice", claims))
		require.ErrorIs(t, err, auth.ErrNoPrincipal, "%v", claims)
	}
	assert.Zero(t, w.issuer.Fetches())
}

// A wrong signature by a known key is no reason to ask the issuer.
func TestOIDC_KnownKey(t *testing.T) {
	w := newOIDCRig(t)
	_, err := w.check(w.issuer.Token("alice", nil))
	require.NoError(t, err)
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		forger := testrig.NewIssuerKey(t, algorithm)
		_, err = w.check(forger.Sign(t, w.issuer.Claims("alice", nil), fields{"kid": w.issuer.Key().ID}))
		require.ErrorContains(t, err, "signature")
	}
	assert.Equal(t, 1, w.issuer.Fetches())
}

// The first token with a new key is accepted, whoever else needs it.
func TestOIDC_Rotation(t *testing.T) {
	w := newOIDCRig(t)
	before := w.issuer.Token("alice", nil)
	_, err := w.check(before)
	require.NoError(t, err)
	w.issuer.Rotate("EdDSA")
	token := w.issuer.Token("alice", nil)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			_, err := w.check(token)
			assert.NoError(t, err)
		})
	}
	all.Wait()
	assert.LessOrEqual(t, w.issuer.Fetches(), 4)
	_, err = w.check(before)
	require.NoError(t, err, "the key before is still published")
}

// A fetch that read the keys before a rotation says nothing about the new key.
func TestOIDC_RotationDuringFetch(t *testing.T) {
	w := newOIDCRig(t)
	_, err := w.check(w.issuer.Token("alice", nil))
	require.NoError(t, err)
	stale, err := json.Marshal(fields{"keys": []any{w.issuer.Key().JWK()}})
	require.NoError(t, err)
	asked, release := make(chan struct{}), make(chan struct{})
	w.issuer.Answer(testrig.IssuerKeys, func(rw http.ResponseWriter, _ *http.Request) {
		w.issuer.Answer(testrig.IssuerKeys, nil)
		close(asked)
		<-release
		_, _ = rw.Write(stale)
	})
	var all sync.WaitGroup
	all.Go(func() {
		forger := testrig.NewIssuerKey(t, "ES256")
		_, err := w.check(forger.Sign(t, w.issuer.Claims("alice", nil), nil))
		assert.ErrorIs(t, err, auth.ErrNoPrincipal)
	})
	<-asked
	w.issuer.Rotate("ES256")
	token := w.issuer.Token("alice", nil)
	joined := make(chan struct{})
	all.Go(func() {
		r := httptest.NewRequestWithContext(announce(t.Context(), joined), http.MethodPost, "/mcp", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		_, err := w.Authenticate(r)
		assert.NoError(t, err)
	})
	<-joined
	close(release)
	all.Wait()
}

// announce returns a context that closes a channel when somebody begins to wait for it.
func announce(ctx context.Context, waits chan struct{}) context.Context {
	return &announcing{Context: ctx, waits: waits}
}

type announcing struct {
	context.Context
	once  sync.Once
	waits chan struct{}
}

func (a *announcing) Done() <-chan struct{} {
	a.once.Do(func() { close(a.waits) })
	return a.Context.Done()
}

// A removed key is trusted until the next fetch, which is beside requests after ten
// minutes and before them after an hour.
func TestOIDC_RemovedKey(t *testing.T) {
	for name, tt := range map[string]struct {
		idle            time.Duration
		accepted, asked bool
	}{
		"soon":            {10*time.Minute - time.Second, true, false},
		"ten minutes":     {10 * time.Minute, true, true},
		"almost an hour":  {time.Hour - time.Second, true, true},
		"an hour":         {time.Hour, false, true},
		"more than a day": {25 * time.Hour, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newOIDCRig(t)
			token := w.issuer.Token("alice", fields{"exp": w.time().Add(48 * time.Hour).Unix()})
			_, err := w.check(token)
			require.NoError(t, err)
			w.issuer.Remove(w.issuer.Key())
			w.pass(tt.idle)
			_, err = w.check(token)
			assert.Equal(t, tt.accepted, err == nil)
			if !tt.asked {
				assert.Equal(t, 1, w.issuer.Fetches())
				return
			}
			require.Eventually(t, func() bool {
				_, err := w.check(token)
				return errors.Is(err, auth.ErrNoPrincipal)
			}, time.Minute, time.Millisecond)
		})
	}
}

// Requests go on with keys of less than a day while the issuer does not answer.
func TestOIDC_IssuerDown(t *testing.T) {
	w := newOIDCRig(t)
	w.issuer.SetDown(true)
	token := w.issuer.Token("alice", fields{"exp": w.time().Add(72 * time.Hour).Unix()})
	for range 6 {
		_, err := w.check(token)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.NotErrorIs(t, err, auth.ErrNoPrincipal, "the token may be good")
	}
	assert.Equal(t, 4, w.issuer.Fetches())
	assert.Contains(t, w.log.String(), "502 Bad Gateway")

	w.issuer.SetDown(false)
	w.pass(15 * time.Second)
	_, err := w.check(token)
	require.NoError(t, err)

	w.issuer.SetDown(true)
	w.pass(2 * time.Minute)
	_, err = w.check(testrig.NewIssuerKey(t, "ES256").Sign(t, w.issuer.Claims("alice", nil), nil))
	require.ErrorIs(t, err, auth.ErrUnavailable, "the key may be new")
	for _, pause := range []time.Duration{time.Hour, 11 * time.Hour, 11 * time.Hour} {
		w.pass(pause)
		_, err = w.check(token)
		require.NoError(t, err)
	}
	w.pass(time.Hour)
	_, err = w.check(token)
	require.ErrorIs(t, err, auth.ErrUnavailable, "after a day")
	w.issuer.SetDown(false)
	w.pass(time.Minute)
	_, err = w.check(token)
	require.NoError(t, err)
}

// hangingIssuer is the network of an issuer that stops answering.
type hangingIssuer struct {
	issuer *testrig.Issuer
	hangs  bool
}

func (h *hangingIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	if !h.hangs {
		w := httptest.NewRecorder()
		h.issuer.ServeHTTP(w, r)
		return w.Result(), nil
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A fetch lasts at most five seconds, and nobody waits longer than its own context
// allows.
func TestOIDC_IssuerHangs(t *testing.T) {
	issuer := testrig.NewIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		a := newHangingOIDC(t, &hangingIssuer{issuer: issuer, hangs: true})
		token := issuer.Token("alice", nil)
		start := time.Now()
		_, err := authenticate(a, token)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		assert.Equal(t, 5*time.Second, time.Since(start))

		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = a.IssuerName(ctx)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		assert.Equal(t, time.Second, time.Since(start))
		_, err = a.IssuerName(t.Context())
		require.ErrorIs(t, err, auth.ErrUnavailable)
		assert.Equal(t, 5*time.Second, time.Since(start), "it joins the fetch")
	})
}

// While the issuer does not answer, only the first of several requests with keys of an
// hour waits for it.
func TestOIDC_IssuerHangsLater(t *testing.T) {
	issuer := testrig.NewIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		network := &hangingIssuer{issuer: issuer}
		a := newHangingOIDC(t, network)
		token := issuer.Token("alice", fields{"exp": time.Now().Add(48 * time.Hour).Unix()})
		_, err := authenticate(a, token)
		require.NoError(t, err)
		network.hangs = true
		time.Sleep(30 * time.Minute)
		for _, tt := range []struct{ pause, wait time.Duration }{
			{0, 0}, // keys of half an hour
			{30 * time.Minute, 5 * time.Second},
			{0, 0},
			{30 * time.Second, 0},
			{time.Minute, 5 * time.Second},
		} {
			time.Sleep(tt.pause)
			start := time.Now()
			_, err := authenticate(a, token)
			require.NoError(t, err)
			assert.Equal(t, tt.wait, time.Since(start))
			time.Sleep(5 * time.Second) // the end of a fetch beside the request
		}
	})
}

func newHangingOIDC(t *testing.T, network *hangingIssuer) *auth.OIDC {
	t.Helper()
	a, err := auth.NewOIDC(auth.OIDCConfig{
		Issuer: network.issuer.URL, Audiences: []string{network.issuer.Audience}, OwnerClaim: "sub",
		HTTP: &http.Client{Transport: network}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return a
}

func TestOIDC_IssuerName(t *testing.T) {
	w := newOIDCRig(t)
	name, err := w.IssuerName(t.Context())
	require.NoError(t, err)
	assert.Equal(t, w.issuer.URL, name)
	w.issuer.SetDown(true)
	w.pass(48 * time.Hour)
	name, err = w.IssuerName(t.Context())
	require.NoError(t, err, "it is known")
	assert.Equal(t, w.issuer.URL, name)

	w = newOIDCRig(t)
	w.issuer.SetDown(true)
	for range 10 {
		_, err = w.IssuerName(t.Context())
		require.ErrorIs(t, err, auth.ErrUnavailable)
	}
	assert.Equal(t, 4, w.issuer.Fetches())
}

// The metadata may spell the issuer with a slash more or less, and is then right.
func TestOIDC_Slash(t *testing.T) {
	for _, path := range []string{"", "/realms/a"} {
		for _, slashes := range [][2]string{{"", ""}, {"/", "/"}, {"/", ""}, {"", "/"}} {
			configured, published := path+slashes[0], path+slashes[1]
			w := newOIDCRig(t, func(c *auth.OIDCConfig) { c.Issuer += configured })
			w.issuer.Answer(path+testrig.IssuerMetadata, w.issuer.ServeMetadata)
			w.issuer.URL += published
			p, err := w.check(w.issuer.Token("alice", nil))
			require.NoError(t, err, "%q %q", configured, published)
			assert.True(t, strings.HasSuffix(p.Owner, path+"/alice"), p.Owner)
			name, err := w.IssuerName(t.Context())
			require.NoError(t, err)
			assert.Equal(t, w.issuer.URL, name)

			other := strings.TrimSuffix(w.issuer.URL, "/")
			if other == w.issuer.URL {
				other += "/"
			}
			_, err = w.check(w.issuer.Token("alice", fields{"iss": other}))
			require.ErrorContains(t, err, "of another issuer")
		}
	}
}

// Metadata of OAuth servers have the path of the issuer at the end.
func TestOIDC_OAuthMetadata(t *testing.T) {
	for path, address := range map[string]string{
		"":      "/.well-known/oauth-authorization-server",
		"/a/b":  "/.well-known/oauth-authorization-server/a/b",
		"/a/b/": "/.well-known/oauth-authorization-server/a/b",
	} {
		w := newOIDCRig(t, func(c *auth.OIDCConfig) { c.Issuer += path })
		w.issuer.URL += path
		w.issuer.Answer(testrig.IssuerMetadata, http.NotFound)
		w.issuer.Answer(address, w.issuer.ServeMetadata)
		_, err := w.check(w.issuer.Token("alice", nil))
		require.NoError(t, err, path)
	}
}

// Answers of an issuer that cannot be right are not used, and the log says why.
func TestOIDC_BadAnswers(t *testing.T) {
	metadata := func(issuer, keys string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(fields{"issuer": issuer, "jwks_uri": keys})
		}
	}
	text := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	for name, tt := range map[string]struct {
		metadata, keys func(i *testrig.Issuer) http.HandlerFunc
		problem        string
	}{
		"other issuer": {metadata: func(i *testrig.Issuer) http.HandlerFunc {
			return metadata("https://evil.example.com", i.URL+testrig.IssuerKeys)
		}, problem: "the issuer is"},
		"two slashes": {metadata: func(i *testrig.Issuer) http.HandlerFunc {
			return metadata(i.URL+"//", i.URL+testrig.IssuerKeys)
		}, problem: "the issuer is"},
		"no issuer": {metadata: func(i *testrig.Issuer) http.HandlerFunc {
			return metadata("", i.URL+testrig.IssuerKeys)
		}, problem: "the issuer is"},
		"keys without TLS": {metadata: func(i *testrig.Issuer) http.HandlerFunc {
			return metadata(i.URL, "http://id.example.com/keys")
		}, problem: "jwks_uri is"},
		"keys in a file": {metadata: func(i *testrig.Issuer) http.HandlerFunc {
			return metadata(i.URL, "file:///etc/keys")
		}, problem: "jwks_uri is"},
		"no address of keys": {metadata: func(i *testrig.Issuer) http.HandlerFunc {
			return metadata(i.URL, "")
		}, problem: "jwks_uri is"},
		"metadata is HTML": {metadata: func(*testrig.Issuer) http.HandlerFunc { return text("<html>") }, problem: "invalid character"},
		"metadata is huge": {metadata: func(*testrig.Issuer) http.HandlerFunc {
			return text(strings.Repeat(" ", 1<<20) + "{}")
		}, problem: "larger than 1 MiB"},
		"metadata elsewhere without TLS": {metadata: func(*testrig.Issuer) http.HandlerFunc {
			return redirect("http://id.example.com/")
		}, problem: "redirect to"},
		"circle": {metadata: func(i *testrig.Issuer) http.HandlerFunc {
			return redirect(i.URL + testrig.IssuerMetadata)
		}, problem: "redirect to"},
		"keys elsewhere without TLS": {keys: func(*testrig.Issuer) http.HandlerFunc {
			return redirect("http://id.example.com/")
		}, problem: "redirect to"},
		"keys not found":  {keys: func(*testrig.Issuer) http.HandlerFunc { return http.NotFound }, problem: "404 Not Found"},
		"keys are HTML":   {keys: func(*testrig.Issuer) http.HandlerFunc { return text("<html>") }, problem: "invalid character"},
		"keys are a list": {keys: func(*testrig.Issuer) http.HandlerFunc { return text("[]") }, problem: "cannot unmarshal"},
		"no keys":         {keys: func(*testrig.Issuer) http.HandlerFunc { return text("{}") }, problem: "not a key set"},
		"too many keys": {keys: func(*testrig.Issuer) http.HandlerFunc {
			return text(`{"keys":[` + strings.Repeat("{},", 100) + `{}]}`)
		}, problem: "more than 100 keys"},
		"keys are huge": {keys: func(*testrig.Issuer) http.HandlerFunc {
			return text(`{"keys":[]}` + strings.Repeat(" ", 1<<20))
		}, problem: "larger than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newOIDCRig(t)
			if tt.metadata != nil {
				w.issuer.Answer(testrig.IssuerMetadata, tt.metadata(w.issuer))
			}
			if tt.keys != nil {
				w.issuer.Answer(testrig.IssuerKeys, tt.keys(w.issuer))
			}
			_, err := w.check(w.issuer.Token("alice", nil))
			require.ErrorIs(t, err, auth.ErrUnavailable)
			assert.Contains(t, w.log.String(), tt.problem)
		})
	}
}

// Keys that are not meant for a token's algorithm or are too weak check nothing.
func TestOIDC_UnusableKeys(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		key      testrig.IssuerKey
		change   fields // of the published key
		accepted bool
	}{
		"good":                {key: testrig.IssuerKeyOf(t, "RS256", strong), accepted: true},
		"no algorithm":        {key: testrig.IssuerKeyOf(t, "PS512", strong), change: fields{"alg": nil}, accepted: true},
		"no use":              {key: testrig.IssuerKeyOf(t, "RS256", strong), change: fields{"use": nil}, accepted: true},
		"short":               {key: testrig.IssuerKeyOf(t, "RS256", weak)},
		"for encryption":      {key: testrig.IssuerKeyOf(t, "RS256", strong), change: fields{"use": "enc"}},
		"for other algorithm": {key: testrig.IssuerKeyOf(t, "RS256", strong), change: fields{"alg": "PS256"}},
		"for another type":    {key: testrig.IssuerKeyOf(t, "RS256", strong), change: fields{"kty": "EC"}},
		"unknown type":        {key: testrig.IssuerKeyOf(t, "RS256", strong), change: fields{"kty": "X"}},
		"no type":             {key: testrig.IssuerKeyOf(t, "RS256", strong), change: fields{"kty": nil}},
		"symmetric":           {key: testrig.IssuerKeyOf(t, "RS256", strong), change: fields{"kty": "oct", "k": "AAAA"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newOIDCRig(t)
			jwk := tt.key.JWK()
			maps.Copy(jwk, tt.change)
			maps.DeleteFunc(jwk, func(_ string, v any) bool { return v == nil })
			w.issuer.Publish(jwk)
			_, err := w.check(tt.key.Sign(t, w.issuer.Claims("alice", nil), nil))
			if tt.accepted {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, auth.ErrNoPrincipal)
			}
			_, err = w.check(w.issuer.Token("alice", nil))
			require.NoError(t, err, "other keys work")
		})
	}
}

// An RSA key that would take milliseconds to check a signature with is not used.
func TestOIDC_LongKey(t *testing.T) {
	w := newOIDCRig(t)
	key := testrig.NewIssuerKey(t, "RS256")
	for bits, problem := range map[int]string{4096: "signature", 4104: "unknown key"} {
		modulus := make([]byte, bits/8)
		_, _ = rand.Read(modulus)
		modulus[0], modulus[len(modulus)-1] = 0x80, 1
		jwk := key.JWK()
		jwk["kid"], jwk["n"] = problem, base64.RawURLEncoding.EncodeToString(modulus)
		w.issuer.Publish(jwk)
		_, err := w.check(key.Sign(t, w.issuer.Claims("alice", nil), fields{"kid": problem}))
		require.ErrorContains(t, err, problem)
	}
}

// A private key that is published by mistake is known to everybody.
func TestOIDC_PublishedPrivateKey(t *testing.T) {
	w := newOIDCRig(t)
	key := testrig.NewIssuerKey(t, "EdDSA")
	jwk := key.JWK()
	jwk["d"] = strings.Repeat("A", 43)
	w.issuer.Publish(jwk)
	_, err := w.check(key.Sign(t, w.issuer.Claims("alice", nil), nil))
	require.ErrorIs(t, err, auth.ErrNoPrincipal)
}

// A token that names no key is tried with some keys of its algorithm.
func TestOIDC_TokenWithoutKeyID(t *testing.T) {
	w := newOIDCRig(t)
	unnamed := fields{"kid": nil}
	first := w.issuer.Key()
	for range 7 {
		w.issuer.Rotate("ES256")
	}
	w.issuer.Rotate("ES384")
	claims := w.issuer.Claims("alice", nil)
	_, err := w.check(first.Sign(t, claims, unnamed))
	require.NoError(t, err)
	_, err = w.check(w.issuer.Sign(claims, unnamed))
	require.NoError(t, err, "keys of other algorithms do not count")
	assert.Equal(t, 1, w.issuer.Fetches())

	w.issuer.Rotate("EdDSA")
	_, err = w.check(w.issuer.Sign(claims, unnamed))
	require.NoError(t, err, "it may be signed with a new key")
	assert.Equal(t, 2, w.issuer.Fetches())

	ninth := w.issuer.Rotate("ES256")
	_, err = w.check(ninth.Sign(t, claims, unnamed))
	require.ErrorIs(t, err, auth.ErrNoPrincipal)
	_, err = w.check(ninth.Sign(t, claims, nil))
	require.NoError(t, err)
}
