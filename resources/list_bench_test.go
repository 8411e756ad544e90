package resources_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// fill adds n saved rows without files.
func fill(t testing.TB, folder string, n int) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(folder, ".catalog.db"))
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
		l := open(b, folder)
		require.NoError(b, l.Record(context.Background(), reserve(b, l, "x")))
		fill(b, folder, n)
		hooks := &server.Hooks{}
		s := server.NewMCPServer("x", "1", server.WithHooks(hooks))
		(&resources.MCP{Library: l, Owner: func(context.Context) string { return "local" }}).Register(s, hooks)
		page := func(cursor mcp.Cursor) mcp.Cursor {
			answer := s.HandleMessage(context.Background(), json.RawMessage(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"resources/list","params":{"cursor":%q}}`, cursor)))
			response, ok := answer.(mcp.JSONRPCResponse)
			require.True(b, ok)
			result, ok := response.Result.(mcp.ListResourcesResult)
			require.True(b, ok)
			require.Len(b, result.Resources, resources.PageSize)
			return result.NextCursor
		}
		b.Run(fmt.Sprintf("%d/first", n), func(b *testing.B) {
			for b.Loop() {
				page("")
			}
		})
		later := page("")
		if n > 1000 { // from the middle
			later = mcp.Cursor(base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "before 00%024d", n/2)))
		}
		b.Run(fmt.Sprintf("%d/later", n), func(b *testing.B) {
			for b.Loop() {
				page(later)
			}
		})
	}
}
