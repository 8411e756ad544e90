// Package durability kills the real program, removes its disk and cuts its power,
// and then checks that no image that was paid for is lost. It needs Linux and
// strace, and for power cuts and small disks root with loop devices.
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

// lease is how long the program's claim on an image outlives the program.
const lease = 30 * time.Second

func TestMain(m *testing.M) {
	status := m.Run()
	testrig.RemoveProgram()
	os.Exit(status)
}

// full reports whether to run the full number of rounds, which takes minutes.
func full() bool { return os.Getenv("ZAI_TEST_FULL") != "" }

// service is the API. It counts the requests by prompt.
type service struct {
	*testrig.Service
	program  string // path of the program
	mu       sync.Mutex
	accepted map[string]int
	hooks    map[string]func() // run before an image is made, by prompt
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{program: testrig.Program(t), accepted: map[string]int{}, hooks: map[string]func(){}}
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
				s.accepted[request.Prompt]++
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

// during runs a function while the image of a prompt is being made.
func (s *service) during(prompt string, hook func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks[prompt] = hook
}

func (s *service) of(prompt string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted[prompt]
}

// counts returns the largest number of requests of one prompt, and the number of
// all requests.
func (s *service) counts() (most, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.accepted {
		most, total = max(most, n), total+n
	}
	return most, total
}

// command runs the program on a folder, under strace when there are rules.
func (s *service) command(folder string, rules []string, args ...string) *exec.Cmd {
	args = append([]string{s.program}, args...)
	if len(rules) > 0 {
		args = append(append([]string{"strace", "-f", "-qq"}, rules...), args...)
	}
	c := exec.CommandContext(context.Background(), args[0], args[1:]...)
	c.Env = append(s.Env(), "HOME="+os.TempDir(), "PATH="+os.Getenv("PATH"), "ZAI_IMAGE_STORE="+folder, "ZAI_IMAGE_DAILY_BUDGET=0")
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
	l := resources.New(resources.Options{Folder: folder, Catalog: catalog, Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// rows returns all images of a folder that are not removed, by prompt.
func rows(t *testing.T, l *resources.Library) map[string]resources.Image {
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

// sound checks every byte of a folder.
func sound(t *testing.T, l *resources.Library) resources.Report {
	t.Helper()
	report, err := l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	return report
}

func temporary(t *testing.T, folder string) (list []string) {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(folder, "*", "*", "*", ".tmp-*"))
	require.NoError(t, err)
	return list
}
