package resources_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/resources"
)

// The state of an image decides its status for callers, and whether it may still be
// saved.
func TestImage_Status(t *testing.T) {
	t.Parallel()
	want := map[resources.State]struct {
		status               resources.Status
		working, recoverable bool
	}{
		resources.Queued:      {resources.StatusWorking, true, true},
		resources.Submitted:   {resources.StatusWorking, true, true},
		resources.Polling:     {resources.StatusWorking, true, true},
		resources.PollFailed:  {resources.StatusUnknown, false, true},
		resources.Answered:    {resources.StatusWorking, true, true},
		resources.FetchFailed: {resources.StatusFailed, false, true},
		resources.Saved:       {resources.StatusSaved, false, false},
		resources.Failed:      {resources.StatusFailed, false, false},
		resources.Unknown:     {resources.StatusUnknown, false, false},
		resources.Lost:        {resources.StatusFailed, false, false},
		resources.Removed:     {resources.StatusFailed, false, false},
	}
	for _, state := range resources.States() {
		i := resources.Image{State: state}
		assert.Equal(t, want[state].status, i.Status(), state)
		assert.Equal(t, want[state].working, i.Working(), state)
		assert.Equal(t, want[state].recoverable, i.Recoverable(), state)
	}
	assert.Len(t, want, len(resources.States()))
}
