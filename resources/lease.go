package resources

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"time"
)

// unfinished are rows out of which a picture may still come. The first term is
// that of the index.
const unfinished = `state IN ('queued', 'submitted', 'answered', 'unknown') AND (state<>'unknown' OR task_id<>'')
	AND NOT (state='answered' AND upstream_url='' AND failure<>'')`

// Claim gives rows to the process of the lease that nobody works on any more,
// oldest first, at most limit of them. Some only wait until it is worth trying
// again; with early they are taken too. Pictures that are lost for good are
// not, and neither are the sandbox's by others nor others' by the sandbox.
func (l *Library) Claim(ctx context.Context, lease Lease, limit int, early bool) ([]Image, error) {
	free := `lease_until_ms<?`
	if early {
		free = `(lease_until_ms<? OR lease_owner='')`
	}
	list, err := l.claim(ctx, `id IN (SELECT id FROM images WHERE `+unfinished+` AND sandbox=? AND `+free+` ORDER BY id LIMIT ?)`,
		lease, lease.Sandbox, l.now().UnixMilli(), limit)
	return list, storageError("claiming rows", err)
}

// ClaimOne gives one row to the process of the lease, if no other process
// works on it. It is not ok when there is nothing to claim.
func (l *Library) ClaimOne(ctx context.Context, id string, lease Lease) (i Image, ok bool, err error) {
	list, err := l.claim(ctx, `id=? AND sandbox=? AND (lease_until_ms<? OR lease_owner='' OR lease_owner=?) AND `+unfinished,
		lease, id, lease.Sandbox, l.now().UnixMilli(), lease.Process)
	if err != nil || len(list) == 0 {
		return Image{}, false, storageError("claiming row "+id, err)
	}
	return list[0], true, nil
}

// claim gives rows to a process. To everybody they are being made from then on.
func (l *Library) claim(ctx context.Context, where string, lease Lease, arguments ...any) ([]Image, error) {
	write, _, err := l.catalog.open(ctx)
	if err != nil {
		return nil, err
	}
	//nolint:gosec // the parts are constants
	rows, err := write.QueryContext(ctx, `UPDATE images SET lease_owner=?, lease_until_ms=?, failure='',
		state=CASE state WHEN 'unknown' THEN 'submitted' ELSE state END WHERE `+where+` RETURNING `+columns,
		append([]any{lease.Process, lease.Until.UnixMilli()}, arguments...)...)
	if err != nil {
		return nil, err
	}
	return scanImages(rows)
}

// Renew says that the process lives and works on these rows until then.
func (l *Library) Renew(ctx context.Context, lease Lease, ids []string) error {
	write, _, err := l.catalog.open(ctx)
	if err != nil {
		return err
	}
	list := toJSON(ids, len(ids) == 0)
	_, err = write.ExecContext(ctx, `UPDATE images SET lease_until_ms=? WHERE id IN (SELECT value FROM json_each(?)) AND lease_owner=?`,
		lease.Until.UnixMilli(), list, lease.Process)
	return storageError("renewing leases", err)
}

// Park gives a row up that its process does not work on any more. Others take
// it up at the given time, at once when it is zero.
func (l *Library) Park(ctx context.Context, id, process string, until time.Time) error {
	write, _, err := l.catalog.open(ctx)
	if err != nil {
		return err
	}
	_, err = write.ExecContext(ctx, `UPDATE images SET lease_owner='', lease_until_ms=? WHERE id=? AND lease_owner=?`, milli(until), id, process)
	return storageError("parking row "+id, err)
}

// NextClaim is when the next row may be left behind by a process other than
// that of the lease; zero when there is none.
func (l *Library) NextClaim(ctx context.Context, lease Lease) (time.Time, error) {
	_, read, err := l.catalog.open(ctx)
	if err != nil {
		return time.Time{}, err
	}
	var next sql.NullInt64
	err = read.QueryRowContext(ctx, `SELECT MIN(lease_until_ms) FROM images WHERE `+unfinished+` AND sandbox=? AND lease_owner<>?`,
		lease.Sandbox, lease.Process).Scan(&next)
	if err != nil || !next.Valid {
		return time.Time{}, storageError("asking for leases", err)
	}
	return time.UnixMilli(next.Int64), nil
}

// Exists reports whether there is a catalog at all. Before the first picture
// there is none.
func (l *Library) Exists() bool {
	_, err := os.Stat(l.catalog.path)
	return !errors.Is(err, fs.ErrNotExist)
}
