package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"time"
)

const (
	// quietPolls is the number of polls without a change after which Watch polls
	// less often.
	quietPolls = 50
	// quietFactor is how much less often.
	quietFactor = 5
	// queryEvery is how many polls look only at the size and the time of the files,
	// plus one. That is cheap, but misses a commit that changes neither: the time is
	// coarse, or updated late.
	queryEvery = 10
)

// Watch implements resources.Journal. It polls the file, less often after it has not
// changed for a while. It also reports the changes of this process.
func (c *Catalog) Watch(ctx context.Context, changed func()) error {
	timer := time.NewTimer(c.watch)
	defer timer.Stop()
	var w watched
	defer w.close()
	for quiet := 1; ; quiet++ {
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
			quiet = 0
			changed()
		}
		pause := c.watch
		if quiet >= quietPolls {
			pause *= quietFactor
		}
		timer.Reset(pause)
	}
}

// watched is the file that Watch polls, on a connection of its own.
type watched struct {
	file    *handles // nil before the first poll
	db      *sql.DB
	query   *sql.Stmt
	version int64
	look    look
	polls   int
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
	w.polls++
	switch {
	case w.look == look{}:
		return false, nil // watching creates no file
	case w.look == before && w.polls%queryEvery != 0:
		return false, nil
	}
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
