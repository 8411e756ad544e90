package jobs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// Steps that cannot be written to the catalog are written once it works again.
func TestRecord_CatalogFailsForAWhile(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.Lease = 300 * time.Millisecond }, func(t *testing.T, r *rig) {
		r.make(t, "a fox")
		r.breakCatalog(t)
		call, err := r.Start(t.Context(), order("an owl"), nil)
		require.NoError(t, err)
		<-call.Jobs[0].Done()
		lost := call.Jobs[0].Image()
		require.NotNil(t, lost.Failure)
		assert.EqualValues(t, "storage", lost.Failure.Kind)
		assert.Contains(t, lost.Failure.Hint, lost.UpstreamURL)
		assert.Equal(t, resources.Submitted, r.image(t, lost.ID).State)
		refused, err := r.Start(t.Context(), order("sandbox:no_balance"), nil)
		require.NoError(t, err)
		<-refused.Jobs[0].Done()
		r.repairCatalog(t)
		require.Eventually(t, func() bool {
			return r.image(t, lost.ID).UpstreamURL != "" && r.image(t, ids(refused)[0]).State == resources.Failed
		}, 5*time.Second, 10*time.Millisecond)
		assert.False(t, r.image(t, ids(refused)[0]).Charged, "the money is released")
		j, err := r.Follow(t.Context(), r.image(t, lost.ID), nil)
		require.NoError(t, err)
		<-j.Done()
		assert.Equal(t, resources.Saved, r.image(t, lost.ID).State)
		assert.EqualValues(t, 3, r.sandbox.Posts())
	})
}

// An image that came inside the response cannot be fetched again. If its file is
// saved, the row follows as soon as the catalog can be written, and nothing is
// paid a second time.
func TestRecord_FileSavedWithoutItsRow(t *testing.T) {
	t.Parallel()
	const (
		prompt      = "sandbox:b64 an owl"
		neverExpire = time.Hour // so that only the call below can write what is pending
	)
	for name, again := range map[string]func(t *testing.T, r *rig, id string) resources.Image{
		"get_image": func(t *testing.T, r *rig, id string) resources.Image {
			j, err := r.Follow(t.Context(), r.image(t, id), nil)
			require.NoError(t, err)
			<-j.Done()
			return j.Image()
		},
		"equal call": func(t *testing.T, r *rig, _ string) resources.Image {
			call, err := r.Start(t.Context(), order(prompt), nil)
			require.NoError(t, err)
			assert.Equal(t, 1, call.Joined)
			<-call.Jobs[0].Done()
			return call.Jobs[0].Image()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(c *jobs.Config) { c.Lease = neverExpire }, func(t *testing.T, r *rig) {
				r.make(t, "a fox")
				testrig.BreakCatalog(t, r.folder, resources.Saved)
				call, err := r.Start(t.Context(), order(prompt), nil)
				require.NoError(t, err)
				<-call.Jobs[0].Done()
				lost := call.Jobs[0].Image()
				require.NotNil(t, lost.Failure)
				assert.Equal(t, resources.KindStorage, lost.Failure.Kind)
				assert.Contains(t, lost.Failure.Hint, "get_image")
				r.repairCatalog(t)
				found := again(t, r, lost.ID)
				assert.Equal(t, lost.ID, found.ID)
				assert.Equal(t, resources.Saved, found.State)
				assert.Nil(t, found.Failure)
				assert.EqualValues(t, 2, r.sandbox.Posts(), "the fox and the owl")
				_, err = r.Library.Read(t.Context(), r.image(t, lost.ID))
				require.NoError(t, err)
			})
		})
	}
}

// Images whose steps were not recorded reach their final state once the catalog
// is repaired.
func TestRecord_CatalogRepaired(t *testing.T) {
	t.Parallel()
	for name, resume := range map[string]func(t *testing.T, r *rig, id string){
		"followed": func(t *testing.T, r *rig, id string) {
			j, err := r.Follow(t.Context(), r.image(t, id), nil)
			require.NoError(t, err)
			<-j.Done()
		},
		"lease expired": func(t *testing.T, r *rig, _ string) {
			r.sql(t, `UPDATE images SET lease_until_ms=1`)
			list, err := r.Recover(t.Context(), false)
			require.NoError(t, err)
			for _, j := range list {
				<-j.Done()
			}
		},
		"next process": func(t *testing.T, r *rig, id string) {
			next := r.another(t, nil)
			require.NoError(t, r.Drain(t.Context()))
			next.sql(t, `UPDATE images SET lease_until_ms=1`)
			list, err := next.Recover(t.Context(), false)
			require.NoError(t, err)
			for _, j := range list {
				<-j.Done()
			}
		},
	} {
		for prompt, want := range map[string]resources.State{"an owl": resources.Saved, "sandbox:no_balance": resources.Failed} {
			t.Run(name+", "+prompt, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, nil)
				r.make(t, "a fox")
				r.breakCatalog(t)
				call, err := r.Start(t.Context(), order(prompt), nil)
				require.NoError(t, err)
				<-call.Jobs[0].Done()
				id := ids(call)[0]
				require.Equal(t, resources.Submitted, r.image(t, id).State)
				r.repairCatalog(t)
				resume(t, r, id)
				image := r.another(t, nil).image(t, id)
				assert.Equal(t, want, image.State)
				assert.Equal(t, want == resources.Saved, image.Charged)
				assert.EqualValues(t, 2, r.sandbox.Posts())
			})
		}
	}
}

// A writer with stale data of an image does not overwrite newer data.
func TestRecord_StaleWriter(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	image := r.orphan(t, resources.Image{State: resources.Submitted, CostMicroUSD: 10_000})
	r.sql(t, `UPDATE images SET lease_owner='taker', lease_until_ms=9999999999999`)
	stale := image
	image.State, image.UpstreamURL = resources.Answered, "https://x.example/a.png"
	require.NoError(t, r.Library.Catalog().Record(t.Context(), image, resources.Guard{}))
	stale.State, stale.Failure = resources.Unknown, &resources.Failure{Kind: "outcome_unknown"}
	require.ErrorIs(t, r.Library.Catalog().Record(t.Context(), stale, resources.Guard{From: resources.Submitted, Lease: resources.Lease{Process: "taker"}}), resources.ErrSettled)
	require.ErrorIs(t, r.Library.Catalog().Record(t.Context(), stale, resources.Guard{}), resources.ErrSettled)
	assert.Equal(t, "https://x.example/a.png", r.image(t, image.ID).UpstreamURL, "the link is kept")
	other := r.orphan(t, resources.Image{State: resources.Queued})
	other.State = resources.Submitted
	require.ErrorIs(t, r.Library.Catalog().Record(t.Context(), other, resources.Guard{From: resources.Queued, Lease: resources.Lease{Process: r.Process}}), resources.ErrSettled, "the image is not leased by this process")
}
