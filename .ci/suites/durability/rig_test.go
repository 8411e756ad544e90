// Package durability kills the real program, takes its disk away and cuts its
// power, and then looks whether anything that was paid for is lost. It needs
// Linux, strace and, for power cuts and small disks, root with loop devices.
package durability

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
	"zai-image-mcp/zai/sandbox"
)

// lease is how long the program's claim on a row lives after it.
const lease = 30 * time.Second

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "durability")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "zai-image-mcp")
	if out, err := exec.Command("go", "build", "-o", binary, "zai-image-mcp").CombinedOutput(); err != nil {
		panic(string(out))
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// full reports whether the counts are those of the promises, which take
// minutes.
func full() bool { return os.Getenv("ZAI_TEST_FULL") != "" }

// service is the API, which counts what it took by prompt.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	accepted map[string]int
	hooks    map[string]func() // run before an image is made, by prompt
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{accepted: map[string]int{}, hooks: map[string]func(){}}
	api := sandbox.New(sandbox.Options{MaxConcurrent: sandbox.Unlimited})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
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

// dearest is the most often that one prompt was taken, and how many were.
func (s *service) dearest() (most, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.accepted {
		most, total = max(most, n), total+n
	}
	return most, total
}

// command runs the program on a folder, under strace when there are rules.
func (s *service) command(folder string, rules []string, args ...string) *exec.Cmd {
	args = append([]string{binary}, args...)
	if len(rules) > 0 {
		args = append(append([]string{"strace", "-f", "-qq"}, rules...), args...)
	}
	c := exec.CommandContext(context.Background(), args[0], args[1:]...)
	c.Env = []string{
		"HOME=" + os.TempDir(), "PATH=" + os.Getenv("PATH"), "ZAI_API_KEY=a-key-for-tests", "ZAI_BASE_URL=" + s.URL + sandbox.BasePath,
		"ZAI_IMAGE_STORE=" + folder, "ZAI_IMAGE_DAILY_BUDGET=0",
	}
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

// rows are all rows of a folder that are not removed, by prompt.
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

// sound reads every byte of a folder.
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
