package auth_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/testrig"
)

const (
	aliceToken = "alice-0123456789abcdef"
	bobToken   = "bob-0123456789abcdef"
)

// A token file is read line by line; its errors name the line and no token.
func TestLoadTokenFile(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for text, problem := range map[string]string{
		"alice:" + aliceToken + "\n\n# comment\n  bob : " + digest + "\n": "",
		"":           "no token",
		"# nobody\n": "no token",
		"alice":      "line 1",
		"alice:" + aliceToken + "\nbob:" + aliceToken: "alice and bob have the same token",
		"\nalice:short":                "line 2",
		"alice:sha256:abc":             "64 hexadecimal digits",
		"a b:" + aliceToken:            "line 1",
		":" + aliceToken:               "line 1",
		"../x:" + aliceToken:           "line 1",
		strings.Repeat("#\n", 600_000): "1 MiB",
	} {
		path := testrig.TokenFile(t, text)
		_, err := auth.LoadTokenFile(path)
		if problem == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, problem)
		assert.NotContains(t, err.Error(), aliceToken)
	}
	path := testrig.TokenFile(t, "alice:"+aliceToken)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660} {
		require.NoError(t, os.Chmod(path, mode))
		_, err := auth.LoadTokenFile(path)
		require.ErrorContains(t, err, "chmod 600")
	}
	_, err := auth.LoadTokenFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// Invalid lines are refused, not read as tokens.
func TestLoadTokenFile_Lines(t *testing.T) {
	sum := sha256.Sum256([]byte(aliceToken))
	digest := hex.EncodeToString(sum[:])
	for name, tt := range map[string]struct{ text, problem string }{
		"byte order mark":   {"\ufeffalice:" + aliceToken, ""},
		"Windows":           {"alice:" + aliceToken + "\r\nbob:" + bobToken + "\r\n", ""},
		"old Mac":           {"bob:" + bobToken + "\ralice:" + aliceToken + "\r", ""},
		"hash":              {"alice:sha256:" + digest, ""},
		"hash in capitals":  {"alice:SHA256:" + strings.ToUpper(digest), ""},
		"UTF-16":            {"\xff\xfe" + strings.Join(strings.Split("alice:"+aliceToken, ""), "\x00") + "\x00", ""},
		"comment":           {"alice:" + aliceToken + " # of Alice", "no white space"},
		"comment at a hash": {"alice:sha256:" + digest + " # of Alice", "64 hexadecimal digits"},
		"quotes":            {`alice:"` + aliceToken + `"`, "without quotes"},
		"single quotes":     {`alice:'` + aliceToken + `'`, "without quotes"},
		"header":            {"alice:Bearer " + aliceToken, "without Bearer"},
		"another hash":      {"alice:sha512:" + digest + digest, "colon"},
		"spelling":          {"alice:sha-256:" + digest, "colon"},
		"other scripts":     {"alice:pässword-pässword", "ASCII"},
		"control character": {"alice:" + aliceToken + "\x00", "white space"},
	} {
		t.Run(name, func(t *testing.T) {
			file := testrig.TokenFile(t, tt.text)
			if tt.problem != "" {
				_, err := auth.LoadTokenFile(file)
				require.ErrorContains(t, err, tt.problem)
				require.ErrorContains(t, err, file)
				assert.NotContains(t, err.Error(), aliceToken)
				assert.NotContains(t, err.Error(), digest)
				return
			}
			tokens, err := auth.LoadTokenFile(file)
			require.NoError(t, err)
			r := httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody)
			r.Header.Set("Authorization", "Bearer "+aliceToken)
			p, err := tokens.Authenticate(r)
			require.NoError(t, err, "the token works")
			assert.Equal(t, "alice", p.Owner)
			assert.True(t, p.Authenticated())
			assert.True(t, tokens.Valid(p))
		})
	}
}

// A file of the own user must be private; one of root may be readable for a
// group, as secrets are in containers.
func TestLoadTokenFile_Permissions(t *testing.T) {
	const root, self, other = 0, 65532, 1000
	for _, tt := range []struct {
		mode      os.FileMode
		own, who  int
		permitted bool
	}{
		{0o600, self, self, true},
		{0o400, self, self, true},
		{0o440, self, self, false},
		{0o604, self, self, false},
		{0o440, root, self, true},
		{0o640, root, self, true},
		{0o400, root, self, true},
		{0o444, root, self, false},
		{0o460, root, self, false},
		{0o450, root, self, false},
		{0o600, root, root, true},
		{0o640, root, root, false},
		{0o440, other, self, false},
		{0o600, other, root, true},
		{0o640, other, root, false},
	} {
		err := auth.CheckMode(tt.mode, tt.own, tt.who)
		if tt.permitted {
			assert.NoError(t, err, tt)
		} else {
			assert.ErrorContains(t, err, fmt.Sprintf("mode %04o", tt.mode), tt)
		}
	}
}

// No token file causes a panic, and none admits a short token.
func FuzzTokenFile(f *testing.F) {
	for _, seed := range []string{"alice:" + aliceToken, "a:sha256:" + strings.Repeat("ab", 32), "#\n\n", "a:b", ":", "a:sha256:zz", "\x00:\xff"} {
		f.Add(seed)
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(folder, "tokens")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := auth.LoadTokenFile(path)
		if len(text) < auth.MinToken {
			require.Error(t, err)
		}
	})
}
