package resources

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// liveness proves to other processes of this machine that a process lives: it
// holds a lock on a file that bears its name, which the operating system
// releases when the process ends, however it ends. Leases remain the fallback
// for processes without such a file.
type liveness struct {
	dir string // of the lock files; "" where locks cannot be trusted

	mu         sync.Mutex
	held       map[string]*flock.Flock
	lastLeases map[string]observation // processes that hold their lock and let leases expire
	maxTries   int                    // to lock a new file; others may be looking at it
	swept      bool
}

// observation is the newest lease of a process and since when it did not change.
type observation struct {
	leaseUntil int64
	since      time.Time
}

// processName is the form of names that can be a file's.
var processName = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

func newLiveness(dir string) *liveness {
	return &liveness{dir: dir, held: map[string]*flock.Flock{}, lastLeases: map[string]observation{}, maxTries: 100}
}

func (l *liveness) path(process string) string { return filepath.Join(l.dir, process+".lock") }

// hold takes the lock of a process of this program and keeps it until release.
func (l *liveness) hold(process string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir == "" || l.held[process] != nil || !processName.MatchString(process) {
		return nil
	}
	if err := os.MkdirAll(l.dir, dirMode); err != nil {
		return withoutPath(err)
	}
	for range l.maxTries {
		lock := flock.New(l.path(process), flock.SetPermissions(0o600))
		locked, err := lock.TryLock()
		switch {
		case err != nil:
			return withoutPath(err)
		case locked && l.isCurrent(lock):
			l.held[process] = lock
			l.sweep(now)
			return nil
		}
		_ = lock.Close() // it was looked at, or removed, by another process
	}
	return errors.New("the lock file is in use")
}

// staleLockAge is the age at which the lock file of a dead process is of no use:
// its leases ran out long ago.
const staleLockAge = 24 * time.Hour

// sweep removes, once, old lock files of processes that died. A process that
// was killed without open rows is never probed and leaves its file behind.
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
			_ = remove(lock) // the next process tries again
			continue
		}
		_ = lock.Close()
	}
}

// isCurrent reports whether a locked file still is the one at its path.
func (l *liveness) isCurrent(lock *flock.Flock) bool {
	info, err := lock.Stat()
	if err != nil {
		return false
	}
	current, err := os.Stat(lock.Path())
	return err == nil && os.SameFile(info, current)
}

// disable makes every other process unknown: where locks of another machine
// are not seen, a file that can be locked proves nothing.
func (l *liveness) disable() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dir = ""
}

// processState is what is known of another process.
type processState int

const (
	stateUnknown processState = iota // another machine, or a version without lock files
	stateAlive
	stateDead
)

// probe tells whether a process lives. Of a dead one the caller holds the lock
// until it calls done, which removes the file.
func (l *liveness) probe(process string) (state processState, done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[process] != nil {
		return stateAlive, nil
	}
	if l.dir == "" || !processName.MatchString(process) {
		return stateUnknown, nil
	}
	lock := flock.New(l.path(process), flock.SetFlag(os.O_RDWR))
	locked, err := lock.TryLock()
	switch {
	case err != nil: // there is no such file
		return stateUnknown, nil
	case !locked:
		_ = lock.Close()
		return stateAlive, nil
	}
	return stateDead, func() { _ = remove(lock) } // at worst the file is found again
}

// stalled reports whether a process that holds its lock has not renewed its
// leases for so long, by this process's own clock, that others may take over:
// it may be stopped or hung. The wall clock is not asked, which may have been
// set forward.
func (l *liveness) stalled(process string, leaseUntil int64, now time.Time, lease time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, ok := l.lastLeases[process]
	if !ok || last.leaseUntil != leaseUntil {
		l.lastLeases[process] = observation{leaseUntil, now}
		return false
	}
	return now.Sub(last.since) >= lease
}

// release gives up the locks of this program.
func (l *liveness) release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []error
	for process, lock := range l.held {
		all = append(all, remove(lock))
		delete(l.held, process)
	}
	clear(l.lastLeases)
	return errors.Join(all...)
}

// remove deletes a lock file and gives up its lock.
func remove(lock *flock.Flock) error {
	early := os.Remove(lock.Path())
	err := lock.Close()
	if early != nil { // Windows deletes no open file
		_ = os.Remove(lock.Path()) // the folder may be gone
	}
	return err
}
