package resources

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"sync"
	"time"
)

// Links makes addresses at which images can be downloaded for a while
// without any other proof of who asks. Whoever has the address has the
// image, so it carries an expiry and a signature over it.
type Links struct {
	Library  *Library
	Base     string        // where the server is reached, without a slash at the end
	Lifetime time.Duration // of a link

	mu  sync.Mutex
	key []byte
}

const (
	linkKeyName = "link_key"
	linkKeySize = sha256.Size
)

// URL is a new link to a saved image.
func (l *Links) URL(ctx context.Context, i Image) (link string, expires time.Time, err error) {
	expires = l.Library.now().UTC().Add(l.Lifetime).Truncate(time.Second)
	exp := strconv.FormatInt(expires.Unix(), 10)
	sig, err := l.sign(ctx, i.Owner, i.ID, exp)
	if err != nil {
		return "", time.Time{}, err
	}
	query := url.Values{"exp": {exp}, "sig": {sig}}
	return l.Base + "/images/" + i.ID + path.Ext(i.Path) + "?" + query.Encode(), expires, nil
}

// verify reports whether a link was made by us for this image of this owner.
// Whether it is still valid is another question.
func (l *Links) verify(ctx context.Context, owner, id, exp, sig string) (bool, error) {
	want, err := l.sign(ctx, owner, id, exp)
	return hmac.Equal([]byte(sig), []byte(want)), err
}

func (l *Links) sign(ctx context.Context, owner, id, exp string) (string, error) {
	key, err := l.secret(ctx)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	// Lengths first, so that no two triples read the same.
	fmt.Fprintf(mac, "%d %s %d %s %d %s", len(owner), owner, len(id), id, len(exp), exp)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

// secret is the key of all links of the library. It lies in the catalog, so
// that links outlive the process and are good at every process beside it.
func (l *Links) secret(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.key != nil {
		return l.key, nil
	}
	fresh := make([]byte, linkKeySize)
	_, _ = rand.Read(fresh) // never fails
	key, err := l.Library.catalog.setting(ctx, linkKeyName, fresh)
	if err != nil {
		return nil, err
	}
	if len(key) != linkKeySize {
		return nil, fmt.Errorf("%w: key of links has %d bytes", ErrStorage, len(key))
	}
	l.key = key
	return key, nil
}
