package replicas

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

var update = flag.Bool("update", false, "write docs/serving/failures.md")

const failuresPage = "../../../docs/serving/failures.md"

// outage is a fault of Postgres or S3.
type outage struct {
	name  string
	begin func(p *place)
	end   func(p *place)
}

func outages() []outage {
	s3 := func(name string, f faults) outage {
		return outage{"S3 " + name, func(p *place) { p.s3.set(f) }, func(p *place) { p.s3.set(faults{}) }}
	}
	database := func(name string, f faults) outage {
		return outage{"Postgres " + name, func(p *place) { p.postgres.set(f) }, func(p *place) { p.postgres.set(faults{}) }}
	}
	return []outage{
		s3("refuses connections", faults{Refuse: true}),
		s3("resets connections after 10,000 bytes", faults{ResetAt: 10_000}),
		s3("answers 503", faults{Busy: true}),
		s3("is slow (0.3 s per packet)", faults{Delay: 300 * time.Millisecond}),
		database("is stopped", faults{Refuse: true}),
		{"Postgres fails over", func(p *place) { p.postgres.set(faults{Refuse: true}); p.postgres.set(faults{}) }, func(*place) {}},
		database("is slow (0.3 s per packet)", faults{Delay: 300 * time.Millisecond}),
	}
}

// step is a step of a call at which an outage begins. run makes the call and returns what
// the caller is told. fault must be called once.
type step struct {
	name string
	run  func(ctx context.Context, t *testing.T, f *fleet, fault func()) outcome
}

const failurePrompt = "an image during an outage"

func (f *fleet) generateFailing(ctx context.Context) outcome {
	return f.replicas[0].generate(ctx, "alice", cogview, failurePrompt)
}

func steps() []step {
	return []step{
		{"before the reservation", func(ctx context.Context, _ *testing.T, f *fleet, fault func()) outcome {
			fault()
			return f.generateFailing(ctx)
		}},
		{"in the queue", func(ctx context.Context, t *testing.T, f *fleet, fault func()) outcome {
			// Another owner's image has the only slot until the outage has begun.
			first, release := make(chan bool), make(chan bool)
			f.upstream.beforePost("first in the queue", func() { close(first); <-release })
			var other sync.WaitGroup
			defer other.Wait()
			other.Go(func() { f.replicas[0].generate(ctx, "bob", cogview, "first in the queue") })
			<-first
			result := make(chan outcome, 1)
			go func() { result <- f.generateFailing(ctx) }()
			f.reserved(t)
			fault()
			close(release)
			return <-result
		}},
		{"during the request", func(ctx context.Context, _ *testing.T, f *fleet, fault func()) outcome {
			f.upstream.beforePost(failurePrompt, fault)
			return f.generateFailing(ctx)
		}},
		{"before the download", func(ctx context.Context, _ *testing.T, f *fleet, fault func()) outcome {
			f.upstream.beforeImage(fault)
			return f.generateFailing(ctx)
		}},
		{"while the image is saved", func(ctx context.Context, _ *testing.T, f *fleet, fault func()) outcome {
			f.place.s3.before("PUT /", fault)
			return f.generateFailing(ctx)
		}},
		{"before the delivery", func(ctx context.Context, t *testing.T, f *fleet, fault func()) outcome {
			release := make(chan bool)
			f.upstream.beforePost(failurePrompt, func() { <-release })
			result := make(chan outcome, 1)
			go func() { result <- f.generateFailing(ctx) }() // returns an id after --wait
			id := f.reserved(t)
			o := <-result
			assert.Equal(t, "working", o.status, "%v", o.err)
			close(release)
			l := f.place.library(t)
			require.Eventually(t, func() bool {
				i, err := l.Image(ctx, "alice", id)
				return err == nil && i.State == resources.Saved
			}, 20*time.Second, 20*time.Millisecond)
			fault()
			return outcomeOf(f.replicas[0].call(ctx, "alice", "get_image", fmt.Sprintf(`{"id":%q}`, id)))
		}},
	}
}

// reserved waits until the image of failurePrompt is reserved, and returns its id.
func (f *fleet) reserved(t *testing.T) (id string) {
	t.Helper()
	l := f.place.library(t)
	require.Eventually(t, func() bool {
		rows, err := l.Catalog().Scan(t.Context(), "", resources.StatesThat(resources.State.Recoverable)...)
		for _, row := range rows {
			if row.Prompt == failurePrompt {
				id = row.ID
			}
		}
		return err == nil && id != ""
	}, 20*time.Second, 20*time.Millisecond)
	return id
}

// row is a row of the table of failures.
type row struct {
	outage, step string
	said         string // to the caller during the outage
	posts        int    // until the outage ended
	home         string // what happened afterwards, without another call
	again        string // what the call returns if it is repeated after that
}

// Whatever fails at whatever step of a call: nothing is paid for twice, and an image that
// was paid for is saved in the end.
func TestFailures(t *testing.T) {
	t.Parallel()
	needServers(t)
	var mu sync.Mutex
	table := map[string]row{}
	t.Run("rows", func(t *testing.T) {
		for _, o := range outages() {
			for _, s := range steps() {
				t.Run(o.name+" "+s.name, func(t *testing.T) {
					t.Parallel()
					r := failure(t, o, s)
					mu.Lock()
					defer mu.Unlock()
					table[o.name+s.name] = r
				})
			}
		}
	})
	page := failuresText(table)
	t.Log("\n" + page)
	if *update && !t.Failed() {
		require.NoError(t, os.WriteFile(failuresPage, []byte(page), 0o644))
	}
}

// failure makes one call with an outage at a step.
func failure(t *testing.T, o outage, s step) row {
	t.Helper()
	u := newUpstream(t)
	f := newFleet(t, 1, sharedPlace(t), u, "--wait", "3s", "--max-concurrent", "1")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Second)
	defer cancel()
	first := f.replicas[0].generate(ctx, "alice", cogview, "before the outage")
	require.Equal(t, "saved", f.replicas[0].finish(ctx, "alice", first).status)

	r := row{outage: o.name, step: s.name}
	begun := make(chan bool)
	reached := sync.OnceFunc(func() { close(begun) })
	result := s.run(ctx, t, f, func() { o.begin(f.place); reached() })
	select {
	case <-begun:
	case <-ctx.Done(): // the caller may have been told before that the image is in progress
		require.Fail(t, "the step was not reached")
	}
	r.said, r.posts = result.said(), u.postsFor(failurePrompt)
	assert.LessOrEqual(t, r.posts, 1)
	o.end(f.place)

	// Nobody asks for the image, and it comes home.
	l := f.place.library(t)
	waited := settle(t, l, 150*time.Second)
	posts, list := u.postsFor(failurePrompt), images(t, l, "alice")[failurePrompt]
	switch {
	case posts == 0:
		r.home = "not paid for"
		assert.Empty(t, list)
	case assert.Len(t, list, 1):
		assert.Equal(t, resources.Saved, list[0].State, "an image that was paid for is saved: %+v", list[0].Failure)
		_, err := l.Read(ctx, list[0])
		require.NoError(t, err)
		switch {
		case waited < 3*time.Second:
			r.home = "saved at once"
		case waited < 45*time.Second:
			r.home = "saved within 45 s"
		default:
			r.home = "saved a minute later"
		}
	}

	// The caller, who may have received an error, repeats the call.
	if result.status != "saved" {
		again := f.replicas[0].finish(ctx, "alice", f.generateFailing(ctx))
		assert.Equal(t, "saved", again.status, "%s, %v", again.said(), again.err)
		r.again = "the same image"
		if len(list) == 0 {
			r.again = "an image"
		} else {
			assert.Equal(t, list[0].ID, again.id)
		}
		assert.Equal(t, 1, u.postsFor(failurePrompt), "the image is paid for once")
	}
	f.place.checkClean(t)
	return r
}

// failuresText returns the table as a page of the manual.
func failuresText(table map[string]row) string {
	var b strings.Builder
	b.WriteString(`# What happens when Postgres or S3 is away

Each row is a call of ` + "`generate_image`" + ` during which a server fails at one step. The replicas wait
at most 3 s before they return the id of an image in progress (` + "`--wait 3s`" + `). They have made an image
before the outage, because whether S3 can be written is checked at most once a minute. The outage
ends when the caller has an answer; a failover takes only a moment. *Requests* are those that were
sent to Z.AI until then. *Afterwards* is what happens to the image without any further call, and
*the call again* is what a caller gets who then repeats the call: there is no second payment.

This page is written by a test: ` + "`go test ./.ci/suites/replicas -run Failures -update`" + `.

| Outage | Step at which it begins | The caller is told | Requests | Afterwards | The call again |
| --- | --- | --- | --- | --- | --- |
`)
	for _, o := range outages() {
		for _, s := range steps() {
			if r, ok := table[o.name+s.name]; ok {
				fmt.Fprintf(&b, "| %s | %s | %s | %d | %s | %s |\n", r.outage, r.step, r.said, r.posts, r.home, r.again)
			}
		}
	}
	return b.String()
}
