package auth_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/testrig"
)

// oidcRig is an issuer with an authenticator for its tokens and a clock for both.
type oidcRig struct {
	*auth.OIDC
	issuer *testrig.Issuer
	log    testrig.Buffer
	now    atomic.Int64 // seconds since 1970
}

func newOIDCRig(t testing.TB, configure ...func(*auth.OIDCConfig)) *oidcRig {
	t.Helper()
	w := &oidcRig{issuer: testrig.NewIssuer(t)}
	w.now.Store(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).Unix())
	w.issuer.Now = w.time
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	c := auth.OIDCConfig{
		Issuer: w.issuer.URL, Audiences: []string{w.issuer.Audience}, OwnerClaim: "sub",
		HTTP: client, Now: w.time, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	for _, f := range configure {
		f(&c)
	}
	var err error
	w.OIDC, err = auth.NewOIDC(c)
	require.NoError(t, err)
	return w
}

func (w *oidcRig) time() time.Time { return time.Unix(w.now.Load(), 0) }

func (w *oidcRig) pass(d time.Duration) { w.now.Add(int64(d / time.Second)) }

// check authenticates a request with a token.
func (w *oidcRig) check(token string) (auth.Principal, error) { return authenticate(w, token) }

func authenticate(a auth.Authenticator, token string) (auth.Principal, error) {
	r := httptest.NewRequest(http.MethodPost, "/mcp", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	return a.Authenticate(r)
}
