package bucket

import (
	"context"
	"errors"

	"zai-image-mcp/resources"
)

// List implements resources.Store.
func (b *Bucket) List(ctx context.Context, prefix string, visit func(resources.StoredFile) error) error {
	return errors.New("not written yet")
}
