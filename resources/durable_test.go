package resources_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a save asks of the system, and in which order: the file is flushed
// before it gets its name, its folder after that, and the row comes last.
func TestSaveIsFlushedInOrder(t *testing.T) {
	if folder := os.Getenv("ZAI_TEST_ONE_SAVE"); folder != "" {
		save(t, open(t, folder), "x", []byte("hello"))
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("NOT TESTED: strace is not installed, so the order of flushing was not looked at")
	}
	folder, trace := t.TempDir(), filepath.Join(t.TempDir(), "trace")
	c := testProcess(t, "TestSaveIsFlushedInOrder", "ZAI_TEST_ONE_SAVE="+folder)
	c.Args = append([]string{strace, "-f", "-o", trace, "-e", "trace=openat,fsync,fdatasync,renameat,renameat2,pwrite64"}, append([]string{c.Path}, c.Args[1:]...)...)
	c.Path = strace
	out, err := c.CombinedOutput()
	if strings.Contains(string(out), "ptrace") && err != nil {
		t.Skip("NOT TESTED: this system does not let strace work")
	}
	require.NoError(t, err, string(out))
	raw, err := os.ReadFile(trace)
	require.NoError(t, err)
	// The number of the call's file, so that each step is told from the others.
	opened := regexp.MustCompile(`openat\(\d+, "(\.tmp-[^"]+\.png)", .*\) = (\d+)`).FindStringSubmatchIndex(string(raw))
	require.NotNil(t, opened, "a temporary file")
	rest := string(raw)[opened[1]:]
	file := string(raw)[opened[4]:opened[5]]
	flushed := regexp.MustCompile(`fsync\(` + file + `\)`).FindStringIndex(rest)
	renamed := regexp.MustCompile(`renameat2?\(\d+, "\.tmp-`).FindStringIndex(rest)
	require.NotNil(t, flushed, "the file is flushed")
	require.NotNil(t, renamed, "and renamed")
	assert.Less(t, flushed[0], renamed[0])
	after := rest[renamed[1]:]
	folderFlushed := regexp.MustCompile(`fsync\(\d+\)`).FindStringIndex(after)
	row := regexp.MustCompile(`pwrite64\(\d+`).FindStringIndex(after)
	require.NotNil(t, folderFlushed, "the folder is flushed")
	require.NotNil(t, row, "the row is written")
	assert.Less(t, folderFlushed[0], row[0])
	assert.Regexp(t, `f(data)?sync\(\d+\)`, after[row[1]:], "and flushed too")
}
