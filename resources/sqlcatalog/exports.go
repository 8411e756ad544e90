package sqlcatalog

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"zai-image-mcp/resources"
)

const exportColumns = `path, image_id, spec, sha256, bytes, created_ms`

// RecordExport implements resources.Exports.
func (c *Catalog) RecordExport(ctx context.Context, e resources.Exported) error {
	path := pathText(e.Path)
	if len(path) > maxPath {
		return fmt.Errorf("recording an export: its path has more than %d bytes", maxPath)
	}
	_, err := c.write(ctx, `INSERT INTO exports (`+exportColumns+`) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (path) DO UPDATE SET image_id=excluded.image_id, spec=excluded.spec, sha256=excluded.sha256, bytes=excluded.bytes, created_ms=excluded.created_ms`,
		path, e.ImageID, e.Spec, e.SHA256, e.Bytes, e.CreatedAt.UnixMilli())
	return c.engine.Error("recording an export", err)
}

// ExportAt implements resources.Exports.
func (c *Catalog) ExportAt(ctx context.Context, path string) (resources.Exported, error) {
	q, err := c.lookup(ctx)
	if err != nil {
		return resources.Exported{}, err
	}
	e, err := scanExport(c.queryRow(ctx, q, `SELECT `+exportColumns+` FROM exports WHERE path=?`, pathText(path)))
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
	return c.exports(ctx, `SELECT `+exportColumns+` FROM exports WHERE path > ? ORDER BY path LIMIT ?`, pathText(path), page)
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
	e.Path, e.CreatedAt = pathOf(e.Path), timeOf(created)
	return e, err
}

const (
	// maxPath is the size in bytes of the longest path that is recorded. The longest key
	// of an index of PostgreSQL has 2,704 bytes.
	maxPath = 2500
	// encodedPath is the prefix of paths that are recorded in base64. No absolute path
	// begins with it.
	encodedPath = "base64:"
)

// pathText returns a path in the catalog's format. File systems allow names that are not
// UTF-8, and PostgreSQL does not store them.
func pathText(path string) string {
	if utf8.ValidString(path) && !strings.ContainsRune(path, 0) {
		return path
	}
	return encodedPath + base64.StdEncoding.EncodeToString([]byte(path))
}

// pathOf returns the path that pathText recorded.
func pathOf(text string) string {
	if encoded, ok := strings.CutPrefix(text, encodedPath); ok {
		if path, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			return string(path)
		}
	}
	return text
}
