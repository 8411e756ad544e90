package bucket

import (
	"context"
	"strings"

	"zai-image-mcp/resources"
)

// List implements resources.Store.
func (b *Bucket) List(ctx context.Context, prefix string, visit func(resources.StoredFile) error) error {
	for after := ""; ; {
		page, err := b.page(ctx, prefix, after)
		if err != nil {
			return err
		}
		for _, o := range page {
			if strings.HasSuffix(o.Key, "/") {
				continue // an empty object that represents a folder
			}
			f := resources.StoredFile{Name: strings.TrimPrefix(o.Key, b.prefix), Size: o.Size, Modified: o.LastModified}
			if err := visit(f); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
		after = page[len(page)-1].Key
	}
}
