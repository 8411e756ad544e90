package resources

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"
)

const imageColumns = `id, call_id, owner, state, created_ms, model, prompt, size, quality, user_id, sandbox, cost_micro_usd, charged,
	upstream_url, task_id, request_id, log_id, content_filter, path, mime_type, width, height, bytes, sha256, failure, upstream_answer, delivered_ms <> 0`

func scanImage(row interface{ Scan(...any) error }) (Image, error) {
	var (
		i               Image
		created         int64
		filter, failure string
	)
	err := row.Scan(&i.ID, &i.CallID, &i.Owner, &i.State, &created, &i.Model, &i.Prompt, &i.Size, &i.Quality, &i.UserID,
		&i.Sandbox, &i.CostMicroUSD, &i.Charged, &i.UpstreamURL, &i.TaskID, &i.RequestID, &i.LogID, &filter,
		&i.Path, &i.MIMEType, &i.Width, &i.Height, &i.Bytes, &i.SHA256, &failure, &i.UpstreamAnswer, &i.Delivered)
	if errors.Is(err, sql.ErrNoRows) {
		return Image{}, ErrNotFound
	}
	if err != nil {
		return Image{}, err
	}
	i.CreatedAt = time.UnixMilli(created).UTC()
	// A row with unreadable details is still worth more than none.
	_ = json.Unmarshal([]byte(filter), &i.ContentFilter)
	_ = json.Unmarshal([]byte(failure), &i.Failure)
	return i, nil
}

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

func utcDay(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// update writes what changes in an image's life until it is saved. A row that
// has a link keeps it: a writer that knows of no link has stale data. With a
// condition, only a row that this process works on and that is still in that
// state is written. A row that is not there is inserted: the catalog was
// replaced while the image was being made.
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
	var known bool
	if err := write.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM images WHERE id=?)`, i.ID).Scan(&known); err != nil {
		return c.storageError("reading row "+i.ID, err)
	}
	if known {
		return ErrSettled
	}
	c.log.WarnContext(ctx, "adding an image that the catalog does not know: it was replaced meanwhile", "id", i.ID)
	return c.storageError("writing row "+i.ID, insert(ctx, write, i, now, "", Lease{Process: only.process, Until: only.until}))
}

// insert adds a row. q is a connection or a transaction.
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

// condition is what a row must still be to be written; the zero value is none.
type condition struct {
	state   State
	process string
	until   time.Time // the process's lease from now on
}

// remove blanks a row and returns the name that the image's file had. What it
// cost stays. Reading the name and blanking it is one transaction, as the image
// may be saved meanwhile.
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

// find is get without the check of the owner: callers must authorize in
// another way.
func (c *catalog) getByID(ctx context.Context, id string) (Image, error) {
	db, err := c.open(ctx)
	if err != nil {
		return Image{}, err
	}
	// A query by key is over before anybody could cancel it, and the driver
	// watches a context that can be cancelled with a goroutine.
	i, err := scanImage(db.byID.QueryRowContext(context.WithoutCancel(ctx), id))
	return i, c.storageError("reading row", err)
}

// setting reads a value that is kept with the catalog. The first process that
// asks for it sets it to initial.
func (c *catalog) setting(ctx context.Context, name string, initial []byte) (value []byte, err error) {
	write, err := c.writer(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := write.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, initial); err != nil {
		return nil, c.storageError("setting "+name, err)
	}
	err = write.QueryRowContext(ctx, `SELECT value FROM settings WHERE name=?`, name).Scan(&value)
	return value, c.storageError("setting "+name, err)
}

func (c *catalog) getOwned(ctx context.Context, owner, id string) (Image, error) {
	i, err := c.getByID(ctx, id)
	if err == nil && i.Owner != owner {
		return Image{}, ErrNotFound
	}
	return i, err
}

// selectByID finds a row that is not removed.
const selectByID = `SELECT ` + imageColumns + ` FROM images WHERE id=? AND state<>'removed'`

// page lists images in a state, newest first, that are older than the id
// before ("" for the newest) and match the query ("" matches all).
func (c *catalog) page(ctx context.Context, owner, text, before string, limit int, state State) ([]Image, error) {
	if before == "" {
		before = "~" // greater than every id
	}
	if q := parseQuery(text); len(q.words) > 0 {
		list, err := c.search(ctx, owner, q, before, limit, state)
		return list, c.storageError("searching", err)
	}
	db, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := db.read.QueryContext(ctx, `SELECT `+imageColumns+` FROM images WHERE owner=? AND state=? AND id<? ORDER BY id DESC LIMIT ?`,
		owner, state, before, limit)
	if err != nil {
		return nil, c.storageError("listing", err)
	}
	list, err := scanImages(rows)
	return list, c.storageError("listing", err)
}

func scanImages(rows *sql.Rows) ([]Image, error) {
	defer rows.Close()
	var list []Image
	for rows.Next() {
		i, err := scanImage(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, rows.Err()
}

// idsWithPrefix lists ids of saved images for completion, newest first.
func (c *catalog) idsWithPrefix(ctx context.Context, owner, prefix string, limit int) ([]string, error) {
	db, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := scanColumn[string](db.read.QueryContext(ctx, `SELECT id FROM images WHERE owner=? AND state=? AND id>=? AND id<? ORDER BY id DESC LIMIT ?`,
		owner, Saved, prefix, prefix+"~", limit))
	return ids, c.storageError("completing", err)
}

// column reads the only column of a result.
func scanColumn[T any](rows *sql.Rows, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []T{}
	for rows.Next() {
		var value T
		if err := rows.Scan(&value); err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, rows.Err()
}
