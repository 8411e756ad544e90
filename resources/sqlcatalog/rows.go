package sqlcatalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"zai-image-mcp/resources"
)

// imageColumns are the columns of an Image, in the order of imageTargets.
const imageColumns = `id, call_id, owner, state, created_ms, model, prompt, size, quality, user_id, sandbox, cost_micro_usd, charged,
	upstream_url, task_id, request_id, log_id, content_filter, path, mime_type, width, height, bytes, sha256, marks, failure, upstream_answer, delivered_ms <> 0`

// scanImage reads an Image and then further columns of a row. It fails with
// ErrNotFound if there is no row.
func scanImage(row scanner, further ...any) (resources.Image, error) {
	var (
		i                      resources.Image
		created                int64
		filter, marks, failure string
	)
	targets := make([]any, 0, 28+5) // of an Image and of a Row
	targets = append(targets,
		&i.ID, &i.CallID, &i.Owner, &i.State, &created, &i.Model, &i.Prompt, &i.Size, &i.Quality, &i.UserID,
		&i.Sandbox, &i.CostMicroUSD, &i.Charged, &i.UpstreamURL, &i.TaskID, &i.RequestID, &i.LogID, &filter,
		&i.Path, &i.MIMEType, &i.Width, &i.Height, &i.Bytes, &i.SHA256, &marks, &failure, &i.UpstreamAnswer, &i.Delivered,
	)
	err := row.Scan(append(targets, further...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return resources.Image{}, resources.ErrNotFound
	}
	if err != nil {
		return resources.Image{}, err
	}
	i.CreatedAt = time.UnixMilli(created).UTC()
	// An image with unreadable details is more useful than an error.
	if filter != "" {
		_ = json.Unmarshal([]byte(filter), &i.ContentFilter)
	}
	if marks != "" {
		_ = json.Unmarshal([]byte(marks), &i.Marks)
	}
	if failure != "" {
		_ = json.Unmarshal([]byte(failure), &i.Failure)
	}
	return i, nil
}

func scanOneImage(row scanner) (resources.Image, error) { return scanImage(row) }

// rowColumns are the columns of a Row, in the order of scanRow.
const rowColumns = imageColumns + `, updated_ms, lease_until_ms, lease_owner <> '' AND lease_until_ms > :now, join_key, failed_ms`

func scanRow(row scanner) (resources.Row, error) {
	var (
		r                      resources.Row
		updated, lease, failed int64
		err                    error
	)
	r.Image, err = scanImage(row, &updated, &lease, &r.LeaseAlive, &r.JoinKey, &failed)
	r.UpdatedAt, r.LeaseUntil, r.FailedAt = timeOf(updated), timeOf(lease), timeOf(failed)
	return r, err
}

// selectRow reads the row of one id.
const selectRow = `SELECT ` + rowColumns + ` FROM images WHERE id=?`

// RowStatement returns the statement that DB.ByID prepares.
func (c *Catalog) RowStatement() string {
	statement, _ := c.bind(selectRow, []any{""})
	return statement
}

// Row implements resources.Index.
func (c *Catalog) Row(ctx context.Context, id string) (resources.Row, error) {
	db, err := c.engine.DB(ctx)
	if err != nil {
		return resources.Row{}, err
	}
	statement, arguments := c.bind(selectRow, []any{id})
	var row *sql.Row
	if db.ByID == nil {
		row = db.Lookup.QueryRowContext(ctx, statement, arguments...)
	} else {
		// A query by key is too short to be worth cancelling, and some drivers start a
		// goroutine for each context that can be cancelled.
		row = db.ByID.QueryRowContext(context.WithoutCancel(ctx), arguments...)
	}
	found, err := scanRow(row)
	return found, c.engine.Error("reading row", err)
}

// origin is what the first write of a row records besides its Image.
type origin struct {
	updated, failed, delivered, leaseUntil time.Time
	joinKey, process, client, slotKey      string
}

// insertColumns are the columns that insert writes.
const insertColumns = `id, call_id, owner, state, created_ms, day, model, prompt, size, quality, user_id, sandbox, cost_micro_usd, charged,
	upstream_url, task_id, request_id, log_id, content_filter, path, mime_type, width, height, bytes, sha256, marks, failure, upstream_answer,
	updated_ms, failed_ms, delivered_ms, lease_owner, lease_until_ms, join_key, updated_by, client, slot_key, changed`

// insert adds a row, and returns 0 if its id exists.
func (c *Catalog) insert(ctx context.Context, q Querier, i resources.Image, o origin) (added int64, err error) {
	arguments := []any{
		i.ID, i.CallID, i.Owner, string(i.State), i.CreatedAt.UnixMilli(), utcDay(i.CreatedAt), i.Model, i.Prompt, i.Size, i.Quality, i.UserID,
		i.Sandbox, i.CostMicroUSD, i.Charged, i.UpstreamURL, i.TaskID, i.RequestID, i.LogID, filterJSON(i), i.Path, i.MIMEType,
		i.Width, i.Height, i.Bytes, i.SHA256, marksJSON(i), failureJSON(i.Failure), i.UpstreamAnswer,
		unixMilli(o.updated), unixMilli(o.failed), unixMilli(o.delivered), o.process, unixMilli(o.leaseUntil), o.joinKey, o.process, o.client, o.slotKey,
	}
	return c.exec(ctx, q, c.text.insert, arguments...)
}

// failureJSON returns a failure in the catalog's format, "" for nil.
func failureJSON(f *resources.Failure) string {
	if f == nil {
		return ""
	}
	return toJSON(f)
}

// filterJSON returns the results of the content filter in the catalog's format.
func filterJSON(i resources.Image) string {
	if len(i.ContentFilter) == 0 {
		return ""
	}
	return toJSON(i.ContentFilter)
}

// marksJSON returns the marks of a file in the catalog's format, "" if it was not examined.
func marksJSON(i resources.Image) string {
	if i.Marks == nil {
		return ""
	}
	return toJSON(i.Marks)
}

// toJSON returns a value as JSON, or "" if it cannot be encoded.
func toJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}
