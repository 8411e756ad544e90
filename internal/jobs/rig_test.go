package jobs_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

func TestMain(m *testing.M) {
	testrig.Main(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// rig is a pipeline on a library and a sandbox.
type rig struct {
	*jobs.Pipeline
	sandbox  *sandbox.Sandbox
	attempts func() []zai.Attempt // of the client
	folder   string
}

// newRig returns a rig whose sandbox is an HTTP server. change may be nil.
func newRig(t *testing.T, change func(*jobs.Config)) *rig {
	t.Helper()
	w := testrig.Pipeline(t, testrig.Options{Jobs: change})
	return &rig{Pipeline: w.Pipeline, sandbox: w.API.Sandbox, attempts: w.API.Attempts, folder: w.Folder}
}

// newServiceRig returns a rig whose sandbox has the given options and is behind
// a handler. change may be nil.
func newServiceRig(t *testing.T, o sandbox.Options, wrap func(http.Handler) http.Handler, change func(*jobs.Config)) *rig {
	t.Helper()
	api := testrig.API(t, func(a *testrig.APIOptions) { a.Sandbox, a.Wrap = o, wrap })
	w := testrig.Pipeline(t, testrig.Options{API: api, Jobs: change})
	return &rig{Pipeline: w.Pipeline, sandbox: api.Sandbox, attempts: api.Attempts, folder: w.Folder}
}

// inBubble runs a test in a synctest bubble, where delays and leases take no
// time. The rig's sandbox is called without a network, which a bubble does not
// support.
func inBubble(t *testing.T, change func(*jobs.Config), test func(t *testing.T, r *rig)) {
	t.Helper()
	testrig.NeedLocal(t, "a bubble of synctest has no network")
	synctest.Test(t, func(t *testing.T) {
		r := &rig{sandbox: sandbox.New(sandbox.Options{MaxConcurrent: sandbox.Unlimited}), folder: t.TempDir()}
		client, err := zai.NewClient("key", zai.WithBaseURL("http://127.0.0.1"+sandbox.BasePath), zai.WithHTTPClient(&http.Client{Transport: testrig.Transport{Handler: r.sandbox}}),
			zai.WithClock(time.Now, func(time.Duration) time.Duration { return 0 }))
		require.NoError(t, err)
		t.Cleanup(client.Close)
		library := testrig.Library(t, func(o *testrig.LibraryOptions) { o.Folder = r.folder })
		config := jobs.Config{Client: client, Library: library, Process: rand.Text(), MaxConcurrent: 5, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		if change != nil {
			change(&config)
		}
		r.Pipeline = jobs.New(config)
		t.Cleanup(func() {
			r.sandbox.Close() // ends the delays of responses
			_ = r.Drain(context.Background())
		})
		test(t, r)
	})
}

// another returns the rig of another process on the same library.
func (r *rig) another(t *testing.T, change func(*jobs.Config)) *rig {
	t.Helper()
	other := &rig{sandbox: r.sandbox, attempts: r.attempts, folder: r.folder}
	config := r.Config
	config.Process = rand.Text()
	config.Library = testrig.Library(t, func(o *testrig.LibraryOptions) { o.Folder, o.Now = r.folder, config.Now })
	if change != nil {
		change(&config)
	}
	other.Pipeline = jobs.New(config)
	t.Cleanup(func() {
		r.sandbox.Close()
		_ = other.Drain(context.Background())
	})
	return other
}

// order returns a request for one image of a model without tasks.
func order(prompt string) jobs.Request {
	return jobs.Request{Owner: "local", Model: "cogview-4-250304", Prompt: prompt, Size: "512x512", Quality: "standard", PriceUSD: 0.01}
}

// poster returns a request for one image of a model that generates images as
// tasks.
func poster(prompt string) jobs.Request {
	return jobs.Request{Owner: "local", Model: "glm-image", Prompt: prompt, Size: "512x512", Quality: "hd", PriceUSD: 0.015}
}

// run starts a call and waits for its images.
func (r *rig) run(ctx context.Context, request jobs.Request) (*jobs.Call, error) {
	return r.Run(ctx, request, nil, func(call *jobs.Call) error {
		for _, j := range call.Jobs {
			<-j.Done()
		}
		return nil
	})
}

// start starts a call for one image and returns its job.
func (r *rig) start(ctx context.Context, request jobs.Request, watch func(jobs.Stage)) (*jobs.Job, error) {
	call, err := r.Start(ctx, request, watch)
	if err != nil {
		return nil, err
	}
	return call.Jobs[0], nil
}

// make generates an image and delivers it to the caller.
func (r *rig) make(t *testing.T, prompt string) resources.Image {
	t.Helper()
	j, err := r.start(t.Context(), order(prompt), nil)
	require.NoError(t, err)
	<-j.Done()
	image := r.image(t, j.ID())
	require.Equal(t, j.Image(), image, "job and catalog agree")
	r.deliver(t, image.ID)
	return image
}

// deliver confirms the delivery of images.
func (r *rig) deliver(t *testing.T, ids ...string) {
	t.Helper()
	d := r.NewDelivery()
	d.Begin(ids...)
	d.Confirm(t.Context())
}

// image returns an image of the catalog.
func (r *rig) image(t *testing.T, id string) resources.Image {
	t.Helper()
	image, err := r.Library.Image(t.Context(), "local", id)
	require.NoError(t, err)
	return image
}

// orphan writes an image to the catalog as a process that died left it.
func (r *rig) orphan(t *testing.T, image resources.Image) resources.Image {
	t.Helper()
	id, err := r.Library.NewID()
	require.NoError(t, err)
	now := time.Now().UTC().Truncate(time.Millisecond)
	image.ID, image.CallID, image.Owner, image.CreatedAt, image.Charged = id, id, "local", now, true
	added, err := r.Library.Catalog().Insert(t.Context(), resources.Row{Image: image, UpdatedAt: now})
	require.NoError(t, err)
	require.Equal(t, 1, added)
	return image
}

// submitted reserves an image whose request another process is about to send.
func (r *rig) submitted(t *testing.T, lease resources.Lease) resources.Image {
	t.Helper()
	id, err := r.Library.NewID()
	require.NoError(t, err)
	reserved, err := r.Library.Catalog().Reserve(t.Context(), resources.Reservation{
		Images: []resources.Image{{ID: id, CallID: id, Owner: "local", Model: "cogview-4-250304", Prompt: "x", Size: "9x9"}}, Count: 1,
		Lease: lease, Slots: resources.Slots{Key: r.Client.KeyID()},
	})
	require.NoError(t, err)
	require.Len(t, reserved.New, 1)
	require.Equal(t, resources.Submitted, reserved.New[0].State)
	return reserved.New[0]
}

// ids returns the ids of the images of a call.
func ids(call *jobs.Call) (list []string) {
	for _, j := range call.Jobs {
		list = append(list, j.ID())
	}
	return list
}

// wait waits for the images of a call, which must all be saved.
func wait(t *testing.T, call *jobs.Call) []resources.Image {
	t.Helper()
	var images []resources.Image
	for _, j := range call.Jobs {
		<-j.Done()
		images = append(images, j.Image())
		assert.Equal(t, resources.Saved, j.Image().State, "%+v", j.Image().Failure)
	}
	return images
}

// sqlf is sql with a format.
func (r *rig) sqlf(t *testing.T, format string, arguments ...any) {
	t.Helper()
	r.sql(t, fmt.Sprintf(format, arguments...))
}

// sql runs a statement on the catalog.
func (r *rig) sql(t *testing.T, statement string) {
	t.Helper()
	_, err := testrig.SQL(t, r.folder).Exec(statement)
	require.NoError(t, err)
}

// breakCatalog makes the catalog refuse the results of requests, until repairCatalog.
func (r *rig) breakCatalog(t *testing.T) {
	t.Helper()
	testrig.BreakCatalog(t, r.folder, resources.Answered, resources.FetchFailed, resources.Saved, resources.Failed)
}

func (r *rig) repairCatalog(t *testing.T) {
	t.Helper()
	testrig.RepairCatalog(t, r.folder)
}

// breakFolder returns a watch function that replaces the year's folder by a
// file once an image is paid for, so that it cannot be saved, and a function
// that repairs that.
func (r *rig) breakFolder(t *testing.T) (watch func(jobs.Stage), repair func()) {
	t.Helper()
	testrig.NeedLocal(t, "it breaks the folder")
	year := filepath.Join(r.folder, time.Now().UTC().Format("2006"))
	watch = func(s jobs.Stage) {
		if s.Phase == jobs.PhaseDownloading {
			assert.NoError(t, os.RemoveAll(year))
			assert.NoError(t, os.WriteFile(year, nil, 0o600))
		}
	}
	return watch, func() { require.NoError(t, os.Remove(year)) }
}
