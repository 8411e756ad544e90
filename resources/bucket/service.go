package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"zai-image-mcp/resources"
)

// service is the connection to an S3 service.
type service struct {
	address     Address
	credentials *credentials.Credentials
	now         func() time.Time
	timeout     time.Duration
	sleep       func(context.Context, time.Duration) error

	mu        sync.Mutex
	client    *minio.Core // nil before the first use
	transport *http.Transport
}

func newService(a Address, o Options) *service {
	s := &service{address: a, credentials: o.Credentials, now: o.Now, timeout: o.Timeout, sleep: o.Sleep}
	if s.timeout == 0 {
		s.timeout = DefaultTimeout
	}
	if s.sleep == nil {
		s.sleep = sleep
	}
	return s
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// randomText returns a short text for names that must not be used twice.
func randomText() string { return rand.Text()[:8] }

// open returns the client of the service. It fails if there are no credentials.
func (s *service) open(ctx context.Context) (client, error) {
	s.mu.Lock()
	if s.client == nil {
		if err := s.connect(); err != nil {
			s.mu.Unlock()
			return client{}, err
		}
	}
	c := s.client
	s.mu.Unlock()
	found := make(chan bool, 1)
	go func() { // the search may send requests that do not end with ctx
		value, err := s.credentials.GetWithContext(c.CredContext())
		found <- err == nil && value.AccessKeyID != ""
	}()
	select {
	case ok := <-found:
		if !ok {
			return client{}, &cause{problem: noCredentials}
		}
		return client{c}, nil
	case <-ctx.Done():
		return client{}, ctx.Err()
	}
}

// connect sets up the client without sending a request.
func (s *service) connect() error {
	const dialTimeout, idleTimeout, connections = 5 * time.Second, time.Minute, 64
	s.transport = &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout: idleTimeout, MaxIdleConnsPerHost: connections, DisableCompression: true,
	}
	if s.credentials == nil {
		s.credentials = credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{},
			&credentials.IAM{Client: &http.Client{Timeout: dialTimeout, Transport: s.transport}, Region: s.address.Region},
		})
	}
	host, lookup := s.address.Host, minio.BucketLookupAuto
	if host == "" {
		host = "s3.amazonaws.com"
	}
	if s.address.PathStyle {
		lookup = minio.BucketLookupPath
	}
	c, err := minio.NewCore(host, &minio.Options{
		Creds: s.credentials, Secure: !s.address.Plain, Transport: s.transport, Region: s.address.Region, BucketLookup: lookup,
		MaxRetries: 1, // request repeats them
	})
	s.client = c
	return err
}

func (s *service) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.transport != nil {
		s.transport.CloseIdleConnections()
	}
}

const (
	attempts     = 5
	firstBackoff = 200 * time.Millisecond
	maxBackoff   = 3 * time.Second
	// slowest is the slowest supported connection in bytes per second.
	slowest = 128 << 10
)

// request calls f until it succeeds, fails for good, or failed often. size is that of
// the content that f transfers, for its time limit. The error is a StorageError, a
// *cause if the caller handles it, or that of ctx.
func (b *Bucket) request(ctx context.Context, size int64, f func(context.Context, client) error) error {
	limit := b.timeout + time.Duration(size)*time.Second/slowest
	backoff := firstBackoff
	for n := 1; ; n++ {
		err := b.once(ctx, limit, f)
		c, ok := errors.AsType[*cause](err)
		if !ok || !c.repeatable() || n == attempts {
			return err
		}
		if c.problem == expired {
			b.credentials.Expire()
		}
		if err := b.sleep(ctx, backoff/2+mathrand.N(backoff/2)); err != nil { //nolint:gosec // spreads requests in time
			return err
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// once calls f once, with a time limit.
func (b *Bucket) once(ctx context.Context, limit time.Duration, f func(context.Context, client) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := b.open(limited)
	if err == nil {
		err = f(limited, c)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return b.failed(err)
}

// failed returns the StorageError for an error of a request.
func (b *Bucket) failed(err error) error {
	if errors.Is(err, resources.ErrCorrupt) {
		return err
	}
	return &resources.StorageError{Part: "bucket", Path: b.Name(), Err: causeOf(err)}
}
