package sqlite_test

import (
	"testing"
	"time"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/catalogtest"
	"zai-image-mcp/resources/sqlite"
)

func TestCatalog(t *testing.T) {
	t.Parallel()
	catalogtest.Run(t, func(t testing.TB) func() resources.Catalog {
		folder := t.TempDir()
		return func() resources.Catalog {
			return open(t, folder, func(o *sqlite.Options) { o.Watch = 5 * time.Millisecond })
		}
	})
}
