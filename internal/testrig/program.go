package testrig

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// Main runs the tests of a package from its TestMain. It fails if goroutines
// are left that the options do not ignore, and deletes the program that Program
// built.
func Main(m *testing.M, options ...goleak.Option) {
	runMoreTestsAtOnce()
	goleak.VerifyTestMain(m, append(options, goleak.Cleanup(func(status int) {
		RemoveProgram()
		os.Exit(status)
	}))...)
}

// runMoreTestsAtOnce makes more tests run in parallel than there are processors, unless
// a flag says how many: the tests mostly wait for processes, timers and disks. With the
// race detector they mostly compute.
func runMoreTestsAtOnce() {
	const name, factor = "test.parallel", 4
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	if !set && !raceEnabled {
		_ = flag.Set(name, strconv.Itoa(factor*runtime.GOMAXPROCS(0))) // it is a valid number
	}
}

// Program returns the path of the program. The first call in a process builds
// it, with the race detector if the tests run with it.
func Program(t testing.TB) string {
	t.Helper()
	path, err := built.build()
	require.NoError(t, err)
	return path
}

// RemoveProgram deletes the program that Program built, for a TestMain that
// does not call Main.
func RemoveProgram() { built.remove() }

// Command returns a command that runs the program with PATH, an empty home
// folder and the given environment variables. The folder in ZAI_IMAGE_STORE, or
// the home folder, identifies its library (see PlaceOf). The process is killed at
// the end of the test.
func Command(t testing.TB, env []string, args ...string) *exec.Cmd {
	t.Helper()
	home := t.TempDir()
	c := exec.CommandContext(t.Context(), Program(t), args...)
	c.Env = append([]string{"HOME=" + home, "USERPROFILE=" + home, "PATH=" + os.Getenv("PATH")}, env...)
	if Remote() {
		dir := home
		for _, variable := range c.Env {
			if value, ok := strings.CutPrefix(variable, "ZAI_IMAGE_STORE="); ok {
				dir = value
			}
		}
		c.Env = append(c.Env, PlaceOf(t, dir).Env()...)
	}
	c.WaitDelay = 10 * time.Second
	return c
}

// program is a binary that is built when it is first needed.
type program struct {
	mu   sync.Mutex
	path string
	err  error
}

var built program // shared by all tests of the process

func (p *program) build() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.path != "" || p.err != nil {
		return p.path, p.err
	}
	dir, err := os.MkdirTemp("", "zai-image-mcp-test-")
	if err != nil {
		p.err = err
		return "", err
	}
	path := filepath.Join(dir, "zai-image-mcp")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	arguments := []string{"build", "-ldflags=-s -w", "-o", path}
	if raceEnabled {
		arguments = []string{"build", "-race", "-o", path}
	}
	out, err := exec.CommandContext(context.Background(), "go", append(arguments, "zai-image-mcp")...).CombinedOutput()
	if err != nil {
		_ = os.RemoveAll(dir)
		p.err = fmt.Errorf("go build: %w: %s", err, out)
		return "", p.err
	}
	p.path = path
	return path, nil
}

func (p *program) remove() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.path != "" {
		_ = os.RemoveAll(filepath.Dir(p.path))
		p.path = ""
	}
}
