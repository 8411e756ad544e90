package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"zai-image-mcp/resources"
)

// probe remembers when a write succeeded.
type probe struct {
	calls singleflight.Group
	mu    sync.Mutex
	done  time.Time
}

const (
	// probeLifetime is how long a successful probe counts.
	probeLifetime = time.Minute
	probeName     = ".probe-"
)

// forget makes the next Prepare write again.
func (p *probe) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = time.Time{}
}

// Prepare implements resources.Store. It writes a small object and deletes it, unless it
// did so less than a minute ago and no write has failed since.
func (b *Bucket) Prepare(ctx context.Context, _ string) error {
	b.probe.mu.Lock()
	last := b.probe.done
	b.probe.mu.Unlock()
	if !last.IsZero() && b.now().Sub(last) < probeLifetime {
		return nil
	}
	call := b.probe.calls.DoChan("", func() (any, error) { return nil, b.tryWrite(context.WithoutCancel(ctx)) })
	select {
	case made := <-call:
		return made.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryWrite writes an object and deletes it.
func (b *Bucket) tryWrite(ctx context.Context) error {
	content := []byte("probe")
	name := probeName + randomText()
	err := b.request(ctx, 0, func(ctx context.Context, c client) error {
		return c.put(ctx, b.address.Bucket, b.key(name), bytes.NewReader(content), int64(len(content)), sha256.Sum256(content), false)
	})
	if err == nil {
		err = b.Delete(ctx, name)
	}
	if err != nil {
		return err
	}
	b.probe.mu.Lock()
	b.probe.done = b.now()
	b.probe.mu.Unlock()
	return nil
}

// MaxLifetime is the longest lifetime of a presigned link.
const MaxLifetime = 7 * 24 * time.Hour

// Presign implements resources.Presigner. Links made with temporary credentials, such
// as those of a role, expire with them at the latest.
func (b *Bucket) Presign(ctx context.Context, name string, p resources.Presign) (link string, expires time.Time, err error) {
	query := url.Values{}
	for parameter, value := range map[string]string{
		"response-content-type": p.ContentType, "response-content-disposition": p.ContentDisposition, "response-cache-control": p.CacheControl,
	} {
		if value != "" {
			query.Set(parameter, value)
		}
	}
	lifetime := min(max(p.Lifetime, time.Second), MaxLifetime)
	err = b.request(ctx, 0, func(ctx context.Context, c client) error {
		u, err := c.PresignedGetObject(ctx, b.address.Bucket, b.key(name), lifetime, query)
		if err != nil {
			return err
		}
		used, err := b.credentials.GetWithContext(c.CredContext())
		link, expires = u.String(), b.now().UTC().Add(lifetime).Truncate(time.Second)
		if end := used.Expiration; !end.IsZero() && end.Before(expires) {
			expires = end.UTC().Truncate(time.Second)
		}
		return err
	})
	return link, expires, err
}
