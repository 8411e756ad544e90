package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"

	"zai-image-mcp/resources"
)

// Put implements resources.Store. It holds the content in memory, because its size and
// hash have to be known before it is sent, and because a request may have to be
// repeated. If the object exists with the same content, Put succeeds; with another
// content it fails with resources.ErrExists. Content of more than 64 MiB is refused.
func (b *Bucket) Put(ctx context.Context, name string, r io.Reader) (sha string, size int64, err error) {
	content, err := readAll(r)
	if err != nil {
		return "", 0, err
	}
	if len(content) > maxBytes {
		return "", 0, b.failed(&cause{problem: tooLarge})
	}
	sum := sha256.Sum256(content)
	sha, size = hex.EncodeToString(sum[:]), int64(len(content))
	put := func(fresh bool) error {
		return b.request(ctx, size, func(ctx context.Context, c client) error {
			return c.put(ctx, b.address.Bucket, b.key(name), bytes.NewReader(content), size, sum, fresh)
		})
	}
	err = put(!b.replace)
	switch c, _ := errors.AsType[*cause](err); {
	case c != nil && c.problem == unsupported && !b.replace:
		if err = b.same(ctx, name, sha, size); errors.Is(err, resources.ErrCorrupt) {
			err = put(false) // there is no such object
		}
	case c != nil && c.problem == conditionFailed:
		err = b.same(ctx, name, sha, size)
	}
	if err != nil {
		b.probe.forget()
		return "", 0, err
	}
	return sha, size, nil
}

// same fails with resources.ErrExists unless an object has this content.
func (b *Bucket) same(ctx context.Context, name, sha string, size int64) error {
	info, err := b.Stat(ctx, name)
	if err != nil {
		return err
	}
	if info.Size == size && info.SHA256 == "" { // the service does not report it
		if info.SHA256, err = b.hash(ctx, name); err != nil {
			return err
		}
	}
	if info.Size != size || info.SHA256 != sha {
		return &resources.StorageError{Part: "file", Path: resources.RedactName(name), Err: resources.ErrExists}
	}
	return nil
}

// hash reads an object and returns its SHA-256 in hex.
func (b *Bucket) hash(ctx context.Context, name string) (string, error) {
	f, err := b.Open(ctx, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
