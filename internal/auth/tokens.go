package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"

	"zai-image-mcp/internal/textfile"
)

// MinToken is the minimum length of a token in characters.
const MinToken = 16

// TokenFile authenticates callers by bearer tokens from a file of lines
// "name:token" or "name:sha256:<hex of the token's SHA-256>". Empty lines and
// lines that begin with # are ignored; a comment cannot follow a token. A name
// may have several tokens.
type TokenFile struct {
	path string

	mu      sync.Mutex
	source  *textfile.Source
	entries []tokenEntry
}

var (
	_ Authenticator = (*TokenFile)(nil)
	_ Reloader      = (*TokenFile)(nil)
)

type tokenEntry struct {
	name   string
	digest tokenDigest
}

// tokenDigest is the SHA-256 of a token.
type tokenDigest [sha256.Size]byte

// LoadTokenFile reads the file. It fails if other users may read it, since
// anyone who can read a token can use it.
func LoadTokenFile(path string) (*TokenFile, error) {
	t := &TokenFile{path: path}
	t.source = textfile.NewSource(path, t.read)
	return t, explainOpen(path, t.source.Load())
}

// Authenticate implements Authenticator for the header Authorization: Bearer.
func (t *TokenFile) Authenticate(r *http.Request) (Principal, error) {
	token, ok := bearer(r)
	if !ok {
		return Principal{}, ErrNoPrincipal
	}
	digest := tokenDigest(sha256.Sum256([]byte(token)))
	owner, ok := t.owner(digest)
	if !ok {
		return Principal{}, ErrNoPrincipal
	}
	return Principal{Owner: owner, Credential: string(digest[:])}, nil
}

// Valid implements Authenticator: the token must still be in the file, with the same name.
func (t *TokenFile) Valid(p Principal) bool {
	if len(p.Credential) != sha256.Size {
		return false
	}
	name, ok := t.owner(tokenDigest([]byte(p.Credential)))
	return ok && name == p.Owner
}

// Reload implements Reloader.
func (t *TokenFile) Reload(always bool) (changed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed, err = t.source.Reload(always)
	return changed, explainOpen(t.path, err)
}

// owner returns the name that a token belongs to. It compares all entries, so
// that its duration reveals nothing about them.
func (t *TokenFile) owner(digest tokenDigest) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	name, known := "", false
	for _, e := range t.entries {
		if subtle.ConstantTimeCompare(e.digest[:], digest[:]) == 1 {
			name, known = e.name, true
		}
	}
	return name, known
}

func (t *TokenFile) read(f *os.File, info os.FileInfo) error {
	if owner, known := ownerOfFile(info); known {
		if err := checkMode(info.Mode().Perm(), owner, os.Geteuid()); err != nil {
			return fmt.Errorf("%s %w", t.path, err)
		}
	}
	entries, err := parseTokens(f)
	if err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	t.entries = entries
	return nil
}

// checkMode fails if a file of secrets may be used by others. The rule is
// PostgreSQL's for its key files: a file of the own user must be private, and
// one of root may be readable for a group, which is how secrets are mounted
// into containers that do not run as root.
// https://www.postgresql.org/docs/current/ssl-tcp.html
func checkMode(mode os.FileMode, owner, self int) error {
	const othersMayUse, groupMayMoreThanRead, others = 0o077, 0o030, 0o007
	switch {
	case owner == 0 && self != 0:
		if mode&(groupMayMoreThanRead|others) != 0 {
			return fmt.Errorf("may be used by others (mode %04o, of root): run chmod 640 on it, or set the secret's mode to 0440 (defaultMode in Kubernetes, mode in Compose)", mode)
		}
	case mode&othersMayUse != 0:
		return fmt.Errorf("may be read by others (mode %04o): run chmod 600 on it, or set the secret's mode to 0400", mode)
	}
	return nil
}

// explainOpen adds the owner and mode of the file, and the user of the process,
// to a permission error.
func explainOpen(path string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	info, statErr := os.Stat(path)
	if statErr != nil {
		return err
	}
	owner, known := ownerOfFile(info)
	if !known {
		return err
	}
	return fmt.Errorf("%w: it belongs to user %d with mode %04o, and this program runs as user %d: give the file to that user (mode 0400), or to root and a group of that user (mode 0440)",
		err, owner, info.Mode().Perm(), os.Geteuid())
}

const maxName = 64 // bytes of the name of a token or a claim

// nameOfToken matches the names of tokens, apart from their length: a limit in the
// expression would make compiling it, at the start of the program, twenty times as slow.
var nameOfToken = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]*$`)

// parseTokens reads the lines of a token file. No error repeats a token.
func parseTokens(r io.Reader) ([]tokenEntry, error) {
	const maxFile = 1 << 20
	raw, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFile {
		return nil, errors.New("larger than 1 MiB")
	}
	text, err := textfile.Decode(raw)
	if err != nil {
		return nil, err
	}
	var entries []tokenEntry
	plain := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	for n, line := range strings.Split(plain, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		entry, err := parseToken(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		for _, other := range entries {
			if other.digest == entry.digest && other.name != entry.name {
				return nil, fmt.Errorf("line %d: %s and %s have the same token", n+1, other.name, entry.name)
			}
		}
		entries = append(entries, entry)
	}
	if len(entries) == 0 {
		return nil, errors.New("there is no token in it")
	}
	return entries, nil
}

func parseToken(line string) (tokenEntry, error) {
	name, token, found := strings.Cut(line, ":")
	if name = strings.TrimSpace(name); !found || len(name) > maxName || !nameOfToken.MatchString(name) {
		return tokenEntry{}, errors.New("not name:token, with a name of letters, digits and ._@-")
	}
	token = strings.TrimSpace(token)
	const prefix = "sha256:"
	if len(token) >= len(prefix) && strings.EqualFold(token[:len(prefix)], prefix) {
		digest, err := hex.DecodeString(strings.TrimSpace(token[len(prefix):]))
		if err != nil || len(digest) != sha256.Size {
			return tokenEntry{}, errors.New("sha256: is followed by 64 hexadecimal digits and nothing else")
		}
		return tokenEntry{name, tokenDigest(digest)}, nil
	}
	if err := checkToken(token); err != nil {
		return tokenEntry{}, err
	}
	return tokenEntry{name, sha256.Sum256([]byte(token))}, nil
}

// checkToken fails for tokens that no client can send, and for likely mistakes.
func checkToken(token string) error {
	switch {
	case len(token) >= len("bearer ") && strings.EqualFold(token[:len("bearer ")], "bearer "):
		return errors.New("the token alone, without Bearer")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("a token has no white space, so no comment behind it either, and only ASCII characters")
	case strings.ContainsAny(token, "\"'`"):
		return errors.New("the token without quotes")
	case strings.Contains(token, ":"):
		return errors.New("a token has no colon; for a hash write sha256: and 64 hexadecimal digits")
	case len(token) < MinToken:
		return fmt.Errorf("the token is shorter than %d characters", MinToken)
	}
	return nil
}
