package resources

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"
)

const columns = `id, call_id, owner, state, created_ms, model, prompt, size, quality, user_id, sandbox, cost_micro_usd, charged,
	upstream_url, task_id, request_id, log_id, content_filter, path, mime_type, width, height, bytes, sha256, failure, delivered_ms <> 0`

func scanImage(row interface{ Scan(...any) error }) (Image, error) {
	var (
		i               Image
		created         int64
		filter, failure string
	)
	err := row.Scan(&i.ID, &i.CallID, &i.Owner, &i.State, &created, &i.Model, &i.Prompt, &i.Size, &i.Quality, &i.UserID,
		&i.Sandbox, &i.CostMicroUSD, &i.Charged, &i.UpstreamURL, &i.TaskID, &i.RequestID, &i.LogID, &filter,
		&i.Path, &i.MIMEType, &i.Width, &i.Height, &i.Bytes, &i.SHA256, &failure, &i.Delivered)
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

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// update writes what changes in a picture's life until it is saved. A row that
// has a link keeps it: whoever thinks that there is no picture is behind the
// times. With a condition, only a row that this process works on and that is
// still in that state is written.
func (c *catalog) update(ctx context.Context, i Image, now time.Time, only condition) error {
	write, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	result, err := write.ExecContext(ctx, `UPDATE images SET state=?, updated_ms=?, charged=?, upstream_url=?, task_id=?, request_id=?, log_id=?,
		content_filter=?, path=?, mime_type=?, width=?, height=?, bytes=?, sha256=?, failure=?,
		lease_until_ms=CASE ? WHEN '' THEN lease_until_ms ELSE ? END
		WHERE id=? AND state NOT IN ('saved', 'removed') AND (? NOT IN ('queued', 'submitted', 'failed', 'unknown') OR upstream_url='')
		AND (?='' OR state=? AND lease_owner=?)`,
		i.State, now.UnixMilli(), i.Charged, i.UpstreamURL, i.TaskID, i.RequestID, i.LogID, toJSON(i.ContentFilter, len(i.ContentFilter) == 0),
		i.Path, i.MIMEType, i.Width, i.Height, i.Bytes, i.SHA256, toJSON(i.Failure, i.Failure == nil),
		only.state, milli(only.until), i.ID, i.State, only.state, only.state, only.process)
	if err != nil {
		return storageError("writing row "+i.ID, err)
	}
	if n, err := result.RowsAffected(); err == nil && n == 0 {
		return ErrSettled
	}
	return nil
}

// condition is what a row must still be to be written; the zero value is none.
type condition struct {
	state   State
	process string
	until   time.Time // the process's lease from now on
}

// remove blanks a row. What it cost stays.
func (c *catalog) remove(ctx context.Context, owner, id string, now time.Time) error {
	write, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	_, err = write.ExecContext(ctx, `UPDATE images SET state=?, updated_ms=?, prompt='', path='', upstream_url='' WHERE id=? AND owner=?`,
		Removed, now.UnixMilli(), id, owner)
	return storageError("removing row "+id, err)
}

// find is get for whoever proves in another way that it may.
func (c *catalog) find(ctx context.Context, id string) (Image, error) {
	if _, _, err := c.open(ctx); err != nil {
		return Image{}, err
	}
	// A query by key is over before anybody could cancel it, and the driver
	// watches a context that can be cancelled with a goroutine.
	i, err := scanImage(c.byID.QueryRowContext(context.WithoutCancel(ctx), id))
	return i, storageError("reading row", err)
}

// setting reads a value that is kept with the catalog. The first process that
// asks for it sets it to initial.
func (c *catalog) setting(ctx context.Context, name string, initial []byte) (value []byte, err error) {
	write, _, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := write.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, initial); err != nil {
		return nil, storageError("setting "+name, err)
	}
	err = write.QueryRowContext(ctx, `SELECT value FROM settings WHERE name=?`, name).Scan(&value)
	return value, storageError("setting "+name, err)
}

func (c *catalog) get(ctx context.Context, owner, id string) (Image, error) {
	i, err := c.find(ctx, id)
	if err == nil && i.Owner != owner {
		return Image{}, ErrNotFound
	}
	return i, err
}

// selectByID finds a row that is not removed.
const selectByID = `SELECT ` + columns + ` FROM images WHERE id=? AND state<>'removed'`

// page lists pictures in a state, newest first, that are older than the id before
// ("" for the newest) and whose prompt holds query.
func (c *catalog) page(ctx context.Context, owner, query, before string, limit int, state State) ([]Image, error) {
	_, read, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	if before == "" {
		before = "~" // greater than every id
	}
	where, arguments := "", []any{owner, state, before}
	if query != "" {
		where, arguments = ` AND prompt LIKE ? ESCAPE '\'`, append(arguments, likePattern(query))
	}
	//nolint:gosec // the parts are constants
	rows, err := read.QueryContext(ctx, `SELECT `+columns+` FROM images WHERE owner=? AND state=? AND id<?`+where+
		` ORDER BY id DESC LIMIT ?`, append(arguments, limit)...)
	if err != nil {
		return nil, storageError("listing", err)
	}
	list, err := scanImages(rows)
	return list, storageError("listing", err)
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

// idsWithPrefix lists ids of saved pictures for completion, newest first.
func (c *catalog) idsWithPrefix(ctx context.Context, owner, prefix string, limit int) ([]string, error) {
	_, read, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := read.QueryContext(ctx, `SELECT id FROM images WHERE owner=? AND state=? AND id>=? AND id<? ORDER BY id DESC LIMIT ?`,
		owner, Saved, prefix, prefix+"~", limit)
	if err != nil {
		return nil, storageError("completing", err)
	}
	defer rows.Close()
	ids := []string{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, storageError("completing", err)
		}
		ids = append(ids, id)
	}
	return ids, storageError("completing", rows.Err())
}
