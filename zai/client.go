package zai

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Client calls the API of one region with one key. It is safe for concurrent
// use.
type Client struct {
	key          *secret
	region       Region
	base         *url.URL
	billed       *http.Client // for requests that cost money
	http1        bool         // billed uses a copy of an *http.Transport, over HTTP/1.1
	api          *http.Client // for polls
	images       *http.Client // for downloads
	timeout      time.Duration
	download     downloadLimits
	polling      polling
	watermark    bool // the service adds its visible watermark, as it does by default
	userAgent    string
	log          *slog.Logger
	now          func() time.Time
	jitter       func(limit time.Duration) time.Duration
	observe      func(Attempt)
	asyncRefused atomic.Bool // the service refused the asynchronous endpoint
	decoding     sync.Mutex  // held while a response with an inline image is decoded
}

// secret is the key. A Client has a pointer to it, so that printing the Client
// does not print the key: fmt prints pointers inside structs as addresses. The
// methods alone do not suffice, because fmt does not call those of unexported
// fields.
type secret struct{ value string }

func (*secret) String() string               { return "***" }
func (*secret) GoString() string             { return "***" }
func (*secret) LogValue() slog.Value         { return slog.StringValue("***") }
func (*secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// NewClient returns a client. It fails if the key is empty or has characters
// other than printable ASCII. It does not check more, because keys of several
// forms are in use.
func NewClient(key string, options ...Option) (*Client, error) {
	s := defaultSettings()
	for _, option := range options {
		if err := option(&s); err != nil {
			return nil, fmt.Errorf("zai: %w", err)
		}
	}
	key = strings.TrimSpace(key)
	if key == "" {
		return nil, errors.New("zai: the API key is empty")
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("zai: the API key contains characters that no key has")
	}
	if s.baseURL == "" {
		s.baseURL = s.region.BaseURL()
	}
	base, err := parseBaseURL(s.baseURL)
	if err != nil {
		return nil, fmt.Errorf("zai: %w", err)
	}
	api := http.Client{Transport: apiTransport(s.connectTimeout)}
	if s.httpClient != nil {
		api = *s.httpClient
	}
	api.Timeout = 0
	api.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	billed := api
	var http1 bool
	billed.Transport, http1 = billedTransport(api.Transport)
	return &Client{
		key: &secret{key}, region: s.region, base: base, api: &api, billed: &billed, http1: http1,
		images:  imageClient(base, api.Transport, s.connectTimeout),
		timeout: s.timeout, download: s.download, polling: s.polling, watermark: s.watermark, userAgent: s.userAgent,
		log: s.log, observe: s.observe, now: s.now, jitter: s.jitter,
	}, nil
}

// Region returns the region of the client.
func (c *Client) Region() Region { return c.region }

// BaseURL returns the root of the API that the client uses.
func (c *Client) BaseURL() string { return c.base.String() }

// Close closes idle connections.
func (c *Client) Close() {
	c.billed.CloseIdleConnections()
	c.api.CloseIdleConnections()
	c.images.CloseIdleConnections()
}
