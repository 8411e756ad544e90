package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"zai-image-mcp/resources"
)

// liveness detects whether other processes on this machine are alive. Each process
// holds a lock on a file with its name, which the operating system releases however
// the process ends. For processes without such a file, only their leases count.
type liveness struct {
	dir string // of the lock files; "" where locks are not reliable

	mu       sync.Mutex
	held     map[string]*flock.Flock
	observed map[string]observation // of live processes
	maxTries int                    // to lock a new file, which another process may be probing
	swept    bool
}

// observation is the end of a process's last lease and the time at which it was
// first seen.
type observation struct {
	leaseUntil int64 // Unix milliseconds
	since      time.Time
}

// isFileName reports whether the name of a process is safe as a file name.
func isFileName(process string) bool {
	const most = 64 // bytes
	unsafe := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-'
	}
	return process != "" && len(process) <= most && !strings.ContainsFunc(process, unsafe)
}

func newLiveness(dir string) *liveness {
	return &liveness{dir: dir, held: map[string]*flock.Flock{}, observed: map[string]observation{}, maxTries: 100}
}

func (l *liveness) path(process string) string { return filepath.Join(l.dir, process+".lock") }

// hold takes the lock of this process under the given name and keeps it until
// release.
func (l *liveness) hold(process string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir == "" || l.held[process] != nil || !isFileName(process) {
		return nil
	}
	//nolint:gosec // other users of the library look for the lock files here
	if err := os.Mkdir(l.dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return resources.WithoutPath(err)
	}
	for range l.maxTries {
		lock := flock.New(l.path(process), flock.SetPermissions(0o600))
		locked, err := lock.TryLock()
		switch {
		case err != nil:
			return resources.WithoutPath(err)
		case locked && l.isCurrent(lock):
			l.held[process] = lock
			l.sweep(now)
			return nil
		}
		_ = lock.Close() // another process is probing the file, or has removed it
	}
	return errors.New("the lock file is in use")
}

// staleLockAge is the age at which the lock file of a dead process is no longer
// needed, because its leases have expired.
const staleLockAge = 24 * time.Hour

// sweep removes old lock files of dead processes, once per liveness. A process that
// was killed without open rows is never probed, so its file would remain.
func (l *liveness) sweep(now time.Time) {
	if l.swept {
		return
	}
	l.swept = true
	names, err := filepath.Glob(l.path("*"))
	if err != nil {
		return
	}
	for _, name := range names {
		if info, err := os.Lstat(name); err != nil || now.Sub(info.ModTime()) < staleLockAge {
			continue
		}
		lock := flock.New(name, flock.SetFlag(os.O_RDWR))
		if locked, err := lock.TryLock(); err == nil && locked {
			_ = removeLock(lock) // if it fails, another process will remove it
			continue
		}
		_ = lock.Close()
	}
}

// isCurrent reports whether a locked file is still the one at its path.
func (l *liveness) isCurrent(lock *flock.Flock) bool {
	info, err := lock.Stat()
	if err != nil {
		return false
	}
	current, err := os.Stat(lock.Path())
	return err == nil && os.SameFile(info, current)
}

// disable makes the state of every other process unknown. Use it where locks of
// other machines are not visible, so that a free lock proves nothing.
func (l *liveness) disable() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dir = ""
}

// processState is the result of probing another process.
type processState int

const (
	stateUnknown processState = iota // on another machine, or of a version without lock files
	stateAlive
	stateDead
)

// probe returns the state of a process. For a dead process it holds the
// process's lock until the caller calls done, which removes the file.
func (l *liveness) probe(process string) (state processState, done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[process] != nil {
		return stateAlive, nil
	}
	if l.dir == "" || !isFileName(process) {
		return stateUnknown, nil
	}
	lock := flock.New(l.path(process), flock.SetFlag(os.O_RDWR))
	locked, err := lock.TryLock()
	switch {
	case err != nil: // the file does not exist or cannot be opened
		return stateUnknown, nil
	case !locked:
		_ = lock.Close()
		return stateAlive, nil
	}
	return stateDead, func() { _ = removeLock(lock) } // if it fails, the file is probed again
}

// stalled reports whether a process that holds its lock may be stopped or hung:
// the end of its last lease, leaseUntil, has not changed for the duration of a
// lease. This process's monotonic clock measures the duration, because the wall
// clock may have been set forward.
func (l *liveness) stalled(process string, leaseUntil int64, now time.Time, lease time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, ok := l.observed[process]
	if !ok || last.leaseUntil != leaseUntil {
		l.observed[process] = observation{leaseUntil, now}
		return false
	}
	return now.Sub(last.since) >= lease
}

// release releases all held locks.
func (l *liveness) release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []error
	for process, lock := range l.held {
		all = append(all, removeLock(lock))
		delete(l.held, process)
	}
	clear(l.observed)
	return errors.Join(all...)
}

// removeLock deletes a lock file and releases its lock.
func removeLock(lock *flock.Flock) error {
	removeErr := os.Remove(lock.Path())
	err := lock.Close()
	if removeErr != nil { // Windows cannot delete an open file
		_ = os.Remove(lock.Path()) // the folder may be gone
	}
	return err
}
