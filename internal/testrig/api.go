package testrig

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// Service is a sandbox on a local HTTP server, with a client.
type Service struct {
	*sandbox.Sandbox
	Server *httptest.Server
	Client *zai.Client

	downloads atomic.Int64
	polls     atomic.Int64
	mu        sync.Mutex
	attempts  []zai.Attempt
}

// APIOptions configure API.
type APIOptions struct {
	// Sandbox configures the service. MaxConcurrent is sandbox.Unlimited
	// unless it is set.
	Sandbox sandbox.Options
	// Wrap returns the handler to serve; next is the sandbox. If it is nil, the
	// sandbox is served.
	Wrap func(next http.Handler) http.Handler
}

// API starts a sandbox and returns it with a client. The functions change the
// options.
func API(t testing.TB, configure ...func(*APIOptions)) *Service {
	t.Helper()
	o := APIOptions{Sandbox: sandbox.Options{MaxConcurrent: sandbox.Unlimited}}
	for _, f := range configure {
		f(&o)
	}
	s := &Service{Sandbox: sandbox.New(o.Sandbox)}
	var handler http.Handler = s.Sandbox
	if o.Wrap != nil {
		handler = o.Wrap(handler)
	}
	s.Server = httptest.NewServer(s.count(handler))
	t.Cleanup(s.Server.Close)
	t.Cleanup(s.Close)
	s.Client = s.NewClient(t)
	return s
}

// NewClient returns another client of the service. Attempts includes its
// requests unless the options replace the observer.
func (s *Service) NewClient(t testing.TB, options ...zai.Option) *zai.Client {
	t.Helper()
	client, err := zai.NewClient("key", append([]zai.Option{
		zai.WithBaseURL(s.BaseURL()),
		zai.WithClock(time.Now, func(time.Duration) time.Duration { return 0 }),
		zai.WithDownloadRetries(0, 0, 0),
		zai.WithPolling(5*time.Millisecond, 20*time.Millisecond),
		zai.WithObserver(s.observe),
	}, options...)...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// BaseURL returns the root of the API, for zai.WithBaseURL and ZAI_BASE_URL.
func (s *Service) BaseURL() string { return s.Server.URL + sandbox.BasePath }

// Env returns the environment variables that make the program use the service.
func (s *Service) Env() []string { return []string{"ZAI_API_KEY=key", "ZAI_BASE_URL=" + s.BaseURL()} }

// Downloads returns the number of requests for image files, including failed
// ones. Posts, Accepted and Refused of the sandbox count the requests to
// generate images.
func (s *Service) Downloads() int64 { return s.downloads.Load() }

// Polls returns the number of requests for the results of tasks.
func (s *Service) Polls() int64 { return s.polls.Load() }

// Attempts returns the requests of the service's clients, in the order in which
// they ended.
func (s *Service) Attempts() []zai.Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.attempts)
}

func (s *Service) observe(a zai.Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts = append(s.attempts, a)
}

func (s *Service) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/files/"):
			s.downloads.Add(1)
		case strings.HasPrefix(r.URL.Path, sandbox.BasePath+"/async-result/"):
			s.polls.Add(1)
		}
		next.ServeHTTP(w, r)
	})
}
