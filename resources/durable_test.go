package resources_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The first save in a new library makes its system calls in this order: it flushes
// new folders before the row is reserved, flushes the file before renaming it, then
// flushes the folder, and writes the saved row last.
func TestSave_FlushOrder(t *testing.T) {
	t.Parallel()
	if folder := os.Getenv("ZAI_TEST_ONE_SAVE"); folder != "" {
		l := open(t, folder)
		require.NoError(t, l.Prepare(t.Context(), time.Now()))
		save(t, l, "x", []byte("hello"))
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("NOT TESTED: strace is not installed, so the order of flushes cannot be observed")
	}
	parent, trace := t.TempDir(), filepath.Join(t.TempDir(), "trace")
	folder := filepath.Join(parent, "new", "images")
	c := testProcess(t, "TestSave_FlushOrder", "ZAI_TEST_ONE_SAVE="+folder)
	c.Args = append([]string{strace, "-f", "-y", "-o", trace, "-e", "trace=openat,mkdir,mkdirat,fsync,fdatasync,renameat,renameat2,pwrite64", c.Path}, c.Args[1:]...)
	c.Path = strace
	out, err := c.CombinedOutput()
	if strings.Contains(string(out), "ptrace") && err != nil {
		t.Skip("NOT TESTED: strace does not work on this system")
	}
	require.NoError(t, err, string(out))
	raw, err := os.ReadFile(trace)
	require.NoError(t, err)

	const writesRow = `pwrite64\(\d+<[^>]*/\.catalog\.db-wal>`
	p, f := regexp.QuoteMeta(parent), regexp.QuoteMeta(folder)
	at := map[string]int{}
	calls := joinCalls(string(raw))
	rest, offset := calls, 0
	for _, step := range []struct{ name, call string }{
		{"the folder is created", `mkdir(at)?\(.*"` + f + `"`},
		{"its parent is flushed", `fsync\(\d+</?` + p + `/new>\)`},
		{"the parent's parent is flushed", `fsync\(\d+<` + p + `>\)`},
		{"the row is reserved", writesRow},
		{"a temporary file is created", `openat\(.*"\.tmp-[^"]+\.png", .*O_CREAT`},
		{"it is flushed", `fsync\(\d+<[^>]*/\.tmp-[^>]+\.png>\)`},
		{"it is renamed", `renameat2?\(.*"\.tmp-[^"]+\.png"`},
		{"its folder is flushed", `fsync\(\d+<` + f + `/\d+/\d+/\d+>\)`},
		{"the row is saved", writesRow},
		{"and flushed", `f(data)?sync\(\d+<[^>]*/\.catalog\.db-wal>`},
	} {
		found := regexp.MustCompile(step.call).FindStringIndex(rest)
		require.NotNil(t, found, "%s\n%s", step.name, calls)
		at[step.name] = offset + found[0]
		rest, offset = rest[found[1]:], offset+found[1]
	}
	beforeFlush := calls[at["it is renamed"]:at["its folder is flushed"]]
	assert.NotRegexp(t, writesRow, beforeFlush, "the row is not written before the folder is flushed")
	beforeRename := calls[at["a temporary file is created"]:at["it is flushed"]]
	assert.NotRegexp(t, `renameat2?\(.*"\.tmp-`, beforeRename, "the file is not renamed before it is flushed")
}

// joinCalls joins the two lines that strace writes for a call during which it
// reports a call of another thread.
func joinCalls(trace string) string {
	const unfinished = " <unfinished ...>"
	resumed := regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>`)
	begun := map[string]string{} // by thread
	var calls []string
	for line := range strings.Lines(trace) {
		line = strings.TrimSuffix(line, "\n")
		thread, _, _ := strings.Cut(line, " ")
		if call, ok := strings.CutSuffix(line, unfinished); ok {
			begun[thread] = call
			continue
		}
		if end := resumed.FindString(line); end != "" {
			line = begun[thread] + strings.TrimPrefix(line, end)
		}
		calls = append(calls, line)
	}
	return strings.Join(calls, "\n")
}
