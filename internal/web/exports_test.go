package web_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/folder"
	"zai-image-mcp/resources/render"
	"zai-image-mcp/resources/sqlite"
)

const bobToken = "bob-0123456789abcdefgh"

// slowStore is a store whose files cannot be opened before ready is closed.
type slowStore struct {
	resources.Store
	ready chan struct{}
}

func (s slowStore) Open(ctx context.Context, name string) (resources.File, error) {
	<-s.ready
	return s.Store.Open(ctx, name)
}

// newLibrary returns a library whose images cannot be read before ready is closed.
func newLibrary(t testing.TB, ready chan struct{}) *resources.Library {
	t.Helper()
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	l := resources.New(resources.Options{
		Store:    slowStore{folder.New(folder.Options{Dir: dir, Now: time.Now}), ready},
		Previews: folder.New(folder.Options{Dir: filepath.Join(dir, ".previews"), Now: time.Now}),
		Exports:  folder.New(folder.Options{Dir: filepath.Join(dir, ".exports"), Now: time.Now}),
		Catalog:  sqlite.New(sqlite.Options{Path: filepath.Join(dir, ".catalog.db"), Now: time.Now, Log: log}),
		Now:      time.Now, Random: rand.Reader, Log: log,
	})
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// saveImage saves an image of an owner.
func saveImage(t testing.TB, l *resources.Library, owner string) resources.Image {
	t.Helper()
	id, err := l.NewID()
	require.NoError(t, err)
	outcome, err := l.Catalog().Reserve(t.Context(), resources.Reservation{Images: []resources.Image{{ID: id, Owner: owner, State: resources.Submitted, Prompt: "x"}}, Count: 1})
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 40, 30))))
	i, err := l.Save(t.Context(), outcome.New[0], resources.Content{Reader: &b, MIMEType: "image/png", Extension: ".png", Width: 40, Height: 30}, "")
	require.NoError(t, err)
	return i
}

// An export is served to its owner, and to everybody with its signed link.
func TestExports_Access(t *testing.T) {
	ready := make(chan struct{})
	close(ready)
	l := newLibrary(t, ready)
	links := resources.NewLinks(l, "", time.Hour)
	r := newRigWithLinks(t, web.ListenConfig{AuthTokens: testrig.TokenFile(t, "alice:"+aliceToken, "bob:"+bobToken)}, links)
	i := saveImage(t, l, "alice")
	spec, err := render.ParseSpec("webp-20x10-cover")
	require.NoError(t, err)
	link, _, err := links.ExportURL(t.Context(), i, spec)
	require.NoError(t, err)
	path := "/images/" + i.ID + "/exports/webp-20x10-cover.webp"
	for name, tt := range map[string]struct {
		path, token string
		status      int
	}{
		"signed":        {link, "", http.StatusOK},
		"owner":         {path, aliceToken, http.StatusOK},
		"another owner": {path, bobToken, http.StatusNotFound},
		"nobody":        {path, "", http.StatusUnauthorized},
		"wrong link":    {link + "x", "", http.StatusForbidden},
	} {
		headers := []string{}
		if tt.token != "" {
			headers = []string{"Authorization", "Bearer " + tt.token}
		}
		response := r.do(t, http.MethodGet, tt.path, "", headers...)
		assert.Equal(t, tt.status, response.StatusCode, name)
		assert.Equal(t, tt.status == http.StatusOK, response.Header.Get("Content-Type") == "image/webp", name)
	}
}

// One owner cannot make more exports at the same time than their share. The others are
// served.
func TestExports_Bounded(t *testing.T) {
	ready := make(chan struct{})
	l := newLibrary(t, ready)
	r := newRigWithLinks(t, web.ListenConfig{AuthTokens: testrig.TokenFile(t, "alice:"+aliceToken, "bob:"+bobToken)}, resources.NewLinks(l, "", time.Hour))
	const share = limit.WebExports / limit.Share
	i, other := saveImage(t, l, "alice"), saveImage(t, l, "bob")
	get := func(i resources.Image, token string, width int) int {
		path := fmt.Sprintf("/images/%s/exports/png-%dx10-cover.png", i.ID, width)
		return r.do(t, http.MethodGet, path, "", "Authorization", "Bearer "+token).StatusCode
	}
	statuses := make(chan int)
	for n := range share + 1 {
		go func() { statuses <- get(i, aliceToken, n+1) }()
	}
	assert.Equal(t, http.StatusServiceUnavailable, <-statuses, "the only one that is answered: nothing can be made yet")
	go func() { statuses <- get(other, bobToken, 1) }()
	close(ready)
	for range share + 1 {
		assert.Equal(t, http.StatusOK, <-statuses)
	}
	assert.Equal(t, http.StatusOK, get(i, aliceToken, 100))
}
