package sqlite_test

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// BenchmarkSearch searches ZAI_BENCH_IMAGES images, 100,000 by default, whose prompts are
// all alike, for words that occur in all, in one and in none of them.
func BenchmarkSearch(b *testing.B) {
	n := 100_000
	if text := os.Getenv("ZAI_BENCH_IMAGES"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	folder := b.TempDir()
	c := open(b, folder)
	require.NoError(b, c.Ready(context.Background()))
	save(b, c, "一只可爱的小猫 quartz")
	db := openSQLite(b, folder)
	_, err := db.ExecContext(b.Context(), `UPDATE images SET id='!' || rowid`)
	require.NoError(b, err)
	fill(b, folder, n)
	for query, found := range map[string]int{
		"snow": 20, "snow fox": 20, "quartz": 1, "snow quartz": 0, "tz": 1, "小猫": 1, "猫": 1, "zz": 0, "snow zz": 0, "狐狸": 0, "zebra": 0,
		"in of zebra": 0, "in of zz": 0, "image number 777 zz": 0, "number 77 fox": 20, strings.Repeat("in ", 300) + "zebra": 0,
	} {
		b.Run(query[:min(len(query), 24)], func(b *testing.B) {
			for b.Loop() {
				page, err := c.Page(context.Background(), "local", resources.Saved, query, "", 20)
				require.NoError(b, err)
				require.Len(b, page, found)
			}
		})
	}
}
