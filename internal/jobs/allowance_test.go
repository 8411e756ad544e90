package jobs_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/limit"
)

// The allowance of an owner takes the place of the general budget.
func TestStart_Allowance(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *jobs.Config) {
		c.BudgetUSD = 0.01
		c.Allowance = func(owner string) limit.Allowance {
			return map[string]limit.Allowance{
				"few": {Images: 2}, "poor": {BudgetUSD: 0.025}, "reader": {ReadOnly: true}, "leaver": {Refused: true},
			}[owner]
		}
	})
	for _, tt := range []struct {
		owner, message, hint string
		made                 int
	}{
		{"few", "The daily limit of 2 images is reached.", "ask who runs this server", 2},
		{"poor", "$0.020 of $0.025 has been spent today", "ask who runs this server", 2},
		{"reader", "not generate any", "ask who runs this server", 0},
		{"leaver", "not generate any", "ask who runs this server", 0},
		{"nobody", "", "", 3},
	} {
		request := order(tt.owner)
		request.Owner, request.N = tt.owner, 3
		call, err := r.Start(t.Context(), request, nil)
		if tt.made == 0 {
			require.ErrorIs(t, err, jobs.ErrReadOnly, tt.owner)
		} else {
			require.NoError(t, err, tt.owner)
			assert.Len(t, wait(t, call), tt.made, tt.owner)
			err = call.Refused
		}
		if tt.message == "" {
			require.NoError(t, err)
			continue
		}
		failure := jobs.Describe(err)
		assert.Contains(t, failure.Message, tt.message, tt.owner)
		assert.Contains(t, failure.Hint, tt.hint, tt.owner)
		assert.NotContains(t, failure.Hint, "--daily-budget", tt.owner)
	}
	assert.EqualValues(t, 7, r.sandbox.Posts())
}
