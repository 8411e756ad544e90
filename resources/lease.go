package resources

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"time"
)

const (
	// openRows selects the rows that somebody may still work on. It is the
	// condition of the index images_open, word for word.
	openRows = `(state IN ('queued', 'submitted', 'answered') OR state='unknown' AND task_id<>'')`
	// recoverableRows are the open rows that may still become an image.
	recoverableRows = openRows + ` AND NOT (state='answered' AND upstream_url='' AND failure<>'')`
)

// Claim gives the process of the lease rows that nobody works on any more,
// oldest first, at most limit of them. Rows that wait for the time of their
// next attempt are left out unless early is set. A sandbox server claims only
// rows of the sandbox, and others none of them.
func (l *Library) Claim(ctx context.Context, lease Lease, limit int, early bool) ([]Image, error) {
	db, err := l.catalog.open(ctx)
	if err != nil {
		return nil, err
	}
	alive, err := l.livingProcesses(ctx, lease)
	if err != nil {
		return nil, l.catalog.storageError("claiming rows", err)
	}
	due := recoverableRows + ` AND sandbox=? AND lease_until_ms<? AND lease_owner NOT IN (SELECT value FROM json_each(?))`
	if early {
		due = recoverableRows + ` AND sandbox=? AND (lease_until_ms<? OR lease_owner='') AND lease_owner NOT IN (SELECT value FROM json_each(?))`
	}
	now := l.now().UnixMilli()
	// Looking first, without the write lock: nearly always nothing is due. The
	// plus keeps SQLite from walking the primary key for the order.
	ids, err := scanColumn[string](db.lookup.QueryContext(ctx, `SELECT id FROM images WHERE `+due+` ORDER BY +id LIMIT ?`, lease.Sandbox, now, alive, limit))
	if err != nil || len(ids) == 0 {
		return nil, l.catalog.storageError("claiming rows", err)
	}
	list, err := l.claim(ctx, `id IN (SELECT value FROM json_each(?)) AND `+due, lease, toJSON(ids, false), lease.Sandbox, now, alive)
	return list, l.catalog.storageError("claiming rows", err)
}

// ClaimOne gives one row to the process of the lease if no other process
// works on it. ok is false if there is nothing to claim.
func (l *Library) ClaimOne(ctx context.Context, id string, lease Lease) (i Image, ok bool, err error) {
	alive, err := l.livingProcesses(ctx, lease)
	if err != nil {
		return Image{}, false, l.catalog.storageError("claiming row "+id, err)
	}
	list, err := l.claim(ctx, `id=? AND sandbox=? AND (lease_until_ms<? OR lease_owner='' OR lease_owner=?) AND
		lease_owner NOT IN (SELECT value FROM json_each(?)) AND `+recoverableRows,
		lease, id, lease.Sandbox, l.now().UnixMilli(), lease.Process, alive)
	if err != nil || len(list) == 0 {
		return Image{}, false, l.catalog.storageError("claiming row "+id, err)
	}
	return list[0], true, nil
}

// claim gives rows to a process. To everybody they are being made from then on.
func (l *Library) claim(ctx context.Context, where string, lease Lease, arguments ...any) ([]Image, error) {
	write, err := l.catalog.writer(ctx)
	if err != nil {
		return nil, err
	}
	l.holdLock(ctx, lease.Process)
	//nolint:gosec // the parts are constants
	rows, err := write.QueryContext(ctx, `UPDATE images SET lease_owner=?, lease_until_ms=?, failure='',
		state=CASE state WHEN 'unknown' THEN 'submitted' ELSE state END WHERE `+where+` RETURNING `+imageColumns,
		append([]any{lease.Process, lease.Until.UnixMilli()}, arguments...)...)
	if err != nil {
		return nil, err
	}
	return scanImages(rows)
}

// livingProcesses returns, as a JSON list, the other processes that work on
// rows and holdLock that they live. Rows of processes that are proved dead are
// free afterwards, whatever their leases say.
func (l *Library) livingProcesses(ctx context.Context, lease Lease) (alive string, err error) {
	db, err := l.catalog.open(ctx)
	if err != nil {
		return "", err
	}
	now := l.now()
	rows, err := db.lookup.QueryContext(ctx, `SELECT lease_owner, MAX(lease_until_ms) FROM images WHERE `+openRows+
		` AND lease_owner NOT IN ('', ?) GROUP BY lease_owner`, lease.Process)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	until := map[string]int64{}
	for rows.Next() {
		var process string
		var lastLease int64
		if err := rows.Scan(&process, &lastLease); err != nil {
			return "", err
		}
		until[process] = lastLease
	}
	if err := rows.Err(); err != nil {
		return "", err
	}
	list := []string{}
	for process, lastLease := range until {
		switch state, done := l.catalog.liveness.probe(process); state {
		case stateDead:
			err := l.releaseLeases(ctx, process)
			done()
			if err != nil {
				return "", err
			}
		case stateAlive:
			if !l.catalog.liveness.stalled(process, lastLease, now, lease.Until.Sub(now)) {
				list = append(list, process)
			}
		case stateUnknown:
		}
	}
	return toJSON(list, false), nil
}

// releaseLeases ends the leases of a dead process.
func (l *Library) releaseLeases(ctx context.Context, process string) error {
	write, err := l.catalog.writer(ctx)
	if err != nil {
		return err
	}
	l.log.InfoContext(ctx, "taking over the images of a process that died", "process", process)
	_, err = write.ExecContext(ctx, `UPDATE images SET lease_owner='', lease_until_ms=0 WHERE lease_owner=? AND `+openRows, process)
	return err
}

// holdLock makes this process one that others can see living. Without that its
// leases count alone.
func (l *Library) holdLock(ctx context.Context, process string) {
	if err := l.catalog.liveness.hold(process, l.now()); err != nil {
		l.log.DebugContext(ctx, "failed to lock the file of this process; leases count alone", "error", err)
	}
}

// Renew extends the leases of the process on these rows.
func (l *Library) Renew(ctx context.Context, lease Lease, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	write, err := l.catalog.writer(ctx)
	if err != nil {
		return err
	}
	l.holdLock(ctx, lease.Process)
	list := toJSON(ids, false)
	_, err = write.ExecContext(ctx, `UPDATE images SET lease_until_ms=? WHERE id IN (SELECT value FROM json_each(?)) AND lease_owner=?`,
		lease.Until.UnixMilli(), list, lease.Process)
	return l.catalog.storageError("renewing leases", err)
}

// Park ends the lease of a process on a row. Others may claim the row from the
// given time on; at once if it is zero.
func (l *Library) Park(ctx context.Context, id, process string, until time.Time) error {
	write, err := l.catalog.writer(ctx)
	if err != nil {
		return err
	}
	_, err = write.ExecContext(ctx, `UPDATE images SET lease_owner='', lease_until_ms=? WHERE id=? AND lease_owner=?`, unixMilli(until), id, process)
	return l.catalog.storageError("parking row "+id, err)
}

// NextClaim returns the time at which the next row of another process may be
// claimed, or the zero time if there is none.
func (l *Library) NextClaim(ctx context.Context, lease Lease) (time.Time, error) {
	db, err := l.catalog.open(ctx)
	if err != nil {
		return time.Time{}, err
	}
	var next sql.NullInt64
	err = db.lookup.QueryRowContext(ctx, `SELECT MIN(lease_until_ms) FROM images WHERE `+recoverableRows+` AND sandbox=? AND lease_owner<>?`,
		lease.Sandbox, lease.Process).Scan(&next)
	if err != nil || !next.Valid {
		return time.Time{}, l.catalog.storageError("asking for leases", err)
	}
	return time.UnixMilli(next.Int64), nil
}

// Exists reports whether there is a catalog at all. Before the first image
// there is none.
func (l *Library) Exists() bool {
	_, err := os.Stat(l.catalog.path)
	return !errors.Is(err, fs.ErrNotExist)
}
