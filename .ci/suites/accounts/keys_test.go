package accounts

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// encoded returns a part of a token.
func encoded(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString(text)
}

// forger makes tokens that look like a good one.
type forger struct {
	t             testing.TB
	key           *rsa.PrivateKey
	good          string
	header, claim map[string]any // of the good token
}

func newForger(t testing.TB, good string) *forger {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	f := &forger{t: t, key: key, good: good, header: map[string]any{}, claim: map[string]any{}}
	for i, part := range []*map[string]any{&f.header, &f.claim} {
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(good, ".")[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, part))
	}
	return f
}

// signed returns the claims of the good token under another header, with a signature by
// the forger.
func (f *forger) signed(header map[string]any, sign func(text []byte) []byte) string {
	text := encoded(f.t, header) + "." + encoded(f.t, f.claim)
	return text + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(text)))
}

func (f *forger) rs256(text []byte) []byte {
	sum := sha256.Sum256(text)
	signature, err := rsa.SignPKCS1v15(rand.Reader, f.key, crypto.SHA256, sum[:])
	require.NoError(f.t, err)
	return signature
}

// tokens returns the kinds of forged tokens. Each call of one makes another token.
func (f *forger) tokens() []func() string {
	known := f.header["kid"]
	noise := func(n int) func([]byte) []byte {
		return func([]byte) []byte {
			b := make([]byte, n)
			_, _ = rand.Read(b) // never fails
			return b
		}
	}
	own := map[string]any{"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(f.key.N.Bytes())}
	return []func() string{
		func() string {
			return f.signed(map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": rand.Text()}, f.rs256)
		},
		func() string {
			return f.signed(map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": known}, noise(256))
		},
		func() string { return f.signed(map[string]any{"alg": "RS256", "typ": "at+jwt"}, f.rs256) },
		func() string {
			return f.signed(map[string]any{"alg": "none", "typ": "at+jwt", "jti": rand.Text()}, noise(0))
		},
		func() string {
			return f.signed(map[string]any{"alg": "HS256", "typ": "at+jwt", "kid": known, "x": rand.Text()}, func(text []byte) []byte {
				mac := hmac.New(sha256.New, f.key.N.Bytes())
				mac.Write(text)
				return mac.Sum(nil)
			})
		},
		func() string {
			return f.signed(map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": rand.Text(), "jwk": own}, f.rs256)
		},
		func() string {
			parts := strings.Split(f.good, ".")
			claims := maps.Clone(f.claim)
			claims["sub"] = rand.Text()
			return parts[0] + "." + encoded(f.t, claims) + "." + parts[2]
		},
		func() string { return rand.Text() + "." + rand.Text() + "." + rand.Text() },
		func() string { return f.good + strings.Repeat("A", 20<<10) },
	}
}

// Strangers who send forged tokens do not get in, do not make the server ask the provider
// for keys again and again, and do not use up its memory.
func TestKeys_ForgedTokens(t *testing.T) {
	p := newProvider(t, "ACCOUNTS=anna")
	s := newServer(t, p)
	began := time.Now()
	good := p.token("anna", s.base+"/mcp", scopes)
	status, _ := s.list(good)
	require.Equal(t, http.StatusOK, status)
	f := newForger(t, good)
	kinds := f.tokens()
	var mu sync.Mutex
	statuses := map[int]int{}
	flood := func(n, workers int) {
		var all sync.WaitGroup
		for worker := range workers {
			all.Go(func() {
				for i := worker; i < n; i += workers {
					status, _, _ := s.stateless(t.Context(), kinds[i%len(kinds)](), "tools/call", "list_images", `"name":"list_images","arguments":{}`)
					mu.Lock()
					statuses[status]++
					mu.Unlock()
				}
			})
		}
		all.Wait()
	}
	flood(1000, 16) // connections, buffers
	before, fetched := s.memory(), p.counts()["/jwks"]
	start := time.Now()
	flood(10_000, 16)
	took := time.Since(start)
	after := s.memory()
	total := p.counts()["/jwks"]
	assert.LessOrEqual(t, total, 4*(1+int(time.Since(began)/time.Minute)), "fetches of keys")
	assert.Less(t, after-before, 32<<20, "bytes")
	assert.Subset(t, []int{http.StatusUnauthorized, http.StatusServiceUnavailable}, slices.Collect(maps.Keys(statuses)), "none is let in")
	status, _ = s.list(good)
	assert.Equal(t, http.StatusOK, status, "good tokens still are")
	t.Logf("statuses %v; 10,000 took %v; %d fetches of keys, %d in all; memory %d MiB before, %d MiB after", statuses, took.Round(time.Millisecond), total-fetched, total, before>>20, after>>20)
}

// Tokens that are signed with a new key are accepted at the first request, and tokens that
// are signed with the key before as long as the provider publishes it.
func TestKeys_Rotation(t *testing.T) {
	p := newProvider(t, "ACCOUNTS=anna")
	s := newServer(t, p)
	accepted := func(token string) int {
		t.Helper()
		status, _ := s.list(token)
		return status
	}
	first := p.token("anna", s.base+"/mcp", scopes)
	assert.Equal(t, http.StatusOK, accepted(first))
	p.use("2", "1", "2")
	second := p.token("anna", s.base+"/mcp", scopes)
	assert.Equal(t, http.StatusOK, accepted(second), "at the first request")
	assert.Equal(t, http.StatusOK, accepted(first), "the key is still published")
	assert.Equal(t, 2, p.counts()["/jwks"])

	// The server notices that a key was removed when it next asks.
	p.use("3", "2", "3")
	third := p.token("anna", s.base+"/mcp", scopes)
	assert.Equal(t, http.StatusOK, accepted(third))
	assert.Equal(t, http.StatusOK, accepted(second))
	assert.Equal(t, http.StatusUnauthorized, accepted(first), "the key was removed")
	t.Logf("%d fetches of keys", p.counts()["/jwks"])
}

// Without its keys the server says when to come again: a client would throw a token away
// that is refused. It recovers without a restart, and known keys outlast the provider.
func TestKeys_ProviderDown(t *testing.T) {
	p := newProvider(t, "ACCOUNTS=anna")
	s := newServer(t, p)
	token := p.token("anna", s.base+"/mcp", scopes)
	p.stop()
	status, header := s.list(token)
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, "15", header.Get("Retry-After"))
	assert.Empty(t, header.Get("WWW-Authenticate"))

	// The provider makes other keys when it starts again.
	p.start()
	token = p.token("anna", s.base+"/mcp", scopes)
	require.Eventually(t, func() bool {
		status, _ = s.list(token)
		return status == http.StatusOK
	}, time.Minute, 500*time.Millisecond, fmt.Sprint(status))
	p.stop()
	status, _ = s.list(token)
	assert.Equal(t, http.StatusOK, status, "the keys are known")
}
