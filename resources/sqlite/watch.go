package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"time"
)

const (
	// Watch waits for a fiftieth of the time since the last change, but at most 25
	// times as long as at first. Work in progress keeps it fast, because leases are
	// renewed every few seconds.
	quietFraction, maxPauses = 50, 25
	// queryAfter is how long polls look only at the sizes and the times of the files.
	// That is cheap, but misses a commit that changes neither: some file systems
	// update the time late.
	queryAfter = 2 * time.Second
)

// Watch implements resources.Journal. It polls the file, less often if it has not
// changed for a while. It also reports the changes of this process.
func (c *Catalog) Watch(ctx context.Context, changed func()) error {
	timer := time.NewTimer(c.watch)
	defer timer.Stop()
	var w watched
	defer w.close()
	for last := time.Now(); ; {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		found, err := c.poll(ctx, &w)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return c.storageError("watching the catalog", err)
		}
		if found {
			last = time.Now()
			changed()
		}
		timer.Reset(min(max(time.Since(last)/quietFraction, c.watch), maxPauses*c.watch))
	}
}

// watched is the file that Watch polls, on a connection of its own.
type watched struct {
	file    *handles // nil before the first poll
	db      *sql.DB
	query   *sql.Stmt
	version int64
	look    look
	queried time.Time
}

// look is what a poll sees of the file and its journal without opening them.
type look struct {
	size, journalSize int64
	time, journalTime time.Time
}

func (c *Catalog) lookAt() (l look) {
	if info, err := os.Stat(c.path); err == nil {
		l.size, l.time = info.Size(), info.ModTime()
	}
	if info, err := os.Stat(c.path + "-wal"); err == nil {
		l.journalSize, l.journalTime = info.Size(), info.ModTime()
	}
	return l
}

// poll reports whether the file may have changed since the last poll. It reads the
// version of the file's data, which every commit of another connection changes.
func (c *Catalog) poll(ctx context.Context, w *watched) (found bool, err error) {
	before := w.look
	w.look = c.lookAt()
	switch {
	case w.look == look{}:
		return false, nil // watching creates no file
	case w.look == before && time.Since(w.queried) < queryAfter:
		return false, nil
	}
	w.queried = time.Now()
	current, err := c.open(ctx)
	if err != nil {
		return false, err
	}
	if current != w.file { // the first time, and after the file was replaced
		w.close()
		if w.db, err = c.connect(current.readOnly, 1); err != nil {
			return false, err
		}
		if w.query, err = w.db.PrepareContext(ctx, `PRAGMA data_version`); err != nil {
			return false, errors.Join(err, w.db.Close())
		}
		w.file, w.version = current, -1
	}
	version := w.version
	// For a context that can be cancelled, the driver would start a goroutine.
	if err := w.query.QueryRowContext(context.WithoutCancel(ctx)).Scan(&version); err != nil {
		return false, err
	}
	found = version != w.version
	w.version = version
	return found, nil
}

func (w *watched) close() {
	if w.file != nil {
		_, _ = w.query.Close(), w.db.Close() // they only read
	}
	w.file, w.query, w.db = nil, nil, nil
}
