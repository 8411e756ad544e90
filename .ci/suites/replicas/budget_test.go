package replicas

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

const (
	budgeted       = 100 // images that a budget covers
	callersOfEach  = 64  // replica
	cogviewDollars = 0.01
)

// crowd is a number of callers who request different images of one owner until the
// budget is spent. A caller whose replica is gone repeats the call on the next one.
type crowd struct {
	fleet *fleet
	owner string
	mu    sync.Mutex
	acked map[string]string // hash by id, of images that a caller received
	calls int
}

// run lets n callers call until the budget is spent.
func (c *crowd) run(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	var all sync.WaitGroup
	for caller := range n {
		all.Go(func() {
			for {
				c.mu.Lock()
				c.calls++
				prompt := fmt.Sprintf("sandbox:delay=20ms call %d", c.calls)
				c.mu.Unlock()
				if !c.call(ctx, t, caller, prompt) {
					return
				}
			}
		})
	}
	all.Wait()
}

// call repeats a call until it has a result, and reports whether to make others.
func (c *crowd) call(ctx context.Context, t *testing.T, replica int, prompt string) (more bool) {
	t.Helper()
	var said []string
	for ctx.Err() == nil {
		o := c.fleet.insist(ctx, replica, c.owner, cogview, prompt)
		said = append(said, o.said())
		switch {
		case o.status == "saved":
			c.mu.Lock()
			c.acked[o.id] = o.sha
			c.mu.Unlock()
			return true
		case o.kind == "budget_exceeded":
			return false
		case o.kind == "storage" || o.kind == "rate_limited" || o.status == "working":
			// The catalog is away, calls that wait for it fill the queue, or the image is in
			// progress: again.
			time.Sleep(50 * time.Millisecond)
		case o.kind == "outcome_unknown" || o.kind == "cancelled" || o.kind == "internal":
			return true // the replica was killed
		default:
			assert.Fail(t, "a call has an unexpected outcome", "%s: %s, %v", prompt, o.said(), o.err)
			return false
		}
	}
	assert.Fail(t, "a call has no outcome", "%s: %v", prompt, said)
	return false
}

// checkBudget checks that exactly the budget was spent, and that everything that was
// paid for or acknowledged is there.
func (c *crowd) checkBudget(t *testing.T) (unsent int) {
	t.Helper()
	l := c.fleet.place.library(t)
	charged, saved := 0, 0
	for prompt, list := range images(t, l, c.owner) {
		for _, i := range list {
			if i.Charged {
				charged++
			}
			switch i.State { //nolint:exhaustive // other states are failures without cost
			case resources.Saved:
				saved++
				data, err := l.Read(t.Context(), i)
				require.NoError(t, err)
				assert.NotEmpty(t, data)
			case resources.Unknown:
				if c.fleet.upstream.postsFor(prompt) == 0 {
					unsent++
				}
			}
			if c.fleet.upstream.postsFor(prompt) > 0 {
				assert.Contains(t, []resources.State{resources.Saved, resources.Unknown}, i.State, prompt)
			}
		}
	}
	assert.Equal(t, budgeted, charged, "exactly the budget is spent")
	for id, sha := range c.acked {
		i, err := l.Image(t.Context(), c.owner, id)
		if assert.NoError(t, err) {
			assert.Equal(t, sha, i.SHA256)
		}
	}
	assert.Equal(t, 1, c.fleet.upstream.mostPosts(), "no image is requested twice")
	c.fleet.place.checkClean(t)
	t.Logf("%d calls of %d callers: %d requests to the API, %d images acknowledged, %d saved, %d charged, %d of them killed between reservation and request",
		c.calls, len(c.fleet.replicas)*callersOfEach, c.fleet.upstream.Accepted(), len(c.acked), saved, charged, unsent)
	return unsent
}

func newCrowd(f *fleet) *crowd {
	return &crowd{fleet: f, owner: "alice", acked: map[string]string{}}
}

// budgetFlags give every owner a budget for exactly budgeted images. The requests of a
// killed replica hold their slots until its lease ends; there are more slots than that.
func budgetFlags() []string {
	return []string{"--daily-budget", fmt.Sprintf("%.2f", budgeted*cogviewDollars), "--max-concurrent", "32"}
}

// The daily number of images of an owner is exact over two replicas.
func TestQuotas(t *testing.T) {
	overBoth(t, func(t *testing.T, newPlace func(*testing.T) *place) {
		t.Parallel()
		const pictures = 20
		file := filepath.Join(t.TempDir(), "quotas")
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "* pictures=%d\n", pictures), 0o600))
		u := newUpstream(t)
		c := newCrowd(newFleet(t, 2, newPlace(t), u, "--quotas", file, "--max-concurrent", "32"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c.run(ctx, t, 24)
		assert.EqualValues(t, pictures, u.Accepted())
		assert.Len(t, c.acked, pictures)
		assert.Equal(t, 1, u.mostPosts(), "no image is requested twice")
		c.fleet.place.checkClean(t)
	})
}

// The budget of an owner is exact, however many replicas the owner's callers use.
func TestBudget(t *testing.T) {
	overBoth(t, func(t *testing.T, newPlace func(*testing.T) *place) {
		t.Parallel()
		u := newUpstream(t)
		c := newCrowd(newFleet(t, 4, newPlace(t), u, budgetFlags()...))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		c.run(ctx, t, 4*callersOfEach)
		t.Logf("took %v", time.Since(start).Round(time.Millisecond))
		assert.EqualValues(t, budgeted, u.Accepted())
		assert.Len(t, c.acked, budgeted)
		c.checkBudget(t)
	})
}

// The budget stays exact, and nothing is lost or paid twice, while replicas are killed
// and Postgres restarts.
func TestBudget_Kills(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, newPlace func(*testing.T) *place) {
		t.Parallel()
		var restart func()
		p := func() *place {
			if t.Name() == "TestBudget_Kills/SQLite_and_folder" {
				return newPlace(t)
			}
			server := testrig.StartPostgres(t)
			restart = server.Crash
			return placeOn(t, server.URL)
		}()
		u := newUpstream(t)
		f := newFleet(t, 4, p, u, budgetFlags()...)
		c := newCrowd(f)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()

		// After every 25 accepted requests, a replica is killed and started again. Postgres
		// restarts after 50, so that replicas have results that they cannot record.
		var spent atomic.Bool
		var chaos sync.WaitGroup
		kills := 0
		chaos.Go(func() {
			restarted := restart == nil
			for !spent.Load() {
				switch n := int(u.Accepted()); {
				case !restarted && n >= budgeted/2:
					restart()
					restarted = true
				case n >= 25*(kills+1) && kills < 3:
					r := f.replicas[kills%len(f.replicas)]
					r.kill()
					r.start()
					kills++
				default:
					time.Sleep(time.Millisecond)
				}
			}
			if !restarted {
				restart()
			}
		})
		c.run(ctx, t, 4*callersOfEach)
		spent.Store(true)
		chaos.Wait()

		// Images whose replica was killed are finished by others. Those that were never
		// requested are not charged, so that more calls fit into the budget.
		l := p.library(t)
		settle(t, l, 90*time.Second)
		c.run(ctx, t, 8)
		settle(t, l, 30*time.Second)
		t.Logf("%d kills", kills)
		unsent := c.checkBudget(t)
		assert.Equal(t, budgeted, int(u.Accepted())+unsent)
	})
}
