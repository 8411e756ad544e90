package gallery_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/web/gallery"
)

// The key is good once. The cookie has another value, and is not valid in another process.
func TestLocal_Key(t *testing.T) {
	const key = "ABCDEFGHIJKLMNOP"
	local := func(c *gallery.Config) { c.Open, c.Local = false, &gallery.Local{Owner: "alice", Key: key} }
	r := newRig(t, local)
	i, other := r.save(t, of("alice")), r.save(t, of("bob"))
	sees(t, http.StatusSeeOther, r.do(t, http.MethodGet, "/gallery/", ""), "no key")
	sees(t, http.StatusUnauthorized, r.do(t, http.MethodGet, "/gallery/login", ""), "login")
	sees(t, http.StatusForbidden, r.do(t, http.MethodGet, "/gallery/?key=wrong", ""), "wrong key")
	sees(t, http.StatusForbidden, r.do(t, http.MethodGet, "/gallery/?key=", ""), "empty key")
	sees(t, http.StatusSeeOther, r.do(t, http.MethodHead, "/gallery/?key="+key, ""), "HEAD does not use the key up")
	require.Empty(t, r.cookies)
	answer := r.do(t, http.MethodGet, "/gallery/?key="+key, "")
	sees(t, http.StatusSeeOther, answer, "key")
	assert.Equal(t, "/gallery/", answer.Header.Get("Location"))
	require.Len(t, r.cookies, 1)
	assert.Equal(t, "zai_gallery_8787", r.cookies[0].Name)
	assert.NotContains(t, r.cookies[0].Value, key)
	assert.Equal(t, []string{i.ID}, shown(t, r.get(t, "/gallery/").body))
	assert.Contains(t, r.get(t, "/gallery/"+i.ID).body, r.library.Path(i), "the file is on this machine")
	sees(t, http.StatusNotFound, r.do(t, http.MethodGet, "/gallery/"+other.ID, ""), "another owner")
	sees(t, http.StatusSeeOther, r.do(t, http.MethodGet, "/gallery/?key="+key, ""), "reloaded")
	sees(t, http.StatusUnauthorized, r.do(t, http.MethodPost, "/gallery/login", "token="+key), "the key is no token")
	another := newRigOf(t, r.library, local)
	another.cookies = r.cookies
	sees(t, http.StatusSeeOther, another.do(t, http.MethodGet, "/gallery/", ""), "another process")
	r.cookies = nil
	sees(t, http.StatusForbidden, r.do(t, http.MethodGet, "/gallery/?key="+key, ""), "used")
	sees(t, http.StatusForbidden, r.do(t, http.MethodGet, "/gallery/?key=", ""), "empty key after use")
	assert.Empty(t, r.cookies)
}
