package replicas

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/folder"
)

// needLoad skips a test that loads the machine for a minute or more.
func needLoad(t *testing.T) {
	t.Helper()
	if os.Getenv("ZAI_TEST_LOAD") == "" {
		t.Skip("NOT TESTED: this loads the machine for minutes; set ZAI_TEST_LOAD=1")
	}
}

// Measures images per second of 1, 2 and 4 replicas.
func TestLoad_Replicas(t *testing.T) {
	needLoad(t)
	overBoth(t, func(t *testing.T, newPlace func(*testing.T) *place) {
		for _, replicas := range []int{1, 2, 4} {
			t.Run(fmt.Sprint(replicas), func(t *testing.T) {
				const total, callers = 400, 64
				u := newUpstream(t)
				f := newFleet(t, replicas, newPlace(t), u, "--daily-budget", "0", "--max-concurrent", "64", "--inline", "none")
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				var next atomic.Int64
				var all sync.WaitGroup
				start := time.Now()
				for caller := range callers {
					all.Go(func() {
						for n := next.Add(1); n <= total; n = next.Add(1) {
							o := f.replicas[caller%replicas].generate(ctx, owners[caller%len(owners)], cogview, fmt.Sprint("image ", n))
							o = f.replicas[caller%replicas].finish(ctx, owners[caller%len(owners)], o)
							assert.Equal(t, "saved", o.status, "%s, %v", o.said(), o.err)
						}
					})
				}
				all.Wait()
				t.Logf("%d replicas, %d callers: %.0f images/s", replicas, callers, total/time.Since(start).Seconds())
				assert.EqualValues(t, total, u.Accepted())
			})
		}
	})
}

// A library of 10,000 images is copied to Postgres and S3. The copy is interrupted twice,
// and complete in the end.
func TestLoad_Copy(t *testing.T) {
	needLoad(t)
	needServers(t)
	const count = 10_000
	from, to := localPlace(t), sharedPlace(t)
	fill(t, from, count)
	copied := to.library(t)
	command := []string{"images", "copy", "--to-store", to.directStore, "--to-catalog", to.directCatalog}
	env := append(to.env(), from.env()...) // those of the source count
	start := time.Now()
	for _, until := range []int{count / 3, 2 * count / 3} {
		c := testrig.Command(t, env, command...)
		require.NoError(t, c.Start())
		require.Eventually(t, func() bool {
			n, err := copied.Catalog().Count(t.Context(), resources.Saved)
			return err == nil && n >= until
		}, 5*time.Minute, 20*time.Millisecond)
		require.NoError(t, c.Process.Kill())
		_ = c.Wait()
	}
	out, err := testrig.Command(t, env, command...).CombinedOutput()
	require.NoError(t, err, string(out))
	t.Logf("copied %d images, interrupted twice, in %.0f s: %s", count, time.Since(start).Seconds(), lastLine(string(out)))
	n, err := copied.Catalog().Count(t.Context(), resources.Saved)
	require.NoError(t, err)
	assert.Equal(t, count, n)
	start = time.Now()
	to.checkClean(t)
	t.Logf("checked in %.0f s", time.Since(start).Seconds())
}

// fill saves small images of several owners in a new local place.
func fill(t *testing.T, p *place, count int) {
	t.Helper()
	l := p.library(t)
	files := folder.New(folder.Options{Dir: p.directStore, Now: time.Now})
	picture := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	var rows []resources.Row
	for n := range count {
		picture.Set(n%64, n/64%64, color.NRGBA{uint8(n), uint8(n >> 8), 200, 255})
		var content bytes.Buffer
		require.NoError(t, png.Encode(&content, picture))
		id, err := l.NewID()
		require.NoError(t, err)
		i := resources.Image{
			ID: id, CallID: id, Owner: owners[n%len(owners)], State: resources.Saved, CreatedAt: time.Now(), Model: cogview, Prompt: fmt.Sprint("picture ", n),
			Size: "64x64", Quality: "standard", Charged: true, CostMicroUSD: 10_000, MIMEType: "image/png", Width: 64, Height: 64, Delivered: true,
			Path: time.Now().UTC().Format("2006/01/02/") + "picture-" + id + ".png",
		}
		i.SHA256, i.Bytes, err = files.Put(t.Context(), i.Path, &content)
		require.NoError(t, err)
		if rows = append(rows, resources.Row{Image: i, UpdatedAt: i.CreatedAt}); len(rows) == 500 || n == count-1 {
			added, err := l.Catalog().Insert(t.Context(), rows...)
			require.NoError(t, err)
			require.Equal(t, len(rows), added)
			rows = nil
		}
	}
}

// lastLine returns the last line of a text.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
