package durability

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// outcome is the result of a run on a failing disk.
type outcome struct {
	name, prompt    string
	folder, catalog string
	injected        string // lines of the trace with injected errors
	stdout, stderr  string

	acked     bool // the program reported the image as saved
	requested bool // the service got the request
	unflushed bool // flushing the image or its folder failed
}

// failing runs the program with an error injected into the n-th system call of one
// kind. strace counts the calls of each thread, so several may fail in one run.
func (s *service) failing(t *testing.T, call, failure string, n int) outcome {
	t.Helper()
	dir := t.TempDir()
	// SQLite flushes the folder of the catalog and ignores errors of that, so the
	// images are in another folder.
	o := outcome{name: fmt.Sprint(call, " ", failure, " ", n), folder: filepath.Join(dir, "images"), catalog: filepath.Join(dir, "catalog", "catalog.db")}
	o.prompt = "disk: " + o.name
	trace := filepath.Join(t.TempDir(), "trace")
	c := s.command(t, o.folder, []string{"-y", "-o", trace, "-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", call, failure, n)},
		"generate", "--catalog", o.catalog, "--size", "512x512", o.prompt)
	var out, messages bytes.Buffer
	c.Stdout, c.Stderr = &out, &messages
	err := c.Run()
	o.stdout, o.stderr = out.String(), messages.String()
	o.acked = err == nil && strings.Contains(o.stdout, "zai-image://")
	o.requested = s.requestsFor(o.prompt) > 0
	lines, err := os.ReadFile(trace)
	require.NoError(t, err)
	for line := range strings.Lines(string(lines)) {
		if strings.Contains(line, "(INJECTED)") {
			o.injected += line
		}
	}
	o.unflushed = regexp.MustCompile(`fsync\(\d+<` + regexp.QuoteMeta(o.folder) + `(/\d+)*(/\.tmp-[^>]*)?>`).MatchString(o.injected)
	return o
}

// In each run one open, write, fsync, rename or similar call fails, with one of the
// errors that disks cause. Only saved images are reported as saved, and every paid
// image stays in the catalog.
func TestFailingDisk(t *testing.T) {
	t.Parallel()
	testrig.NeedLocal(t, "it is about the disk")
	needStrace(t)
	s := newService(t)
	failures := []string{"EIO", "ENOSPC", "EROFS"}
	var mu sync.Mutex
	var all []outcome
	var runs sync.WaitGroup
	slots := make(chan struct{}, 2)
	for i, call := range []string{"openat", "pwrite64", "write", "fsync", "fdatasync", "renameat", "renameat2", "mkdirat", "ftruncate"} {
		for j, failure := range failures {
			runs.Go(func() {
				for n := 1; ; n++ {
					if !full() && (n+i)%len(failures) != j {
						if n > 60 {
							return
						}
						continue // by default, each call fails with only one of the errors
					}
					slots <- struct{}{}
					o := s.failing(t, call, failure, n)
					<-slots
					if o.injected == "" {
						return
					}
					mu.Lock()
					all = append(all, o)
					mu.Unlock()
				}
			})
		}
	}
	runs.Wait()
	time.Sleep(lease + time.Second)
	var acked, requested, unsent, recovered int
	for _, o := range all {
		l := openAt(t, o.folder, o.catalog)
		before := resources.Image{}
		if l.Exists() {
			before = imagesByPrompt(t, l)[o.prompt]
		}
		assert.LessOrEqual(t, s.requestsFor(o.prompt), 1, o.name)
		switch {
		case o.acked:
			acked++
			assert.Equal(t, resources.Saved, before.State, o.name)
			_, err := l.Read(t.Context(), before)
			require.NoError(t, err, o.name)
			assert.False(t, o.unflushed, "%s: an acknowledged image is flushed\n%s", o.name, o.injected)
		case o.requested:
			requested++
			known := before.State == resources.Saved || before.UpstreamURL != "" || strings.Contains(o.stderr, "/files/")
			assert.True(t, known || before.State == resources.Unknown, "%s: state %q, stderr:\n%s", o.name, before.State, o.stderr)
			if !strings.HasPrefix(o.name, "write") && !strings.HasPrefix(o.name, "openat") && before.State != resources.Saved {
				assert.Contains(t, o.stderr, "(kind: storage)", o.name)
			}
		default:
			unsent++
		}
		if !l.Exists() {
			continue
		}
		_ = s.command(t, o.folder, nil, "images", "repair", "--catalog", o.catalog).Run()
		after := imagesByPrompt(t, l)[o.prompt]
		if before.UpstreamURL != "" {
			recovered++
			assert.Equal(t, resources.Saved, after.State, o.name)
		}
		for _, p := range check(t, l).Problems {
			assert.Equal(t, resources.Orphan, p.Kind, "%s: %+v", o.name, p) // the file was written, the catalog was not: reindex adds it
		}
	}
	t.Logf("%d runs with a failure: %d saved the image, %d failed before the request, %d after it; %d recovered from a recorded link", len(all), acked, unsent, requested, recovered)
	assert.Greater(t, requested, 5)
}

// A call with a full or read-only file system costs nothing. If the file system
// becomes full or read-only after an image was paid for, the link is recorded, and
// images repair downloads the image.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	testrig.NeedLocal(t, "it is about the disk")
	s := newService(t)
	for name, broken := range map[string]string{"full": "size=40k", "read-only": "ro"} {
		for _, when := range []string{"before", "after payment"} {
			t.Run(name+" "+when, func(t *testing.T) {
				folder, catalog := t.TempDir(), filepath.Join(t.TempDir(), "catalog.db")
				mount(t, "-t", "tmpfs", "-o", "size=80m", "tmpfs", folder)
				remount := func(option string) {
					out, err := exec.Command("mount", "-o", "remount,"+option, folder).CombinedOutput()
					assert.NoError(t, err, string(out))
				}
				run := func(args ...string) (string, error) {
					c := s.command(t, folder, nil, args...)
					c.Env = append(c.Env, "ZAI_IMAGE_CATALOG="+catalog)
					out, err := c.CombinedOutput()
					return string(out), err
				}
				prompt := "a large image on a disk that is " + name + " " + when
				if when == "before" {
					remount(broken)
				} else {
					s.beforeImage(prompt, func() { remount(broken) })
				}
				out, err := run("generate", "--size", "2048x1024", prompt)
				require.Error(t, err)
				assert.Contains(t, out, "(kind: storage)")
				assert.Contains(t, out, folder, "the error names the folder")
				if when == "before" {
					assert.Zero(t, s.requestsFor(prompt), "nothing was requested")
					remount("rw,size=80m")
					out, err = run("generate", "--size", "2048x1024", prompt)
					require.NoError(t, err, out)
					return
				}
				assert.Contains(t, out, "/files/", "the error has the link")
				assert.Equal(t, 1, s.requestsFor(prompt))
				remount("rw,size=80m")
				out, err = run("images", "repair")
				require.NoError(t, err, out)
				assert.Contains(t, out, "fetched ")
				out, err = run("images", "check", "--read-data")
				require.NoError(t, err, out)
				assert.Equal(t, 1, s.requestsFor(prompt))
			})
		}
	}
}

// mount mounts a file system until the end of the test. It skips the test if that
// is not possible.
func mount(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: nothing can be mounted here: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", args[len(args)-1]).Run() })
}
