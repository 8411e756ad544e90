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

	"zai-image-mcp/resources/render"
)

// Links creates and verifies signed download links. A link grants access to one
// image or to one export of it without other authentication, so it carries an expiry
// time and a signature of owner, image, export and expiry time. Links is safe for concurrent use.
type Links struct {
	library  *Library
	base     string
	lifetime time.Duration

	mu  sync.Mutex
	key []byte // cached; see signingKey
}

// NewLinks returns Links to the images of a library. base is the URL of the
// server that serves Downloads, without a trailing slash; each link is valid for
// lifetime.
func NewLinks(library *Library, base string, lifetime time.Duration) *Links {
	return &Links{library: library, base: base, lifetime: lifetime}
}

// The keys in the settings of a catalog.
const (
	linkKeyName    = "link_key"
	galleryKeyName = "gallery_key"
	secretKeySize  = sha256.Size
)

// URL returns a new link to a saved image and the time at which it expires.
func (l *Links) URL(ctx context.Context, i Image) (link string, expires time.Time, err error) {
	return l.sign(ctx, i.Owner, i.ID, path.Ext(i.Path))
}

// ExportURL implements ExportLinker.
func (l *Links) ExportURL(ctx context.Context, i Image, s render.Spec) (link string, expires time.Time, err error) {
	return l.sign(ctx, i.Owner, exportTarget(i.ID, s), s.Format.Extension())
}

// exportTarget returns what the signature of a link to an export covers in place of the
// id of an image.
func exportTarget(id string, s render.Spec) string { return id + "/" + string(ExportView(s)) }

// sign returns a new link to a target, which is the path below /images/ without extension.
func (l *Links) sign(ctx context.Context, owner, target, extension string) (link string, expires time.Time, err error) {
	expires = l.library.now().UTC().Add(l.lifetime).Truncate(time.Second)
	exp := strconv.FormatInt(expires.Unix(), 10)
	sig, err := l.signature(ctx, owner, target, exp)
	if err != nil {
		return "", time.Time{}, err
	}
	query := url.Values{"exp": {exp}, "sig": {sig}}
	return l.base + "/images/" + target + extension + "?" + query.Encode(), expires, nil
}

// verify reports whether sig is the signature of a link to this target of this
// owner that expires at exp. It does not check whether exp has passed.
func (l *Links) verify(ctx context.Context, owner, target, exp, sig string) (bool, error) {
	want, err := l.signature(ctx, owner, target, exp)
	return hmac.Equal([]byte(sig), []byte(want)), err
}

func (l *Links) signature(ctx context.Context, owner, target, exp string) (string, error) {
	key, err := l.signingKey(ctx)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	// The lengths make the text unambiguous: no other triple has the same text.
	fmt.Fprintf(mac, "%d %s %d %s %d %s", len(owner), owner, len(target), target, len(exp), exp)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

// signingKey returns the key of all links of the library. It is stored in the
// catalog, so that links outlive the process and other processes accept them.
func (l *Links) signingKey(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.key != nil {
		return l.key, nil
	}
	key, err := secretKey(ctx, l.library.catalog, linkKeyName)
	if err != nil {
		return nil, err
	}
	l.key = key
	return key, nil
}

// secretKey returns a key in the settings of a catalog, which it creates if there is
// none.
func secretKey(ctx context.Context, c Catalog, name string) ([]byte, error) {
	fresh := make([]byte, secretKeySize)
	_, _ = rand.Read(fresh) // never fails
	key, err := c.Setting(ctx, name, fresh)
	if err == nil && len(key) != secretKeySize {
		err = fmt.Errorf("%w: the setting %s has %d bytes", ErrStorage, name, len(key))
	}
	return key, err
}

// GalleryKey returns the key that seals the sessions of the gallery, 32 bytes. It is stored
// in the catalog, so that sessions outlive the process and other processes accept them.
func (l *Library) GalleryKey(ctx context.Context) ([]byte, error) {
	return secretKey(ctx, l.catalog, galleryKeyName)
}

// PresignedLinks makes links to the images in a store that is a Presigner. A link can
// be used without this program.
type PresignedLinks struct {
	library  *Library
	store    Presigner
	lifetime time.Duration
}

// NewPresignedLinks returns PresignedLinks to the images of a library, or nil if its
// store is no Presigner. Each link is valid for lifetime, or until the credentials of
// the store expire.
func NewPresignedLinks(library *Library, lifetime time.Duration) *PresignedLinks {
	store, ok := library.store.(Presigner)
	if !ok {
		return nil
	}
	return &PresignedLinks{library, store, lifetime}
}

// URL implements Linker.
func (l *PresignedLinks) URL(ctx context.Context, i Image) (link string, expires time.Time, err error) {
	return l.store.Presign(ctx, i.Path, Presign{
		Lifetime: l.lifetime, ContentType: i.MIMEType, ContentDisposition: disposition("inline", path.Base(i.Path)),
	})
}
