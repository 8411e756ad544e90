package testrig

import (
	"cmp"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver sqlite

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/bucket"
	"zai-image-mcp/resources/folder"
	"zai-image-mcp/resources/postgres"
	"zai-image-mcp/resources/sqlite"
)

const (
	// BackendVariable selects where libraries of tests are: "remote" for PostgreSQL
	// and S3, otherwise SQLite and a folder.
	BackendVariable = "ZAI_TEST_BACKEND"
	// S3Variable names a bucket for tests as --store does. The credentials are in the
	// variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
	S3Variable = "ZAI_TEST_S3"
)

// Remote reports whether libraries of tests are on PostgreSQL and S3.
func Remote() bool { return os.Getenv(BackendVariable) == "remote" }

// NeedLocal skips a test that is about the files of a library on this machine, or that
// cannot use a network.
func NeedLocal(t testing.TB, why string) {
	t.Helper()
	if Remote() {
		t.Skip("only with SQLite and a folder: " + why)
	}
}

// S3 returns the URL of a part of a bucket that no other test uses. It skips the test
// if no server is set.
func S3(t testing.TB) string {
	t.Helper()
	text := os.Getenv(S3Variable)
	if text == "" {
		t.Skip("NOT TESTED: " + S3Variable + " does not name an S3 server (see .ci/servers)")
	}
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u.JoinPath(time.Now().UTC().Format("20060102-150405.000000000"), url.PathEscape(t.Name())).String()
}

// Place is where a library is, as --store and --catalog name it.
type Place struct{ Store, Catalog string }

// places are the places of libraries on PostgreSQL and S3, by the folders by which
// tests identify them.
var places = struct {
	mu       sync.Mutex
	byFolder map[string]Place
}{byFolder: map[string]Place{}}

// PlaceOf returns the place of the library that tests identify by a folder. It is the
// folder with the catalog .catalog.db in it, or a database and a part of a bucket of
// its own, which exist until the end of the test that calls PlaceOf first.
func PlaceOf(t testing.TB, dir string) Place {
	t.Helper()
	if !Remote() {
		return Place{dir, filepath.Join(dir, ".catalog.db")}
	}
	places.mu.Lock()
	defer places.mu.Unlock()
	if p, ok := places.byFolder[dir]; ok {
		return p
	}
	p := Place{Store: S3(t), Catalog: Postgres(t)}
	places.byFolder[dir] = p
	t.Cleanup(func() {
		places.mu.Lock()
		defer places.mu.Unlock()
		delete(places.byFolder, dir)
	})
	return p
}

// Env returns the environment variables that make the program use the library.
func (p Place) Env() []string {
	env := []string{"ZAI_IMAGE_STORE=" + p.Store}
	if !strings.Contains(p.Store, "://") {
		return env // the default of the catalog is in the folder
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		env = append(env, name+"="+os.Getenv(name))
	}
	return append(env, "ZAI_IMAGE_CATALOG="+p.Catalog)
}

// SQL opens the catalog of the library that tests identify by a folder. The names of
// tables and columns are the same everywhere.
func SQL(t testing.TB, dir string) *sql.DB {
	t.Helper()
	driver, source := "sqlite", "file:"+PlaceOf(t, dir).Catalog+"?_pragma=busy_timeout(5000)"
	if Remote() {
		driver, source = "pgx", PlaceOf(t, dir).Catalog
	}
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

// BreakCatalog makes the catalog of a library refuse, as if the disk failed, to change
// rows to these states, until RepairCatalog.
func BreakCatalog(t testing.TB, dir string, states ...resources.State) {
	t.Helper()
	var list []string
	for _, s := range states {
		list = append(list, "'"+string(s)+"'")
	}
	condition := "NEW.state IN (" + strings.Join(list, ", ") + ")"
	statement := `CREATE TRIGGER broken BEFORE UPDATE ON images WHEN ` + condition + ` BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END`
	if Remote() {
		statement = `CREATE OR REPLACE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN RAISE EXCEPTION 'disk I/O error' USING ERRCODE = 'io_error'; END $$;
			CREATE TRIGGER broken BEFORE UPDATE ON images FOR EACH ROW WHEN (` + condition + `) EXECUTE FUNCTION broken()`
	}
	_, err := SQL(t, dir).ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

// RepairCatalog ends BreakCatalog.
func RepairCatalog(t testing.TB, dir string) {
	t.Helper()
	statement := `DROP TRIGGER broken`
	if Remote() {
		statement += ` ON images`
	}
	_, err := SQL(t, dir).ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

// NewLibrary returns the library that tests identify by a folder. The caller must close
// it.
func NewLibrary(t testing.TB, o LibraryOptions) *resources.Library {
	t.Helper()
	if !Remote() {
		return NewLocalLibrary(o)
	}
	p := PlaceOf(t, o.Folder)
	store, err := bucket.New(bucket.Options{URL: p.Store, Now: o.Now})
	require.NoError(t, err)
	catalog, err := postgres.New(postgres.Options{URL: p.Catalog, Log: o.Log})
	require.NoError(t, err)
	return resources.New(resources.Options{
		Store: store, Previews: store.Sub(".previews"), Exports: store.Sub(".exports"), Catalog: catalog, Now: o.Now, Random: o.Random, Log: o.Log,
	})
}

// NewLocalLibrary returns a library with a folder and a SQLite catalog. The caller must
// close it.
func NewLocalLibrary(o LibraryOptions) *resources.Library {
	catalog := cmp.Or(o.Catalog, filepath.Join(o.Folder, ".catalog.db"))
	return resources.New(resources.Options{
		Store:    folder.New(folder.Options{Dir: o.Folder, Durable: true, Now: o.Now}),
		Previews: folder.New(folder.Options{Dir: filepath.Join(filepath.Dir(catalog), ".previews"), Now: o.Now}),
		Exports:  folder.New(folder.Options{Dir: filepath.Join(filepath.Dir(catalog), ".exports"), Now: o.Now}),
		Catalog:  sqlite.New(sqlite.Options{Path: catalog, Now: o.Now, Log: o.Log}), Now: o.Now, Random: o.Random, Log: o.Log,
	})
}
