package jobs_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
)

// The first call of Confirm or Cancel decides whether an equal call joins.
// Images added after the delivery has ended are not delivered.
func TestDelivery(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		deliver func(t *testing.T, d *jobs.Delivery, id string)
		joined  int
	}{
		"confirmed": {func(t *testing.T, d *jobs.Delivery, id string) { d.Begin(id); d.Confirm(t.Context()); d.Cancel() }, 0},
		"cancelled": {func(t *testing.T, d *jobs.Delivery, id string) { d.Begin(id); d.Cancel(); d.Confirm(t.Context()) }, 1},
		"open":      {func(_ *testing.T, d *jobs.Delivery, id string) { d.Begin(id) }, 0},
		"begun after the end": {func(t *testing.T, d *jobs.Delivery, id string) {
			d.Confirm(t.Context())
			d.Begin(id)
			d.Confirm(t.Context())
		}, 1},
		"empty": {func(t *testing.T, d *jobs.Delivery, _ string) { assert.True(t, d.Empty()); d.Confirm(t.Context()) }, 1},
		"nil": {func(t *testing.T, _ *jobs.Delivery, id string) {
			var d *jobs.Delivery
			d.Begin(id)
			assert.True(t, d.Empty())
			d.Confirm(t.Context())
			d.Cancel()
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			call, err := r.Start(t.Context(), order("a fox"), nil)
			require.NoError(t, err)
			wait(t, call)
			tt.deliver(t, r.NewDelivery(), ids(call)[0])
			again, err := r.Start(t.Context(), order("a fox"), nil)
			require.NoError(t, err)
			wait(t, again)
			assert.Equal(t, tt.joined, again.Joined)
		})
	}
}

// An equal call does not join images that are being delivered, unless their
// delivery is cancelled.
func TestDelivery_InProgress(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	call, err := r.Start(t.Context(), order("a fox"), nil)
	require.NoError(t, err)
	wait(t, call)
	delivery := r.NewDelivery()
	delivery.Begin(ids(call)...)
	other, err := r.Start(t.Context(), order("a fox"), nil)
	require.NoError(t, err)
	assert.Zero(t, other.Joined)
	wait(t, other)
	r.deliver(t, ids(other)...)
	delivery.Cancel()
	again, err := r.Start(t.Context(), order("a fox"), nil)
	require.NoError(t, err)
	assert.Equal(t, ids(call), ids(again))
	assert.EqualValues(t, 2, r.sandbox.Posts())
}
