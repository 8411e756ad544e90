// Package durability tests that no paid image is lost if the program is killed, if
// its disk fails or fills up, or if the power is cut. The tests need Linux and
// strace. Power cuts and full disks also need root and loop devices.
package durability

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// lease is the time after which other processes may resume the images of a
// process that was killed.
const lease = 30 * time.Second

func TestMain(m *testing.M) {
	status := m.Run()
	testrig.RemoveProgram()
	os.Exit(status)
}

// full reports whether to run all rounds, which takes several minutes.
func full() bool { return os.Getenv("ZAI_TEST_FULL") != "" }

// service is a sandbox that counts requests by prompt.
type service struct {
	*testrig.Service
	program  string // path of the program
	mu       sync.Mutex
	requests map[string]int    // by prompt
	hooks    map[string]func() // called before a request is handled, by prompt
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{program: testrig.Program(t), requests: map[string]int{}, hooks: map[string]func(){}}
	s.Service = testrig.API(t, func(o *testrig.APIOptions) { o.Wrap = s.count })
	return s
}

func (s *service) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			var request struct {
				Prompt string `json:"prompt"`
			}
			if err == nil && json.Unmarshal(body, &request) == nil {
				s.mu.Lock()
				s.requests[request.Prompt]++
				hook := s.hooks[request.Prompt]
				s.mu.Unlock()
				if hook != nil {
					hook()
				}
			}
			r.Body = io.NopCloser(strings.NewReader(string(body)))
		}
		next.ServeHTTP(w, r)
	})
}

// beforeImage sets a function that is called before the request with a prompt is
// handled.
func (s *service) beforeImage(prompt string, hook func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks[prompt] = hook
}

// requestsFor returns the number of requests with a prompt.
func (s *service) requestsFor(prompt string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[prompt]
}

// counts returns the largest number of requests with the same prompt, and the
// total number of requests.
func (s *service) counts() (most, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.requests {
		most, total = max(most, n), total+n
	}
	return most, total
}

// command returns a command that runs the program with a folder, under strace if
// there are rules.
func (s *service) command(t *testing.T, folder string, rules []string, args ...string) *exec.Cmd {
	args = append([]string{s.program}, args...)
	if len(rules) > 0 {
		args = append(append([]string{"strace", "-f", "-qq"}, rules...), args...)
	}
	c := exec.CommandContext(context.Background(), args[0], args[1:]...)
	c.Env = append(s.Env(), "HOME="+os.TempDir(), "PATH="+os.Getenv("PATH"), "ZAI_IMAGE_DAILY_BUDGET=0")
	c.Env = append(c.Env, testrig.PlaceOf(t, folder).Env()...)
	c.WaitDelay = 20 * time.Second
	return c
}

func needStrace(t *testing.T) {
	t.Helper()
	if err := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "true").Run(); err != nil {
		t.Skip("NOT TESTED: strace does not work here: ", err)
	}
}

func open(t *testing.T, folder string) *resources.Library {
	t.Helper()
	return openAt(t, folder, "")
}

func openAt(t *testing.T, folder, catalog string) *resources.Library {
	t.Helper()
	l := testrig.NewLibrary(t, testrig.LibraryOptions{Folder: folder, Catalog: catalog, Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// imagesByPrompt returns all images of a library, by prompt.
func imagesByPrompt(t *testing.T, l *resources.Library) map[string]resources.Image {
	t.Helper()
	all := map[string]resources.Image{}
	unsaved, err := l.Unsaved(t.Context(), "local", 1_000_000)
	require.NoError(t, err)
	saved, _, err := l.List(t.Context(), "local", "", "", 1_000_000)
	require.NoError(t, err)
	for _, i := range append(unsaved, saved...) {
		all[i.Prompt] = i
	}
	return all
}

// check checks a library, including the contents of its files.
func check(t *testing.T, l *resources.Library) resources.Report {
	t.Helper()
	report, err := l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	return report
}

// temporaryFiles returns the temporary files of a library.
func temporaryFiles(t *testing.T, folder string) (list []string) {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(folder, "*", "*", "*", ".tmp-*"))
	require.NoError(t, err)
	return list
}
