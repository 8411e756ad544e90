package resources

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"
)

// imageColumns are the columns of an Image, in the order of scanImage.
const imageColumns = `id, call_id, owner, state, created_ms, model, prompt, size, quality, user_id, sandbox, cost_micro_usd, charged,
	upstream_url, task_id, request_id, log_id, content_filter, path, mime_type, width, height, bytes, sha256, failure, upstream_answer, delivered_ms <> 0`

// scanImage reads an Image from a row. It fails with ErrNotFound if there is no
// row.
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
	// An image with unreadable details is more useful than an error.
	_ = json.Unmarshal([]byte(filter), &i.ContentFilter)
	_ = json.Unmarshal([]byte(failure), &i.Failure)
	return i, nil
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

// scanColumn returns the values of a result that has one column. Its parameters
// are the results of QueryContext.
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

// selectByID finds an image that is not removed.
const selectByID = `SELECT ` + imageColumns + ` FROM images WHERE id=? AND state<>'removed'`

// getByID returns an image of any owner; callers must check that the request may
// access it.
func (c *catalog) getByID(ctx context.Context, id string) (Image, error) {
	db, err := c.open(ctx)
	if err != nil {
		return Image{}, err
	}
	// A query by key is too short to be worth cancelling, and the driver starts a
	// goroutine for each context that can be cancelled.
	i, err := scanImage(db.byID.QueryRowContext(context.WithoutCancel(ctx), id))
	return i, c.storageError("reading row", err)
}

// getOwned returns an image of the owner.
func (c *catalog) getOwned(ctx context.Context, owner, id string) (Image, error) {
	i, err := c.getByID(ctx, id)
	if err == nil && i.Owner != owner {
		return Image{}, ErrNotFound
	}
	return i, err
}

// page returns at most limit of an owner's images in a state, newest first. The
// images have ids less than before ("" for no limit) and prompts that match the
// search text ("" matches all).
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

// idsWithPrefix lists the ids of saved images that begin with a prefix, newest
// first.
func (c *catalog) idsWithPrefix(ctx context.Context, owner, prefix string, limit int) ([]string, error) {
	db, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := scanColumn[string](db.read.QueryContext(ctx, `SELECT id FROM images WHERE owner=? AND state=? AND id>=? AND id<? ORDER BY id DESC LIMIT ?`,
		owner, Saved, prefix, prefix+"~", limit))
	return ids, c.storageError("completing", err)
}
