package sqlite_test

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// leaseOf returns a lease of a process.
func leaseOf(process string, d time.Duration) resources.Lease {
	return resources.Lease{Process: process, For: d}
}

// The images of a killed process can be claimed at once, although its lease is valid
// for another hour.
func TestClaim_ProcessKilled(t *testing.T) {
	t.Parallel()
	if folder := os.Getenv("ZAI_TEST_KILLED"); folder != "" {
		reserveFor(t, newCatalog(folder), leaseOf("killed", time.Hour), resources.Image{})
		_, _ = os.Stdout.WriteString("reserved\n")
		time.Sleep(time.Hour) // until it is killed; select {} would be a deadlock without cgo
	}
	folder := t.TempDir()
	c := testProcess(t, "TestClaim_ProcessKilled", "ZAI_TEST_KILLED="+folder)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "reserved\n", line)

	other := open(t, folder)
	assert.Empty(t, claim(t, other, "other", true), "the process is alive")
	require.NoError(t, c.Process.Kill())
	_ = c.Wait() // killed
	require.Len(t, claim(t, other, "other", false), 1)
	left, err := filepath.Glob(filepath.Join(folder, ".processes", "killed*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// Only a process whose name is safe as a file name has a lock file.
func TestReserve_ProcessName(t *testing.T) {
	t.Parallel()
	for process, want := range map[string]bool{
		"host-12-Ab": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "": false, "../outside": false, "a/b": false, "ä": false, "a.b": false,
	} {
		folder := t.TempDir()
		c := open(t, folder)
		reserveFor(t, c, leaseOf(process, time.Hour), resources.Image{})
		locks, err := filepath.Glob(filepath.Join(folder, "*", "*.lock"))
		require.NoError(t, err)
		assert.Equal(t, want, len(locks) == 1, "%q: %v", process, locks)
		outside, err := filepath.Glob(filepath.Join(folder, "*.lock"))
		require.NoError(t, err)
		assert.Empty(t, outside)
	}
}

// Setting a clock forward does not make the images of a live process claimable. They
// become claimable if the process does not renew its leases for the duration of a
// lease.
func TestClaim_ClockSetForward(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	alive := open(t, folder)
	i := reserveFor(t, alive, leaseOf("alive", 30*time.Second), resources.Image{})
	now := time.Now().Add(2 * time.Minute)
	other := open(t, folder, at(&now))
	claim := func() int { return len(claim(t, other, "other", false)) }
	assert.Zero(t, claim())
	now = now.Add(20 * time.Second)
	require.NoError(t, alive.Renew(t.Context(), leaseOf("alive", 40*time.Second), []string{i.ID}, nil))
	assert.Zero(t, claim(), "the process renewed its lease by its own clock")
	now = now.Add(20 * time.Second)
	assert.Zero(t, claim())
	now = now.Add(20 * time.Second)
	assert.Equal(t, 1, claim(), "the process did not renew its lease for the duration of a lease")
}

// For a process without a lock file, such as one on another machine, only its leases
// count.
func TestClaim_UnknownProcess(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	reserveFor(t, open(t, folder), leaseOf("elsewhere", time.Minute), resources.Image{})
	require.NoError(t, os.RemoveAll(filepath.Join(folder, ".processes")))
	now := time.Now()
	other := open(t, folder, at(&now))
	for _, tt := range []struct {
		at   time.Duration
		want int
	}{{0, 0}, {2 * time.Minute, 1}} {
		now = time.Now().Add(tt.at)
		assert.Len(t, claim(t, other, "other", false), tt.want)
	}
}

// Old lock files of processes that were killed without open images are removed. New
// lock files and those of live processes are kept.
func TestLiveness_StaleLockFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	processes := filepath.Join(folder, ".processes")
	reserveFor(t, open(t, folder), leaseOf("alive", time.Hour), resources.Image{})
	for name, age := range map[string]time.Duration{"killed": 25 * time.Hour, "young": time.Hour, "alive": 48 * time.Hour} {
		path := filepath.Join(processes, name+".lock")
		if name != "alive" {
			require.NoError(t, os.WriteFile(path, nil, 0o600))
		}
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-age)))
	}
	reserveFor(t, open(t, folder), leaseOf("new", time.Hour), resources.Image{})
	left, err := filepath.Glob(filepath.Join(processes, "*"))
	require.NoError(t, err)
	for n := range left {
		left[n] = filepath.Base(left[n])
	}
	assert.Equal(t, []string{"alive.lock", "new.lock", "young.lock"}, left)
}

// Close removes the lock file of the process.
func TestClose_LockFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	c := newCatalog(folder)
	reserveFor(t, c, leaseOf("one", time.Hour), resources.Image{})
	held, err := filepath.Glob(filepath.Join(folder, ".processes", "*"))
	require.NoError(t, err)
	assert.Len(t, held, 1)
	require.NoError(t, c.Close())
	left, err := filepath.Glob(filepath.Join(folder, ".processes", "*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}
