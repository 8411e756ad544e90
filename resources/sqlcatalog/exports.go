package sqlcatalog

import (
	"context"

	"zai-image-mcp/resources"
)

// RecordExport implements resources.Exports.
func (c *Catalog) RecordExport(ctx context.Context, e resources.Exported) error { return nil }

// ExportAt implements resources.Exports.
func (c *Catalog) ExportAt(ctx context.Context, path string) (resources.Exported, error) {
	return resources.Exported{}, resources.ErrNotFound
}

// ExportsOf implements resources.Exports.
func (c *Catalog) ExportsOf(ctx context.Context, id string) ([]resources.Exported, error) {
	return nil, nil
}

// ExportsAfter implements resources.Exports.
func (c *Catalog) ExportsAfter(ctx context.Context, path string) ([]resources.Exported, error) {
	return nil, nil
}
