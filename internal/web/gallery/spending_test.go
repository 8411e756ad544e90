package gallery_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// The spending of 30 days is a chart and a table. Money of the sandbox is apart.
func TestGallery_Spending(t *testing.T) {
	r := newRig(t, nil)
	r.now = noon
	fill(t, r.library, 40, noon, 24*time.Hour, func(row *resources.Row) {
		if row.CreatedAt.Day() == 1 {
			row.CostMicroUSD = 15_000
		}
	})
	fill(t, r.library, 2, noon.Add(-time.Hour), time.Minute, func(row *resources.Row) { row.Sandbox, row.CostMicroUSD = true, 500_000 })
	fill(t, r.library, 2, noon.Add(-2*time.Hour), time.Minute, func(row *resources.Row) { row.Owner = "alice" })
	page := r.get(t, "/gallery/spending").body
	assert.Contains(t, page, "$0.305")
	assert.Contains(t, page, "2026-10-22")
	assert.NotContains(t, page, "2026-10-21")
	charts := nodes(t, page, "svg")
	require.Len(t, charts, 2)
	var heights []float64
	for _, bar := range nodes(t, page, "rect") {
		height, err := strconv.ParseFloat(attribute(bar, "height"), 64)
		require.NoError(t, err)
		heights = append(heights, height)
	}
	require.Len(t, heights, 60)
	assert.InDelta(t, heights[10], heights[9]*1.5, 0.01, "1 November cost more")
	assert.Zero(t, heights[58], "the sandbox was not used on the day before")
	assert.Positive(t, heights[59])
	assert.Contains(t, page, "$1.00")
	assert.Equal(t, 2, strings.Count(page, "<table"))
	newRig(t, nil).get(t, "/gallery/spending")
}
