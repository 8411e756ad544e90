package resources_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// Equal calls run once, and go on while one of their callers waits.
func TestSharedCalls_RunOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls resources.SharedCalls[int]
		var runs, ended atomic.Int64
		finish := make(chan struct{})
		f := func(ctx context.Context) (int, error) {
			runs.Add(1)
			<-finish
			return 7, ctx.Err()
		}
		impatient, giveUp := context.WithCancel(t.Context())
		for n, ctx := range []context.Context{impatient, t.Context(), t.Context()} {
			go func() {
				value, err := calls.Do(ctx, "key", f)
				if n == 0 {
					assert.ErrorIs(t, err, context.Canceled)
				} else {
					assert.NoError(t, err)
					assert.Equal(t, 7, value)
				}
				ended.Add(1)
			}()
			synctest.Wait()
		}
		giveUp()
		synctest.Wait()
		assert.EqualValues(t, 1, ended.Load(), "the first caller does not wait")
		close(finish)
		synctest.Wait()
		assert.EqualValues(t, 3, ended.Load())
		assert.EqualValues(t, 1, runs.Load())
	})
}

// A call for which nobody waits is cancelled, and a later equal call starts anew.
func TestSharedCalls_Abandoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls resources.SharedCalls[int]
		var cancelled atomic.Bool
		ctx, giveUp := context.WithCancel(t.Context())
		go func() {
			_, err := calls.Do(ctx, "key", func(ctx context.Context) (int, error) {
				<-ctx.Done()
				cancelled.Store(true)
				return 0, ctx.Err()
			})
			assert.ErrorIs(t, err, context.Canceled)
		}()
		synctest.Wait()
		giveUp()
		synctest.Wait()
		assert.True(t, cancelled.Load())
		value, err := calls.Do(t.Context(), "key", func(context.Context) (int, error) { return 8, nil })
		require.NoError(t, err)
		assert.Equal(t, 8, value)
	})
}

// Calls that fail or panic return their error to every caller, and do not affect later ones.
func TestSharedCalls_Failure(t *testing.T) {
	t.Parallel()
	var calls resources.SharedCalls[int]
	broken := errors.New("broken")
	_, err := calls.Do(t.Context(), "key", func(context.Context) (int, error) { return 0, broken })
	require.ErrorIs(t, err, broken)
	_, err = calls.Do(t.Context(), "key", func(context.Context) (int, error) { panic("a defect") })
	require.ErrorContains(t, err, "a defect")
	value, err := calls.Do(t.Context(), "key", func(context.Context) (int, error) { return 9, nil })
	require.NoError(t, err)
	assert.Equal(t, 9, value)
}
