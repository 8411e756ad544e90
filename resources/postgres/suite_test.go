package postgres_test

import (
	"testing"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/catalogtest"
)

func TestCatalog_Suite(t *testing.T) {
	t.Parallel()
	catalogtest.Run(t, func(t testing.TB) func() resources.Catalog {
		database := testrig.Postgres(t)
		return func() resources.Catalog { return open(t, database) }
	})
}
