package resources

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"
)

// condition restricts an update to a row that is still in this state and owned by
// this process, and then extends the process's lease. The zero value matches any
// row and changes no lease.
type condition struct {
	state   State
	process string
	until   time.Time // new end of the process's lease
}

// update writes the columns that change while an image is being made. It never
// changes a row that is saved or removed, nor does a row that has a link become
// queued, submitted, failed or unknown: such an update is based on stale data.
// update fails with ErrSettled if it may not change the row. It inserts a missing
// row, which means that the catalog was replaced while the image was being made.
func (c *catalog) update(ctx context.Context, i Image, now time.Time, only condition) error {
	write, err := c.writer(ctx)
	if err != nil {
		return err
	}
	failure := toJSON(i.Failure, i.Failure == nil)
	result, err := write.ExecContext(ctx, `UPDATE images SET state=?, updated_ms=?, charged=?, upstream_url=?, task_id=?, request_id=?, log_id=?,
		content_filter=?, path=?, mime_type=?, width=?, height=?, bytes=?, sha256=?, failure=?, upstream_answer=?,
		failed_ms=CASE WHEN failed_ms=0 AND ?<>'' THEN ? ELSE failed_ms END,
		lease_until_ms=CASE ? WHEN '' THEN lease_until_ms ELSE ? END
		WHERE id=? AND state NOT IN ('saved', 'removed') AND (? NOT IN ('queued', 'submitted', 'failed', 'unknown') OR upstream_url='')
		AND (?='' OR state=? AND lease_owner=?)`,
		i.State, now.UnixMilli(), i.Charged, i.UpstreamURL, i.TaskID, i.RequestID, i.LogID, toJSON(i.ContentFilter, len(i.ContentFilter) == 0),
		i.Path, i.MIMEType, i.Width, i.Height, i.Bytes, i.SHA256, failure, i.UpstreamAnswer, failure, now.UnixMilli(),
		only.state, unixMilli(only.until), i.ID, i.State, only.state, only.state, only.process)
	if err != nil {
		return c.storageError("writing row "+i.ID, err)
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return c.storageError("writing row "+i.ID, err)
	}
	var exists bool
	if err := write.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM images WHERE id=?)`, i.ID).Scan(&exists); err != nil {
		return c.storageError("reading row "+i.ID, err)
	}
	if exists {
		return ErrSettled
	}
	c.log.WarnContext(ctx, "adding a missing row: the catalog was replaced while the image was being made", "id", i.ID)
	return c.storageError("writing row "+i.ID, insert(ctx, write, i, now, "", Lease{Process: only.process, Until: only.until}))
}

// insert adds a row through a connection or a transaction.
func insert(ctx context.Context, q interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, i Image, now time.Time, joinKey string, lease Lease) error {
	var failed, delivered time.Time
	if i.Failure != nil {
		failed = now
	}
	if i.Delivered {
		delivered = now
	}
	_, err := q.ExecContext(ctx, `INSERT INTO images (id, call_id, owner, state, created_ms, updated_ms, day, model, prompt, size, quality, user_id,
		sandbox, cost_micro_usd, charged, upstream_url, task_id, request_id, log_id, content_filter, path, mime_type, width, height, bytes, sha256,
		failure, failed_ms, upstream_answer, join_key, lease_owner, lease_until_ms, delivered_ms)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		i.ID, i.CallID, i.Owner, i.State, i.CreatedAt.UnixMilli(), now.UnixMilli(), utcDay(i.CreatedAt), i.Model, i.Prompt, i.Size, i.Quality, i.UserID,
		i.Sandbox, i.CostMicroUSD, i.Charged, i.UpstreamURL, i.TaskID, i.RequestID, i.LogID, toJSON(i.ContentFilter, len(i.ContentFilter) == 0),
		i.Path, i.MIMEType, i.Width, i.Height, i.Bytes, i.SHA256, toJSON(i.Failure, i.Failure == nil), unixMilli(failed), i.UpstreamAnswer,
		joinKey, lease.Process, unixMilli(lease.Until), unixMilli(delivered))
	return err
}

// adopt inserts a row for an image that was not reserved.
func (c *catalog) adopt(ctx context.Context, i Image, now time.Time) error {
	write, err := c.writer(ctx)
	if err != nil {
		return err
	}
	return c.storageError("adding row "+i.ID, insert(ctx, write, i, now, "", Lease{}))
}

// move records the new name of a saved image's file.
func (c *catalog) move(ctx context.Context, i Image, name string, now time.Time) error {
	write, err := c.writer(ctx)
	if err != nil {
		return err
	}
	_, err = write.ExecContext(ctx, `UPDATE images SET path=?, updated_ms=? WHERE id=? AND state='saved' AND path=?`, name, now.UnixMilli(), i.ID, i.Path)
	return c.storageError("moving row "+i.ID, err)
}

// remove marks a row as removed, clears its prompt, path, link and API response,
// and returns the name that the image's file had. It does so in one transaction,
// because the image may be saved at the same time.
func (c *catalog) remove(ctx context.Context, owner, id string, now time.Time) (name string, err error) {
	write, err := c.writer(ctx)
	if err != nil {
		return "", err
	}
	tx, err := write.BeginTx(ctx, nil)
	if err != nil {
		return "", c.storageError("removing row "+id, err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	err = tx.QueryRowContext(ctx, `SELECT path FROM images WHERE id=? AND owner=?`, id, owner).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrNotFound
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, `UPDATE images SET state=?, updated_ms=?, prompt='', path='', upstream_url='', upstream_answer='' WHERE id=? AND owner=?`,
			Removed, now.UnixMilli(), id, owner)
	}
	if err == nil {
		err = tx.Commit()
	}
	return name, c.storageError("removing row "+id, err)
}

// setting returns a setting of the library, and stores initial first if it has no
// value.
func (c *catalog) setting(ctx context.Context, name string, initial []byte) (value []byte, err error) {
	write, err := c.writer(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := write.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, initial); err != nil {
		return nil, c.storageError("writing setting "+name, err)
	}
	err = write.QueryRowContext(ctx, `SELECT value FROM settings WHERE name=?`, name).Scan(&value)
	return value, c.storageError("reading setting "+name, err)
}

// toJSON returns a value as JSON, or "" if empty is set or the value cannot be
// encoded.
func toJSON[T any](value T, empty bool) string {
	if empty {
		return ""
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

// unixMilli returns a time in the catalog's format, 0 for the zero time.
func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// utcDay returns the UTC day of a time in the catalog's format.
func utcDay(t time.Time) string { return t.UTC().Format(time.DateOnly) }
