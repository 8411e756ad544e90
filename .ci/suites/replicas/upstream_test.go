package replicas

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/zai/sandbox"
)

// upstream is the API, without limits of its own. It counts the requests for images by
// prompt.
type upstream struct {
	*testrig.Service
	ended   <-chan struct{} // closed when the test ends
	mu      sync.Mutex
	posts   map[string]int
	onPost  map[string]func() // called before the request with a prompt is handled
	onImage func()            // called once, before an image is sent
	onPoll  func()            // called once, before the first answer about a task
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{ended: t.Context().Done(), posts: map[string]int{}, onPost: map[string]func(){}}
	u.Service = testrig.API(t, func(o *testrig.APIOptions) { o.Wrap = u.count })
	return u
}

func (u *upstream) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return // the client is gone: the request did not arrive
			}
			var request struct{ Prompt string }
			_ = json.Unmarshal(body, &request)
			u.mu.Lock()
			u.posts[request.Prompt]++
			hook := u.onPost[request.Prompt]
			u.mu.Unlock()
			if hook != nil {
				u.call(hook)
			}
			r.Body = io.NopCloser(strings.NewReader(string(body)))
		case strings.HasPrefix(r.URL.Path, "/files/"):
			u.callOnce(&u.onImage)
		case strings.Contains(r.URL.Path, "/async-result/"):
			u.callOnce(&u.onPoll)
		}
		next.ServeHTTP(w, r)
	})
}

// callOnce calls a hook if it is set, and clears it.
func (u *upstream) callOnce(hook *func()) {
	u.mu.Lock()
	once := *hook
	*hook = nil
	u.mu.Unlock()
	if once != nil {
		u.call(once)
	}
}

// call calls a hook, and returns when the hook has returned or the test has ended. A hook
// may wait for something that a failed test never does.
func (u *upstream) call(hook func()) {
	done := make(chan struct{})
	go func() { defer close(done); hook() }()
	select {
	case <-done:
	case <-u.ended:
	}
}

// beforePost sets a function that is called before each request with a prompt is
// handled.
func (u *upstream) beforePost(prompt string, hook func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.onPost[prompt] = hook
}

// beforeImage sets a function that is called once, before an image is sent.
func (u *upstream) beforeImage(hook func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.onImage = hook
}

// beforePoll sets a function that is called once, before the state of a task is sent.
func (u *upstream) beforePoll(hook func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.onPoll = hook
}

// postsFor returns the number of requests with a prompt.
func (u *upstream) postsFor(prompt string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.posts[prompt]
}

// mostPosts returns the largest number of requests with the same prompt.
func (u *upstream) mostPosts() (most int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, n := range u.posts {
		most = max(most, n)
	}
	return most
}

// env returns the environment of a process that uses the API.
func (u *upstream) env() []string {
	return []string{"ZAI_API_KEY=key", "ZAI_BASE_URL=" + u.Server.URL + sandbox.BasePath}
}
