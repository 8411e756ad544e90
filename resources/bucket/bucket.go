// Package bucket stores image files in a bucket of a service that implements the API
// of Amazon S3.
//
// An object is never overwritten by another content: its name refers to the same
// bytes until it is deleted. The service verifies the SHA-256 of what it receives; the
// library verifies what it reads. Incomplete requests are repeated, each request has a
// time limit, and an interrupted upload leaves nothing behind.
package bucket

import (
	"context"
	"io"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"zai-image-mcp/resources"
)

// Options configure a Bucket.
type Options struct {
	URL    string // see ParseURL
	Region string // used if the URL names none
	// Credentials of the service; nil searches the environment, the shared
	// credentials file, and the roles of the container or the machine, at first use.
	Credentials *credentials.Credentials
	Now         func() time.Time
	// Timeout limits a request without content; one with content gets more. 0 means
	// DefaultTimeout.
	Timeout time.Duration
	// Sleep waits before a request is repeated; nil uses a timer.
	Sleep func(context.Context, time.Duration) error
}

// DefaultTimeout is the default of Options.Timeout.
const DefaultTimeout = 20 * time.Second

// maxBytes is the size of the largest object that is read or written: twice that of
// the largest image that the API generates. Put holds the content in memory.
const maxBytes = 64 << 20

// Bucket is a part of a bucket: the objects whose keys have a prefix.
type Bucket struct {
	*service
	prefix  string // "" or with a slash at its end
	replace bool   // Put replaces objects
	probe   *probe
}

var (
	_ resources.Store     = (*Bucket)(nil)
	_ resources.Presigner = (*Bucket)(nil)
)

// New returns a Bucket, or the error of ParseURL. It does no I/O.
func New(o Options) (*Bucket, error) {
	address, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if address.Region == "" {
		address.Region = o.Region
	}
	if address.Region == "" && address.Host != "" {
		address.Region = "us-east-1" // other services ignore the region
	}
	prefix := address.Prefix
	if prefix != "" {
		prefix += "/"
	}
	return &Bucket{service: newService(address, o), prefix: prefix, probe: &probe{}}, nil
}

// Sub returns the part of the bucket below a folder, for files that can be made again,
// such as previews: its Put replaces objects.
func (b *Bucket) Sub(folder string) *Bucket {
	return &Bucket{service: b.service, prefix: b.prefix + folder + "/", replace: true, probe: &probe{}}
}

// Redirect reports whether downloads may be redirected to the service.
func (b *Bucket) Redirect() bool { return b.address.Redirect }

// Name returns the URL of the bucket without its parameters.
func (b *Bucket) Name() string {
	return strings.TrimSuffix("s3://"+b.address.Bucket+"/"+b.prefix, "/")
}

// Path returns "".
func (b *Bucket) Path(string) string { return "" }

func (b *Bucket) key(name string) string { return b.prefix + name }

// Delete implements resources.Store.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	if upload, ok := strings.CutPrefix(name, uploads+"/"); ok {
		return b.abort(ctx, upload)
	}
	return b.request(ctx, 0, func(ctx context.Context, c client) error {
		return c.remove(ctx, b.address.Bucket, b.key(name))
	})
}

// Quarantine implements resources.Store. The service copies the object.
func (b *Bucket) Quarantine(ctx context.Context, name string) error {
	info, err := b.Stat(ctx, name)
	if err != nil {
		return err
	}
	to := path.Join(resources.Quarantined, randomText()+"-"+path.Base(name))
	err = b.request(ctx, info.Size, func(ctx context.Context, c client) error {
		return c.copy(ctx, b.address.Bucket, b.key(name), b.key(to))
	})
	if err != nil {
		return err
	}
	return b.Delete(ctx, name)
}

// Present implements resources.Store.
func (b *Bucket) Present(ctx context.Context) error {
	return b.request(ctx, 0, func(ctx context.Context, c client) error { return c.exists(ctx, b.address.Bucket) })
}

// pingTimeout limits Ping, which load balancers wait for.
const pingTimeout = 5 * time.Second

// Ping implements resources.Store.
func (b *Bucket) Ping(ctx context.Context) error {
	return b.once(ctx, min(pingTimeout, b.timeout), func(ctx context.Context, c client) error { return c.exists(ctx, b.address.Bucket) })
}

// Close closes idle connections.
func (b *Bucket) Close() error {
	b.close()
	return nil
}

// readAll reads at most maxBytes.
func readAll(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxBytes+1)) }
