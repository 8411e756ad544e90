package resources

import (
	"context"
	"database/sql"
	"time"
)

// Lease makes a process the owner of a row until a time. After that time, other
// processes can claim the row unless the lease was renewed.
type Lease struct {
	Process string
	Until   time.Time
	Sandbox bool // the process uses the sandbox: it claims only sandbox images, and other processes only real ones
}

const (
	// openRows matches the rows that a process may still work on. The partial
	// index images_open has exactly this condition, so that SQLite can use it.
	openRows = `(state IN ('queued', 'submitted', 'answered') OR state='unknown' AND task_id<>'')`
	// recoverableRows matches the open rows that may still become an image.
	recoverableRows = openRows + ` AND NOT (state='answered' AND upstream_url='' AND failure<>'')`
)

// Claim leases recoverable images that no live process works on to the lease's
// process, and returns them: the oldest ones, at most limit. Images whose next
// attempt is not due are left out unless early is set.
func (l *Library) Claim(ctx context.Context, lease Lease, limit int, early bool) ([]Image, error) {
	db, err := l.catalog.open(ctx)
	if err != nil {
		return nil, err
	}
	alive, err := l.liveProcesses(ctx, lease)
	if err != nil {
		return nil, l.catalog.storageError("claiming rows", err)
	}
	due := recoverableRows + ` AND sandbox=? AND lease_until_ms<? AND lease_owner NOT IN (SELECT value FROM json_each(?))`
	if early {
		due = recoverableRows + ` AND sandbox=? AND (lease_until_ms<? OR lease_owner='') AND lease_owner NOT IN (SELECT value FROM json_each(?))`
	}
	now := l.now().UnixMilli()
	// This query needs no write lock, and nearly always finds nothing. The
	// plus in ORDER BY keeps SQLite from scanning the primary key.
	ids, err := scanColumn[string](db.lookup.QueryContext(ctx, `SELECT id FROM images WHERE `+due+` ORDER BY +id LIMIT ?`, lease.Sandbox, now, alive, limit))
	if err != nil || len(ids) == 0 {
		return nil, l.catalog.storageError("claiming rows", err)
	}
	list, err := l.claim(ctx, `id IN (SELECT value FROM json_each(?)) AND `+due, lease, toJSON(ids, false), lease.Sandbox, now, alive)
	return list, l.catalog.storageError("claiming rows", err)
}

// ClaimOne leases one image to the lease's process. ok is false if the image cannot
// be recovered or another process works on it.
func (l *Library) ClaimOne(ctx context.Context, id string, lease Lease) (i Image, ok bool, err error) {
	alive, err := l.liveProcesses(ctx, lease)
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

// claim leases the rows that match where to a process. It clears their failure and
// changes state unknown to submitted, so that they count as in progress.
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

// liveProcesses returns, as a JSON list, the other processes that own open rows,
// are alive, and renew their leases. It ends the leases of dead processes. If the
// state of a process is unknown, only its leases count.
func (l *Library) liveProcesses(ctx context.Context, lease Lease) (alive string, err error) {
	leases, err := l.lastLeases(ctx, lease.Process)
	if err != nil {
		return "", err
	}
	now := l.now()
	list := []string{}
	for process, lastLease := range leases {
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

// lastLeases returns, for each other process that owns open rows, when the last
// of its leases expires, in Unix milliseconds.
func (l *Library) lastLeases(ctx context.Context, self string) (map[string]int64, error) {
	db, err := l.catalog.open(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := db.lookup.QueryContext(ctx, `SELECT lease_owner, MAX(lease_until_ms) FROM images WHERE `+openRows+
		` AND lease_owner NOT IN ('', ?) GROUP BY lease_owner`, self)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	leases := map[string]int64{}
	for rows.Next() {
		var process string
		var lastLease int64
		if err := rows.Scan(&process, &lastLease); err != nil {
			return nil, err
		}
		leases[process] = lastLease
	}
	return leases, rows.Err()
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

// holdLock takes the lock by which other processes detect that this one is alive.
// If it fails, only leases count.
func (l *Library) holdLock(ctx context.Context, process string) {
	if err := l.catalog.liveness.hold(process, l.now()); err != nil {
		l.log.DebugContext(ctx, "failed to lock the lock file of this process; other processes rely on its leases", "error", err)
	}
}

// Renew extends the leases that the lease's process has on these rows.
func (l *Library) Renew(ctx context.Context, lease Lease, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	write, err := l.catalog.writer(ctx)
	if err != nil {
		return err
	}
	l.holdLock(ctx, lease.Process)
	_, err = write.ExecContext(ctx, `UPDATE images SET lease_until_ms=? WHERE id IN (SELECT value FROM json_each(?)) AND lease_owner=?`,
		lease.Until.UnixMilli(), toJSON(ids, false), lease.Process)
	return l.catalog.storageError("renewing leases", err)
}

// Park ends the lease of a process on a row. The row can be claimed again after
// until, or at once if until is zero.
func (l *Library) Park(ctx context.Context, id, process string, until time.Time) error {
	write, err := l.catalog.writer(ctx)
	if err != nil {
		return err
	}
	_, err = write.ExecContext(ctx, `UPDATE images SET lease_owner='', lease_until_ms=? WHERE id=? AND lease_owner=?`, unixMilli(until), id, process)
	return l.catalog.storageError("parking row "+id, err)
}

// NextClaim returns the earliest time at which a row that the lease's process does
// not own can be claimed, or the zero time if there is no such row.
func (l *Library) NextClaim(ctx context.Context, lease Lease) (time.Time, error) {
	db, err := l.catalog.open(ctx)
	if err != nil {
		return time.Time{}, err
	}
	var next sql.NullInt64
	err = db.lookup.QueryRowContext(ctx, `SELECT MIN(lease_until_ms) FROM images WHERE `+recoverableRows+` AND sandbox=? AND lease_owner<>?`,
		lease.Sandbox, lease.Process).Scan(&next)
	if err != nil || !next.Valid {
		return time.Time{}, l.catalog.storageError("reading leases", err)
	}
	return time.UnixMilli(next.Int64), nil
}
