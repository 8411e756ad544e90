// Package zai is a client of the Z.AI image generation API, on both of its
// platforms (docs.z.ai and docs.bigmodel.cn). It knows what the service does
// beyond its documentation: the forms its errors take, which failures are sure
// not to be billed, and how to fetch an image from a link that is not there
// yet or points where it should not.
package zai

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
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
	billed       *http.Client // for what costs money
	http1        bool         // billed is known to speak HTTP/1.1 and to send nothing twice
	api          *http.Client // for questions
	images       *http.Client
	timeout      time.Duration
	download     downloadLimits
	polling      polling
	userAgent    string
	log          *slog.Logger
	now          func() time.Time
	jitter       func(limit time.Duration) time.Duration
	observe      func(Attempt)
	asyncRefused atomic.Bool // the asynchronous endpoint was refused
	decoding     sync.Mutex  // of an answer that holds an image
}

// secret is the key. Behind a pointer it cannot be printed by accident: fmt
// does not follow pointers inside structures, and does not call the methods of
// unexported fields.
type secret struct{ value string }

func (*secret) String() string               { return "***" }
func (*secret) GoString() string             { return "***" }
func (*secret) LogValue() slog.Value         { return slog.StringValue("***") }
func (*secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

type settings struct {
	region         Region
	baseURL        string
	httpClient     *http.Client
	connectTimeout time.Duration
	timeout        time.Duration
	download       downloadLimits
	polling        polling
	userAgent      string
	log            *slog.Logger
	now            func() time.Time
	jitter         func(time.Duration) time.Duration
	observe        func(Attempt)
}

// Option changes a setting of NewClient.
type Option func(*settings) error

// WithRegion selects the platform; Global is the default.
func WithRegion(r Region) Option {
	return func(s *settings) error {
		parsed, err := ParseRegion(string(r))
		s.region = parsed
		return err
	}
}

// WithBaseURL replaces the region's address. Its origin is trusted for image
// downloads, as that is how a local gateway or the sandbox serves them.
func WithBaseURL(raw string) Option {
	return func(s *settings) error {
		s.baseURL = raw
		return CheckBaseURL(raw)
	}
}

// WithHTTPClient sets the client for API calls and for downloads from the base
// URL's own origin. It is copied, not changed; its Timeout is not used.
//
// Requests that are billed go through a copy of its Transport that speaks
// HTTP/1.1 only and opens a connection for each of them. A Transport that is no
// *http.Transport cannot be changed in this way: it must not send a request
// twice, neither by itself nor over HTTP/2, and must not keep the body to do
// so. Requests come to it without GetBody, and when it fails after it has read
// the body, the outcome of the request counts as unknown.
func WithHTTPClient(c *http.Client) Option {
	return func(s *settings) error {
		if c == nil {
			return errors.New("WithHTTPClient: nil client")
		}
		s.httpClient = c
		return nil
	}
}

// WithTimeouts sets how long connecting may take (10 s by default; not used
// with WithHTTPClient) and how long GenerateImage may take with all its
// attempts (300 s by default).
func WithTimeouts(connect, call time.Duration) Option {
	return func(s *settings) error {
		if connect <= 0 || call <= 0 {
			return errors.New("WithTimeouts: must be positive")
		}
		s.connectTimeout, s.timeout = connect, call
		return nil
	}
}

// WithDownloadRetries sets how long Download waits before each further attempt
// and with that how many there are: after 1, 2 and 4 seconds by default, none
// without arguments.
func WithDownloadRetries(waits ...time.Duration) Option {
	return func(s *settings) error {
		if slices.ContainsFunc(waits, func(d time.Duration) bool { return d < 0 }) {
			return errors.New("WithDownloadRetries: must not be negative")
		}
		s.download.waits = slices.Clone(waits)
		return nil
	}
}

// WithPolling sets how long Await waits before it first asks for a task, and
// the longest pause between two questions: 500 ms and 5 s by default. Pauses
// grow by half each time.
func WithPolling(first, longest time.Duration) Option {
	return func(s *settings) error {
		if first <= 0 || longest < first {
			return errors.New("WithPolling: must be positive, and longest not below first")
		}
		s.polling = polling{first, longest}
		return nil
	}
}

// WithUserAgent names the program in requests.
func WithUserAgent(name string) Option {
	return func(s *settings) error {
		s.userAgent = name
		return nil
	}
}

// WithLogger receives attempts and retries. Neither key nor prompt is logged.
func WithLogger(l *slog.Logger) Option {
	return func(s *settings) error {
		if l == nil {
			return errors.New("WithLogger: nil logger, use slog.DiscardHandler")
		}
		s.log = l
		return nil
	}
}

// WithObserver is told of every attempt. The function must not block and is
// called from several goroutines.
func WithObserver(observe func(Attempt)) Option {
	return func(s *settings) error {
		if observe == nil {
			return errors.New("WithObserver: nil function")
		}
		s.observe = observe
		return nil
	}
}

// WithClock replaces time.Now, and with jitter the random part of waits: it
// returns a duration between zero and its limit.
func WithClock(now func() time.Time, jitter func(limit time.Duration) time.Duration) Option {
	return func(s *settings) error {
		if now == nil || jitter == nil {
			return errors.New("WithClock: nil function")
		}
		s.now, s.jitter = now, jitter
		return nil
	}
}

// NewClient makes a client. The key is not checked for its form, as several
// are in use.
func NewClient(key string, options ...Option) (*Client, error) {
	s := settings{
		region:         Global,
		connectTimeout: 10 * time.Second,
		timeout:        300 * time.Second,
		download:       defaultDownloadLimits(),
		polling:        polling{first: 500 * time.Millisecond, longest: 5 * time.Second},
		userAgent:      "zai-image-mcp",
		log:            slog.New(slog.DiscardHandler),
		observe:        func(Attempt) {},
		now:            time.Now,
		jitter: func(limit time.Duration) time.Duration {
			return rand.N(limit + 1) //nolint:gosec // spreads retries, guards nothing
		},
	}
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
		return nil, errors.New("zai: the API key holds characters that no key has")
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
		timeout: s.timeout, download: s.download, polling: s.polling, userAgent: s.userAgent,
		log: s.log, observe: s.observe, now: s.now, jitter: s.jitter,
	}, nil
}

// Region is the platform the client was made for.
func (c *Client) Region() Region { return c.region }

// BaseURL is the address of the API in use.
func (c *Client) BaseURL() string { return c.base.String() }

// Close drops idle connections.
func (c *Client) Close() {
	c.billed.CloseIdleConnections()
	c.api.CloseIdleConnections()
	c.images.CloseIdleConnections()
}
