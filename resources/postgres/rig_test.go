package postgres_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/postgres"
)

func TestMain(m *testing.M) { testrig.Main(m) }

// open returns a catalog in a database of the test.
func open(t testing.TB, url string) *postgres.Catalog {
	t.Helper()
	c, err := postgres.New(postgres.Options{URL: url, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

func newID() string { return strings.ToLower(ulid.MustNew(ulid.Now(), rand.Reader).String()) }

// image returns an image that costs 1 US cent.
func image(owner, prompt string) resources.Image {
	id := newID()
	return resources.Image{
		ID: id, CallID: id, Owner: owner, CreatedAt: time.Now(), Model: "cogview-4-250304", Prompt: prompt, Size: "1024x1024",
		Quality: "standard", CostMicroUSD: 10_000, Charged: true,
	}
}

func lease(process string) resources.Lease {
	return resources.Lease{Process: process, For: time.Minute}
}

// reserve reserves an image for an owner with a budget of 1e-6 US dollars.
func reserve(ctx context.Context, c resources.Catalog, i resources.Image, budget int64) (resources.Outcome, error) {
	return c.Reserve(ctx, resources.Reservation{
		Images: []resources.Image{i}, Count: 1, Budget: budget, Lease: lease("one"),
		Slots: resources.Slots{Key: "key", Limit: 5}, Client: "client",
	})
}

// save reserves and saves an image.
func save(t testing.TB, c resources.Catalog, owner, prompt string) resources.Image {
	t.Helper()
	reserved, err := c.Reserve(t.Context(), resources.Reservation{Images: []resources.Image{image(owner, prompt)}, Count: 1, Lease: lease("one")})
	require.NoError(t, err)
	i := reserved.New[0]
	i.State, i.Path, i.MIMEType = resources.Saved, "a.png", "image/png"
	require.NoError(t, c.Record(t.Context(), i, resources.Guard{}))
	return i
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func contextWithTimeout(t testing.TB, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), limit)
}
