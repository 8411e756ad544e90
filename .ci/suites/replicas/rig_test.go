// Package replicas tests that several equal servers on one catalog and one store keep
// the promises of a single server about money and images, also while servers are killed
// and while Postgres or S3 is away. The servers are processes of the built program; the
// API, and proxies in front of Postgres and S3, are in the process of the test.
//
// The tests over Postgres and S3 need ZAI_TEST_POSTGRES, the URL of a server on which
// databases can be created, and ZAI_TEST_S3, a URL like
// s3://bucket?endpoint=http://127.0.0.1:7070&path_style=true, with the credentials in
// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
package replicas

import (
	"crypto/rand"
	"errors"
	"flag"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/bucket"
	"zai-image-mcp/resources/folder"
	"zai-image-mcp/resources/postgres"
	"zai-image-mcp/resources/sqlite"
)

// TestMain runs more tests at a time than there are processors, because those that are
// parallel wait for leases and retries most of the time. The tests name the places of
// replicas themselves; the variable that selects a backend for other suites would send
// replicas to other places, past the proxies.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := errors.Join(flag.Set("test.parallel", "20"), os.Unsetenv(testrig.BackendVariable)); err != nil {
		panic(err)
	}
	status := m.Run()
	testrig.RemoveProgram()
	os.Exit(status)
}

// place is where replicas keep their images. The URLs of the replicas lead through the
// proxies, the direct ones do not.
type place struct {
	store, catalog             string
	directStore, directCatalog string
	postgres, s3               *proxy // nil for a folder with a SQLite file
}

// overBoth runs a test over SQLite and a folder and, if there are servers, over Postgres
// and S3.
func overBoth(t *testing.T, test func(t *testing.T, newPlace func(t *testing.T) *place)) {
	t.Helper()
	t.Run("SQLite and folder", func(t *testing.T) { test(t, localPlace) })
	t.Run("Postgres and S3", func(t *testing.T) {
		needServers(t)
		test(t, sharedPlace)
	})
}

// localPlace returns a new place in a folder of this machine.
func localPlace(t *testing.T) *place {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "images")
	catalog := filepath.Join(folder, ".catalog.db")
	return &place{store: folder, catalog: catalog, directStore: folder, directCatalog: catalog}
}

// needServers skips a test without the servers that it needs.
func needServers(t *testing.T) {
	t.Helper()
	for _, name := range []string{"ZAI_TEST_POSTGRES", "ZAI_TEST_S3"} {
		if os.Getenv(name) == "" {
			t.Skip("NOT TESTED: replicas over Postgres and S3; set " + name)
		}
	}
}

// sharedPlace returns a new place in a database of its own and below a prefix of its own
// in the bucket, with proxies in front of both.
func sharedPlace(t *testing.T) *place {
	t.Helper()
	return placeOn(t, os.Getenv("ZAI_TEST_POSTGRES"))
}

// placeOn returns a new place on a Postgres server.
func placeOn(t *testing.T, server string) *place {
	t.Helper()
	name := "replicas_" + strings.ToLower(rand.Text())
	p := &place{directCatalog: createDatabase(t, server, name)}
	p.postgres, p.catalog = through(t, p.directCatalog)

	bucket, err := url.Parse(os.Getenv("ZAI_TEST_S3"))
	require.NoError(t, err)
	bucket.Path = "/" + name
	p.directStore = bucket.String()
	query := bucket.Query()
	var endpoint string
	p.s3, endpoint = through(t, query.Get("endpoint"))
	query.Set("endpoint", endpoint)
	bucket.RawQuery = query.Encode()
	p.store = bucket.String()
	return p
}

// through returns a proxy in front of the server in a URL, and the URL through it.
func through(t *testing.T, direct string) (*proxy, string) {
	t.Helper()
	server, err := url.Parse(direct)
	require.NoError(t, err)
	p := newProxy(t, server.Host)
	server.Host = p.address
	return p, server.String()
}

// env returns the environment of a process that uses the place.
func (p *place) env() []string {
	env := []string{"ZAI_IMAGE_STORE=" + p.store, "ZAI_IMAGE_CATALOG=" + p.catalog}
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "AWS_") {
			env = append(env, variable)
		}
	}
	return env
}

// library opens the images of a place in the process of the test, past the proxies.
func (p *place) library(t testing.TB) *resources.Library {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	previews := folder.New(folder.Options{Dir: t.TempDir(), Now: time.Now})
	o := resources.Options{Previews: previews, Now: time.Now, Random: rand.Reader, Log: log}
	if p.postgres == nil {
		o.Catalog = sqlite.New(sqlite.Options{Path: p.directCatalog, Now: time.Now, Log: log})
		o.Store = folder.New(folder.Options{Dir: p.directStore, Durable: true, Now: time.Now})
	} else {
		catalog, err := postgres.New(postgres.Options{URL: p.directCatalog, Log: log})
		require.NoError(t, err)
		store, err := bucket.New(bucket.Options{URL: p.directStore, Now: time.Now})
		require.NoError(t, err)
		o.Catalog, o.Store = catalog, store
	}
	l := resources.New(o)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// images returns the images of an owner by prompt, including those that are not saved.
func images(t testing.TB, l *resources.Library, owner string) map[string][]resources.Image {
	t.Helper()
	const all = 1_000_000
	unsaved, err := l.Unsaved(t.Context(), owner, all)
	require.NoError(t, err)
	saved, _, err := l.List(t.Context(), owner, "", "", all)
	require.NoError(t, err)
	list := map[string][]resources.Image{}
	for _, i := range append(unsaved, saved...) {
		list[i.Prompt] = append(list[i.Prompt], i)
	}
	return list
}

// settle waits until no image of any owner may still be saved, and returns how long that
// took.
func settle(t *testing.T, l *resources.Library, longest time.Duration) time.Duration {
	t.Helper()
	recoverable := resources.StatesThat(resources.State.Recoverable)
	start := time.Now()
	for ; ; time.Sleep(100 * time.Millisecond) {
		n, err := l.Catalog().Count(t.Context(), recoverable...)
		require.NoError(t, err)
		if n == 0 {
			return time.Since(start)
		}
		if time.Since(start) > longest {
			break
		}
	}
	rows, err := l.Catalog().Scan(t.Context(), "", recoverable...)
	require.NoError(t, err)
	for _, row := range rows {
		t.Logf("%s %s of %s, changed %v ago, leased for %v, by a live process: %v", row.ID, row.State, row.Prompt,
			time.Since(row.UpdatedAt).Round(time.Second), time.Until(row.LeaseUntil).Round(time.Second), row.LeaseAlive)
	}
	require.Fail(t, "images are left unfinished")
	return 0
}

// checkClean runs images check with --read-data on a place, which must find no problem.
func (p *place) checkClean(t *testing.T) {
	t.Helper()
	out, err := testrig.Command(t, p.env(), "images", "check", "--read-data").CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "no problems")
	t.Logf("%s", strings.TrimSpace(string(out)))
}
