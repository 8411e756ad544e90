package sqlite_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// fill adds the rows of n saved images without files.
func fill(t testing.TB, folder string, n int) {
	t.Helper()
	db, err := sql.Open("sqlite", catalogPath(folder))
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(`INSERT INTO images (id, call_id, owner, state, created_ms, updated_ms, day, model, prompt, size, quality, cost_micro_usd, charged,
		path, mime_type, width, height, bytes, sha256)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		SELECT printf('00%024d', i), '', 'local', 'saved', i, i, '2026-01-01', 'cogview-4-250304', 'image number ' || i || ' of a fox in the snow', '1024x1024',
		'standard', 10000, 1, '2026/01/01/image-' || i || '.png', 'image/png', 1024, 1024, 1500000, '00' FROM n`, n)
	require.NoError(t, err)
}

func BenchmarkResourcesList(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		folder := b.TempDir()
		c := open(b, folder)
		require.NoError(b, c.Ready(context.Background()))
		fill(b, folder, n)
		m := &resources.MCP{Library: resources.New(resources.Options{Catalog: c})}
		page := func(cursor string) string {
			result, err := m.ListPage(context.Background(), "local", cursor)
			require.NoError(b, err)
			require.Len(b, result.Resources, resources.PageSize)
			return string(result.NextCursor)
		}
		b.Run(fmt.Sprintf("%d/first", n), func(b *testing.B) {
			for b.Loop() {
				page("")
			}
		})
		later := page("")
		if n > 1000 { // from the middle
			later = base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "before 00%024d", n/2))
		}
		b.Run(fmt.Sprintf("%d/later", n), func(b *testing.B) {
			for b.Loop() {
				page(later)
			}
		})
	}
}
