package auth_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/testrig"
)

// No credential causes a panic or gets anybody in that the issuer does not know.
func FuzzOIDC_Authenticate(f *testing.F) {
	w := newOIDCRig(f)
	valid := w.issuer.Token("alice", nil)
	for _, seed := range []string{
		valid, valid + ".", "a.b.c", "eyJhbGciOiJub25lIn0.e30.AA", w.issuer.Token("alice", fields{"aud": nil}),
		testrig.NewIssuerKey(f, "EdDSA").Sign(f, w.issuer.Claims("alice", nil), fields{"jwk": fields{"kty": "OKP"}}),
	} {
		f.Add(seed)
	}
	_, err := w.check(valid)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, token string) {
		r := httptest.NewRequest(http.MethodPost, "/mcp", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		p, err := w.Authenticate(r)
		if err == nil {
			assert.True(t, strings.HasSuffix(p.Owner, "/alice"))
			signed, _, _ := cutLast(strings.TrimSpace(token), ".")
			expected, _, _ := cutLast(valid, ".")
			assert.Equal(t, expected, signed)
			return
		}
		if refusal, ok := errors.AsType[*auth.TokenError](err); ok {
			assert.Regexp(t, reason, refusal.Reason)
		}
	})
}

func cutLast(s, separator string) (before, after string, found bool) {
	if n := strings.LastIndex(s, separator); n >= 0 {
		return s[:n], s[n+len(separator):], true
	}
	return s, "", false
}

// Claims of any content make an owner without spaces and control characters, or none.
func FuzzOIDC_Claims(f *testing.F) {
	w := newOIDCRig(f, func(c *auth.OIDCConfig) { c.OwnerClaim, c.ReadScope = "email", "read" })
	for _, seed := range []string{
		`{"email":"a@example.com","scope":"read"}`, `{"email":"a","email_verified":false,"scp":["read"]}`,
		`{"email":"a","email":"b","scope":"read"}`, `{"email":"\ud800","scope":"read"}`, `{"exp":1e400}`, `{"aud":[[]]}`, `null`, `{"nbf":-1.5}`,
	} {
		f.Add(seed)
	}
	prefix := strings.TrimPrefix(w.issuer.URL, "http://") + "/"
	f.Fuzz(func(t *testing.T, text string) {
		claims := w.issuer.Claims("alice", nil)
		_ = json.Unmarshal([]byte(text), &claims)
		payload, err := json.Marshal(claims)
		if err != nil {
			return
		}
		p, err := w.check(w.issuer.Key().SignBytes(t, payload, nil))
		if err != nil {
			return
		}
		name, ok := strings.CutPrefix(p.Owner, prefix)
		require.True(t, ok)
		assert.Regexp(t, `^\S{1,128}$`, name)
		assert.NotRegexp(t, `[\pC\pZ]`, name)
		assert.True(t, w.Valid(p))
	})
}

func BenchmarkOIDC_Authenticate(b *testing.B) {
	for _, algorithm := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		b.Run(algorithm, func(b *testing.B) {
			w := newOIDCRig(b)
			w.issuer.Rotate(algorithm)
			r := httptest.NewRequest(http.MethodPost, "/mcp", http.NoBody)
			r.Header.Set("Authorization", "Bearer "+w.issuer.Token("alice", nil))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Authenticate(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
