package zai

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

type settings struct {
	region         Region
	baseURL        string
	httpClient     *http.Client
	connectTimeout time.Duration
	timeout        time.Duration
	download       downloadLimits
	polling        polling
	watermark      bool
	userAgent      string
	log            *slog.Logger
	now            func() time.Time
	jitter         func(time.Duration) time.Duration
	observe        func(Attempt)
}

func defaultSettings() settings {
	return settings{
		region:         Global,
		connectTimeout: 10 * time.Second,
		timeout:        300 * time.Second,
		download:       defaultDownloadLimits(),
		polling:        polling{first: 500 * time.Millisecond, longest: 5 * time.Second},
		watermark:      true,
		userAgent:      "zai-image-mcp",
		log:            slog.New(slog.DiscardHandler),
		observe:        func(Attempt) {},
		now:            time.Now,
		jitter: func(limit time.Duration) time.Duration {
			return rand.N(limit + 1) //nolint:gosec // it spreads retries and is not used for security
		},
	}
}

// Option is an option of NewClient.
type Option func(*settings) error

// WithRegion selects the platform; Global is the default.
func WithRegion(r Region) Option {
	return func(s *settings) error {
		parsed, err := ParseRegion(string(r))
		s.region = parsed
		return err
	}
}

// WithBaseURL replaces the root of the region's API. Images may be downloaded
// from its origin whatever its scheme, port and address, because local gateways
// and the sandbox serve images from there.
func WithBaseURL(raw string) Option {
	return func(s *settings) error {
		s.baseURL = raw
		return CheckBaseURL(raw)
	}
}

// WithHTTPClient sets the client for API calls and for downloads from the base
// URL's own origin. The client is copied and not changed. Its Timeout and
// CheckRedirect are not used.
//
// Billed requests use a copy of its Transport that uses HTTP/1.1 only and opens
// a new connection for each request. A Transport that is not an *http.Transport
// is used as it is. It must not send a request twice, as net/http does over
// HTTP/2, and must not keep the body in order to do so. It receives requests
// without GetBody. If it fails after it has read the whole body, the outcome of
// the request is unknown.
func WithHTTPClient(c *http.Client) Option {
	return func(s *settings) error {
		if c == nil {
			return errors.New("WithHTTPClient: nil client")
		}
		s.httpClient = c
		return nil
	}
}

// WithTimeouts sets how long connecting may take (10 s by default; connections
// of the client set by WithHTTPClient are not affected), and how long
// GenerateImage and Submit may take, including retries (300 s by default).
func WithTimeouts(connect, call time.Duration) Option {
	return func(s *settings) error {
		if connect <= 0 || call <= 0 {
			return errors.New("WithTimeouts: must be positive")
		}
		s.connectTimeout, s.timeout = connect, call
		return nil
	}
}

// WithDownloadRetries sets how long Download waits before each retry: by
// default 1, 2 and 4 seconds. Download makes one attempt more than there are
// waits.
func WithDownloadRetries(waits ...time.Duration) Option {
	return func(s *settings) error {
		if slices.ContainsFunc(waits, func(d time.Duration) bool { return d < 0 }) {
			return errors.New("WithDownloadRetries: must not be negative")
		}
		s.download.waits = slices.Clone(waits)
		return nil
	}
}

// WithPolling sets how long Await waits before its first poll and how long it
// waits at most between two polls: 500 ms and 5 s by default. Each wait is 1.5
// times as long as the one before.
func WithPolling(first, longest time.Duration) Option {
	return func(s *settings) error {
		if first <= 0 || longest < first {
			return errors.New("WithPolling: first must be positive, and longest not below first")
		}
		s.polling = polling{first, longest}
		return nil
	}
}

// WithoutWatermark asks for images without the visible watermark
// (watermark_enabled). open.bigmodel.cn documents this for accounts that have
// signed a disclaimer, and may refuse it or ignore it for others; api.z.ai does
// not document it.
func WithoutWatermark() Option {
	return func(s *settings) error {
		s.watermark = false
		return nil
	}
}

// WithUserAgent sets the User-Agent header.
func WithUserAgent(name string) Option {
	return func(s *settings) error {
		s.userAgent = name
		return nil
	}
}

// WithLogger sets the logger for attempts and retries. The client logs neither
// the key nor prompts.
func WithLogger(l *slog.Logger) Option {
	return func(s *settings) error {
		if l == nil {
			return errors.New("WithLogger: nil logger, use slog.DiscardHandler")
		}
		s.log = l
		return nil
	}
}

// WithObserver sets a function that is called after every attempt. It must not
// block, and may be called by several goroutines at once.
func WithObserver(observe func(Attempt)) Option {
	return func(s *settings) error {
		if observe == nil {
			return errors.New("WithObserver: nil function")
		}
		s.observe = observe
		return nil
	}
}

// WithClock replaces time.Now and the random waits before retries: jitter
// returns a duration between zero and limit.
func WithClock(now func() time.Time, jitter func(limit time.Duration) time.Duration) Option {
	return func(s *settings) error {
		if now == nil || jitter == nil {
			return errors.New("WithClock: nil function")
		}
		s.now, s.jitter = now, jitter
		return nil
	}
}
