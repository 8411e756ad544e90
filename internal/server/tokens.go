package server

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
)

// MinToken is the least length of a token in characters.
const MinToken = 16

// Tokens are the callers that may use the server over HTTP, as a file of lines
// "name:token" or "name:sha256:<hex of the token's SHA-256>". Empty lines and
// lines that begin with # do not count. A name may have several tokens.
type Tokens struct {
	path string

	mu      sync.Mutex
	info    os.FileInfo // of the file as it was read last
	failure error       // of reading it
	entries []tokenEntry
}

type tokenEntry struct {
	name   string
	digest tokenDigest
}

// tokenDigest is the SHA-256 of a token; zero where there are no tokens.
type tokenDigest [sha256.Size]byte

// LoadTokens reads the file. It is an error when others than its owner may
// read it, as whoever can read it can use it.
func LoadTokens(path string) (*Tokens, error) {
	t := &Tokens{path: path}
	return t, t.load()
}

func (t *Tokens) load() error {
	f, err := os.Open(t.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	t.info = info // also of a bad file, which is not read again until it changes
	const othersMayRead = 0o077
	if runtime.GOOS != "windows" && info.Mode().Perm()&othersMayRead != 0 {
		return fmt.Errorf("%s may be read by others (mode %04o): run chmod 600 on it", t.path, info.Mode().Perm())
	}
	entries, err := parseTokens(f)
	if err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	t.entries = entries
	return nil
}

var tokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// parseTokens reads lines. No error repeats a token.
func parseTokens(r io.Reader) ([]tokenEntry, error) {
	const maxFile = 1 << 20
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, errors.New("larger than 1 MiB")
	}
	var entries []tokenEntry
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxFile)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		entry, err := parseToken(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		for _, other := range entries {
			if other.digest == entry.digest && other.name != entry.name {
				return nil, fmt.Errorf("line %d: %s and %s have the same token", n, other.name, entry.name)
			}
		}
		entries = append(entries, entry)
	}
	if len(entries) == 0 && lines.Err() == nil {
		return nil, errors.New("there is no token in it")
	}
	return entries, lines.Err()
}

func parseToken(line string) (tokenEntry, error) {
	name, token, found := strings.Cut(line, ":")
	if name = strings.TrimSpace(name); !found || !tokenName.MatchString(name) {
		return tokenEntry{}, errors.New("not name:token, with a name of letters, digits and ._@-")
	}
	token = strings.TrimSpace(token)
	if sum, hashed := strings.CutPrefix(token, "sha256:"); hashed {
		digest, err := hex.DecodeString(sum)
		if err != nil || len(digest) != sha256.Size {
			return tokenEntry{}, errors.New("sha256: is followed by 64 hexadecimal digits")
		}
		return tokenEntry{name, tokenDigest(digest)}, nil
	}
	if len(token) < MinToken {
		return tokenEntry{}, fmt.Errorf("the token is shorter than %d characters", MinToken)
	}
	return tokenEntry{name, sha256.Sum256([]byte(token))}, nil
}

// name gives the owner that a token belongs to. All entries are compared, so
// that the time it takes says nothing about them.
func (t *Tokens) name(digest tokenDigest) (string, bool) {
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

// valid reports whether a token is still in the file.
func (t *Tokens) valid(digest tokenDigest) bool {
	_, ok := t.name(digest)
	return ok
}

// refresh reads the file again if it was changed, or always. When that fails,
// what was known before stays.
func (t *Tokens) refresh(always bool) (changed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	info, err := os.Stat(t.path)
	if err != nil {
		return false, err
	}
	same := os.SameFile(info, t.info) && info.ModTime().Equal(t.info.ModTime()) && info.Size() == t.info.Size() && info.Mode() == t.info.Mode()
	if same && !always {
		return false, t.failure
	}
	t.failure = t.load()
	return true, t.failure
}
