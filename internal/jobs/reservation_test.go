package jobs_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/folder"
	"zai-image-mcp/resources/sqlite"
)

// silent is a catalog that commits reservations and then fails, as if its answer had
// been lost, and which cannot be reached while it is away.
type silent struct {
	resources.Catalog
	lose, away atomic.Bool
}

func (s *silent) Reserve(ctx context.Context, r resources.Reservation) (resources.Outcome, error) {
	outcome, err := s.Catalog.Reserve(ctx, r)
	if err == nil && s.lose.Load() {
		s.away.Store(true)
		return resources.Outcome{}, fmt.Errorf("%w: connection lost", resources.ErrStorage)
	}
	return outcome, err
}

func (s *silent) Row(ctx context.Context, id string) (resources.Row, error) {
	if s.away.Load() {
		return resources.Row{}, fmt.Errorf("%w: no connection", resources.ErrStorage)
	}
	return s.Catalog.Row(ctx, id)
}

// behind returns the rig of a process that reaches the catalog of the rig's library
// through s.
func (s *silent) behind(t *testing.T, r *rig) *rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s.Catalog = sqlite.New(sqlite.Options{Path: filepath.Join(r.folder, ".catalog.db"), Now: time.Now, Log: log})
	library := resources.New(resources.Options{
		Store:    folder.New(folder.Options{Dir: r.folder, Now: time.Now}),
		Previews: folder.New(folder.Options{Dir: filepath.Join(r.folder, ".previews"), Now: time.Now}),
		Catalog:  s, Now: time.Now, Random: rand.Reader, Log: log,
	})
	t.Cleanup(func() { assert.NoError(t, library.Close()) })
	return r.another(t, func(c *jobs.Config) { c.Library = library })
}

// Images whose reservation was committed although its answer was lost are cancelled
// when the catalog answers again: they cost nothing, keep no slot, and no equal call
// joins them.
func TestStart_AnswerOfReservationLost(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]func(t *testing.T, r *rig){
		"equal call": func(t *testing.T, r *rig) {
			t.Helper()
			call, err := r.Start(t.Context(), twoFoxes(), nil)
			require.NoError(t, err)
			assert.Zero(t, call.Joined)
			wait(t, call)
			assert.EqualValues(t, 2, r.sandbox.Posts())
		},
		"after a while": func(_ *testing.T, r *rig) { time.Sleep(r.Lease) },
		"shutdown":      func(t *testing.T, r *rig) { t.Helper(); require.NoError(t, r.Drain(t.Context())) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
				catalog := &silent{}
				r = catalog.behind(t, r)
				catalog.lose.Store(true)
				_, err := r.Start(t.Context(), twoFoxes(), nil)
				require.ErrorIs(t, err, resources.ErrStorage)
				_, err = r.Start(t.Context(), twoFoxes(), nil)
				require.ErrorIs(t, err, resources.ErrStorage, "an equal call is refused while it could join them")
				rows, err := catalog.Scan(t.Context(), "", resources.Submitted, resources.Queued)
				require.NoError(t, err)
				require.Len(t, rows, 2, "control: the rows exist")
				catalog.lose.Store(false)
				catalog.away.Store(false)
				back(t, r)
				for _, row := range rows {
					i, err := catalog.Row(t.Context(), row.ID)
					require.NoError(t, err)
					require.Equal(t, resources.Failed, i.State)
					assert.False(t, i.Charged)
					assert.Equal(t, resources.KindCancelled, i.Failure.Kind)
				}
			})
		})
	}
}

func twoFoxes() jobs.Request {
	request := order("two foxes")
	request.N = 2
	return request
}
