package sqlcatalog

import (
	"context"
	"database/sql"
	"errors"

	"zai-image-mcp/resources"
)

const exportColumns = `path, image_id, spec, sha256, bytes, created_ms`

// RecordExport implements resources.Exports.
func (c *Catalog) RecordExport(ctx context.Context, e resources.Exported) error {
	_, err := c.write(ctx, `INSERT INTO exports (`+exportColumns+`) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (path) DO UPDATE SET image_id=excluded.image_id, spec=excluded.spec, sha256=excluded.sha256, bytes=excluded.bytes, created_ms=excluded.created_ms`,
		e.Path, e.ImageID, e.Spec, e.SHA256, e.Bytes, e.CreatedAt.UnixMilli())
	return c.engine.Error("recording an export", err)
}

// ExportAt implements resources.Exports.
func (c *Catalog) ExportAt(ctx context.Context, path string) (resources.Exported, error) {
	q, err := c.lookup(ctx)
	if err != nil {
		return resources.Exported{}, err
	}
	e, err := scanExport(c.queryRow(ctx, q, `SELECT `+exportColumns+` FROM exports WHERE path=?`, path))
	if errors.Is(err, sql.ErrNoRows) {
		err = resources.ErrNotFound
	}
	return e, c.engine.Error("reading an export", err)
}

// ExportsOf implements resources.Exports.
func (c *Catalog) ExportsOf(ctx context.Context, id string) ([]resources.Exported, error) {
	return c.exports(ctx, `SELECT `+exportColumns+` FROM exports WHERE image_id=? ORDER BY created_ms, path`, id)
}

// ExportsAfter implements resources.Exports.
func (c *Catalog) ExportsAfter(ctx context.Context, path string) ([]resources.Exported, error) {
	const page = 500
	return c.exports(ctx, `SELECT `+exportColumns+` FROM exports WHERE path > ? ORDER BY path LIMIT ?`, path, page)
}

func (c *Catalog) exports(ctx context.Context, statement string, arguments ...any) ([]resources.Exported, error) {
	q, err := c.lookup(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := c.query(ctx, q, statement, arguments...)
	list, err := scanAll(rows, err, scanExport)
	return list, c.engine.Error("reading exports", err)
}

func scanExport(row scanner) (e resources.Exported, err error) {
	var created int64
	err = row.Scan(&e.Path, &e.ImageID, &e.Spec, &e.SHA256, &e.Bytes, &created)
	e.CreatedAt = timeOf(created)
	return e, err
}
