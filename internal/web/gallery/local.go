package gallery

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"sync"

	"zai-image-mcp/internal/auth"
)

// Local is the gallery of one owner on this machine. Whoever has the key can open it once.
type Local struct {
	Owner string
	Key   string
}

// oneTimeKey is a key that is traded for a session once. The sessions end with the process.
type oneTimeKey struct {
	owner string

	mu  sync.Mutex
	key string // "" after its use
}

var _ auth.Authenticator = (*oneTimeKey)(nil)

func openLocal(l *Local) (*oneTimeKey, *sealer, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	s := &sealer{key: func(context.Context) ([]byte, error) { return key, nil }}
	_, err := s.cipher(context.Background())
	return &oneTimeKey{owner: l.Owner, key: l.Key}, s, err
}

// Authenticate implements auth.Authenticator. Only the key opens the gallery.
func (*oneTimeKey) Authenticate(*http.Request) (auth.Principal, error) {
	return auth.Principal{}, auth.ErrNoPrincipal
}

// Valid implements auth.Authenticator.
func (k *oneTimeKey) Valid(p auth.Principal) bool { return p.Owner == k.owner }

// use reports whether a key is the right one and was not used before.
func (k *oneTimeKey) use(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key == "" || subtle.ConstantTimeCompare([]byte(k.key), []byte(key)) != 1 {
		return false
	}
	k.key = ""
	return true
}

// useKey trades the key in an address for a session. The browser then shows an address
// without the key.
func (g *Gallery) useKey(w http.ResponseWriter, r *http.Request) {
	if !g.keys.use(r.URL.Query().Get("key")) {
		if _, ok, err := g.principal(r); ok && err == nil { // the address was reloaded
			g.redirect(w, g.root)
			return
		}
		g.fail(w, r, auth.Principal{}, &problem{http.StatusForbidden, "This address was used already. Run the command again for a new one."})
		return
	}
	if err := g.setSession(w, r, auth.Principal{Owner: g.keys.owner, Credential: "key"}); err != nil {
		g.fail(w, r, auth.Principal{}, err)
		return
	}
	g.redirect(w, g.root)
}
