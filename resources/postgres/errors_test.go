package postgres_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/postgres"
)

// requireReason checks what an error of the catalog tells its users.
func requireReason(t *testing.T, err error, reason, advice string) {
	t.Helper()
	require.ErrorIs(t, err, resources.ErrStorage)
	var storage *resources.StorageError
	require.ErrorAs(t, err, &storage)
	assert.Equal(t, "catalog", storage.Part)
	assert.Equal(t, reason, storage.Reason())
	assert.Contains(t, storage.Advice(), advice)
	assert.NotContains(t, storage.Advice(), "{place}")
	assert.NotContains(t, err.Error()+storage.Reason()+storage.Advice()+storage.Path, "s3cret")
}

// withUser returns a URL with another user, a password and another database.
func withUser(database, user, name string) string {
	_, host, _ := strings.Cut(database, "@")
	host, rest, _ := strings.Cut(host, "/")
	old, parameters, _ := strings.Cut(rest, "?")
	if name == "" {
		name = old
	}
	return "postgres://" + user + ":s3cret@" + host + "/" + name + "?" + parameters
}

func TestCatalog_ConnectionErrors(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts no connection
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, silent.Close()) })
	for name, test := range map[string]struct {
		url            func(t *testing.T, database string) string
		reason, advice string
	}{
		"refused": {
			func(*testing.T, string) string {
				return "postgres://ann:s3cret@" + listener.Addr().String() + "/images"
			},
			"the server refused the connection", "start the server of the catalog postgres://127.0.0.1:",
		},
		"no answer": {
			func(*testing.T, string) string {
				return "postgres://ann:s3cret@" + silent.Addr().String() + "/images?connect_timeout=1"
			},
			"the database did not answer in time", "again in a minute",
		},
		"unknown host": {
			func(*testing.T, string) string { return "postgres://ann:s3cret@nowhere.invalid/images" },
			"the name of its host cannot be resolved", "correct the host and port",
		},
		"missing user": {
			func(_ *testing.T, database string) string { return withUser(database, "nobody_here", "") },
			"the database refused the user or the password", "correct the user and the password in the URL",
		},
		"missing database": {
			func(_ *testing.T, database string) string { return withUser(database, "postgres", "not_there") },
			"the database does not exist", "CREATE DATABASE",
		},
		"missing schema": {
			func(_ *testing.T, database string) string { return database + "&search_path=not_there" },
			"the schema does not exist", "create the schema",
		},
		"standby": {
			func(t *testing.T, database string) string {
				return database + "&default_transaction_read_only=on"
			},
			"the database is read-only", "target_session_attrs=read-write",
		},
		"too many connections": {
			func(t *testing.T, database string) string {
				testrig.PostgresExec(t, database, `DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' CONNECTION LIMIT 0'; END $$;
					DO $$ BEGIN CREATE ROLE zai_test_limited LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`)
				return withUser(database, "zai_test_limited", "")
			},
			"the database has too many connections", "connection pooler",
		},
		"no privileges": {
			func(t *testing.T, database string) string {
				testrig.PostgresExec(t, database, `DO $$ BEGIN CREATE ROLE zai_test_reader LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`)
				return withUser(database, "zai_test_reader", "")
			},
			"the user of the URL lacks a privilege", "the right to create and use tables",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t, test.url(t, testrig.Postgres(t)))
			for _, err := range []error{c.Ready(t.Context()), c.Ping(t.Context()), c.Writable(t.Context())} {
				requireReason(t, err, test.reason, test.advice)
			}
			_, err := reserve(t.Context(), c, image("ann", "x"), 0)
			requireReason(t, err, test.reason, test.advice)
		})
	}
}

// Errors that the server reports later.
func TestCatalog_StatementErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ code, reason, advice string }{
		"disk full":          {"53100", "the disk of the database is full", "free space"},
		"damaged data":       {"XX001", "the database found damaged data", "backup"},
		"serialization":      {"40001", "the database is busy: transactions kept conflicting", "again in a minute"},
		"lock timeout":       {"55P03", "the database is busy: a lock was not free in time", "again in a minute"},
		"something else":     {"22012", "the database reported error 22012", "check the catalog"},
		"out of resources":   {"53400", "the database lacks resources", "again in a minute"},
		"missing table":      {"42P01", "the tables of the catalog are missing", "which database and schema"},
		"statement canceled": {"57014", "the database did not answer in time", "again in a minute"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := testrig.Postgres(t)
			c := open(t, database)
			require.NoError(t, c.Ready(t.Context()))
			testrig.PostgresExec(t, database, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
				BEGIN RAISE EXCEPTION 'no' USING ERRCODE='`+test.code+`'; END $$;
				CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON images FOR EACH ROW EXECUTE FUNCTION refuse();
				CREATE TRIGGER refuse BEFORE INSERT ON settings FOR EACH ROW EXECUTE FUNCTION refuse()`)
			_, err := reserve(t.Context(), c, image("ann", "the words of a prompt"), 0)
			requireReason(t, err, test.reason, test.advice)
			assert.NotContains(t, err.Error(), "words of a prompt")
			requireReason(t, c.Writable(t.Context()), test.reason, test.advice)
		})
	}
}

// A server that does not answer is given up after a time. The caller's own time limit is
// not an error of the catalog.
func TestCatalog_Timeout(t *testing.T) {
	t.Parallel()
	database := testrig.Postgres(t)
	c := open(t, database)
	require.NoError(t, c.Ready(t.Context()))
	postgres.StatementTimeout(c, 50*time.Millisecond)
	lock := connect(t, database)
	_, err := lock.Exec(t.Context(), `BEGIN; LOCK TABLE images, settings`)
	require.NoError(t, err)
	_, err = c.Row(t.Context(), newID())
	requireReason(t, err, "the database did not answer in time", "again in a minute")
	requireReason(t, c.SetSetting(t.Context(), "a", nil), "the database did not answer in time", "again in a minute")
	postgres.StatementTimeout(c, time.Minute)
	ctx, cancel := contextWithTimeout(t, 50*time.Millisecond)
	defer cancel()
	_, err = c.Count(ctx, resources.Saved)
	require.Error(t, err)
	require.NotErrorIs(t, err, resources.ErrStorage)
	_, err = lock.Exec(t.Context(), `ROLLBACK`)
	require.NoError(t, err)
	require.NoError(t, c.Ping(t.Context()))
}

func TestNew_InvalidURL(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"no URL":              "images.db",
		"another scheme":      "mysql://ann:s3cret@host/images",
		"slash in password":   "postgres://ann:s3cret/x@host/images",
		"at sign in password": "postgres://ann:pa@s3cret:x@host:y/images",
		"port":                "postgres://ann:s3cret@host:99999/images",
		"sslmode":             "postgres://ann:s3cret@host/images?sslmode=s3cret",
		"percent":             "postgres://ann:s3cret%zz@host/images",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := postgres.New(postgres.Options{URL: url, Log: discard()})
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func TestCatalog_Name(t *testing.T) {
	t.Parallel()
	for url, name := range map[string]string{
		"postgres://ann:s3cret@host:5433/images?sslmode=disable":         "postgres://host:5433/images",
		"postgresql://ann:s3cret@a,b/images?target_session_attrs=any":    "postgres://a,b/images",
		"postgres:///images?host=/run/postgresql&password=s3cret&user=x": "postgres:///run/postgresql/images",
		"postgres://host/images?search_path=zai&user=ann":                "postgres://host/images?search_path=zai",
	} {
		assert.Equal(t, name, open(t, url).Name())
	}
}
