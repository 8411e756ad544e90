package postgres

import (
	"context"
	"slices"
	"sync"
)

// localLocks are locks between the transactions of this process. A transaction takes
// them before it gets a connection, so that transactions that wait for each other
// occupy one connection and not the whole pool.
type localLocks struct {
	mu    sync.Mutex
	locks map[string]*localLock // those in use
}

type localLock struct {
	held  chan struct{} // contains a value while the lock is held
	users int           // that hold it or wait for it
}

// lock takes locks, and fails with the error of ctx if that ends first. Waiting
// transactions get a lock in the order in which they asked for it.
func (l *localLocks) lock(ctx context.Context, names []string) (unlock func(), err error) {
	names = slices.Compact(slices.Sorted(slices.Values(names))) // every transaction takes them in this order
	for n, name := range names {
		select {
		case l.use(name).held <- struct{}{}:
		case <-ctx.Done():
			l.leave(name)
			l.unlock(names[:n])
			return nil, ctx.Err()
		}
	}
	return func() { l.unlock(names) }, nil
}

func (l *localLocks) unlock(names []string) {
	for _, name := range names {
		<-l.leave(name).held
	}
}

// use returns a lock, and keeps it until leave.
func (l *localLocks) use(name string) *localLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.locks == nil {
		l.locks = map[string]*localLock{}
	}
	if l.locks[name] == nil {
		l.locks[name] = &localLock{held: make(chan struct{}, 1)}
	}
	l.locks[name].users++
	return l.locks[name]
}

func (l *localLocks) leave(name string) *localLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	used := l.locks[name]
	if used.users--; used.users == 0 {
		delete(l.locks, name)
	}
	return used
}
