package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"
)

// migrations are the steps of the schema. A step is never changed after its release.
//
// Replicas of two versions use one catalog during a rolling upgrade, so a step first
// only adds to the schema (tables, indexes, columns with a default), and what is no
// longer used is removed one release later. The first line of a file, "-- reader: N",
// is the step that a program must at least know to use the catalog after this step.
// Steps do not change the type of a column (see parseAddress).
//
//go:embed migrations/*.sql
var migrations embed.FS

// migration is a step of the schema.
type migration struct {
	version, reader int
	name, text      string
}

// loadMigrations returns the steps in their order. Their numbers have no gaps.
func loadMigrations() ([]migration, error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	var list []migration
	for _, entry := range entries {
		text, err := migrations.ReadFile(path.Join("migrations", entry.Name()))
		if err != nil {
			return nil, err
		}
		m := migration{name: strings.TrimSuffix(entry.Name(), ".sql"), text: string(text)}
		number, _, _ := strings.Cut(m.name, "_")
		first, _, _ := strings.Cut(m.text, "\n")
		var readerErr error
		m.version, err = strconv.Atoi(number)
		m.reader, readerErr = strconv.Atoi(strings.TrimPrefix(first, "-- reader: "))
		if err := errors.Join(err, readerErr); err != nil {
			return nil, fmt.Errorf("migration %s: %w", entry.Name(), err)
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b migration) int { return cmp.Compare(a.version, b.version) })
	return list, nil
}

// schema is the state of the schema of a database.
type schema struct{ version, reader int }

// migrate upgrades the schema of the database. Each step is a transaction, and
// processes that migrate at the same time wait for each other. migrate fails if the
// schema needs a newer program, but not if the schema is only newer.
func (d *database) migrate(ctx context.Context) error {
	steps, err := loadMigrations()
	if err != nil {
		return err
	}
	newest := steps[len(steps)-1].version
	current, err := readSchema(ctx, d.pool)
	if err != nil {
		return err
	}
	if current.version < newest {
		pool := newPool(d.address, upgradeTimeout) // a step can take longer than other statements
		defer pool.Close()
		for err == nil && current.version < newest {
			current, err = migrateOnce(ctx, pool, steps, d.log)
		}
		if err != nil {
			return err
		}
	}
	if current.reader > newest {
		return fmt.Errorf("%w (its schema needs version %d, this program supports %d)", errNewer, current.reader, newest)
	}
	return nil
}

// readSchema returns the state of the schema, the zero value if there is none. It does
// not use to_regclass, which in a transaction that has waited for a lock does not see
// tables that were created meanwhile.
func readSchema(ctx context.Context, q querier) (s schema, err error) {
	var exists bool
	if err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_tables WHERE tablename = 'schema_migrations' AND schemaname = ANY(current_schemas(FALSE)))`).Scan(&exists); err != nil || !exists {
		return s, err
	}
	err = q.QueryRowContext(ctx, `SELECT coalesce(max(version), 0), coalesce(max(reader), 0) FROM schema_migrations`).Scan(&s.version, &s.reader)
	return s, err
}

type querier interface {
	ExecContext(ctx context.Context, statement string, arguments ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, statement string, arguments ...any) *sql.Row
}

// migrateOnce takes the next step, unless another process has taken it meanwhile.
func migrateOnce(ctx context.Context, pool *sql.DB, steps []migration, log *slog.Logger) (schema, error) {
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return schema{}, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, lockNumber("migrations")); err != nil {
		return schema{}, err
	}
	current, err := readSchema(ctx, tx)
	if err != nil {
		return schema{}, err
	}
	next := slices.IndexFunc(steps, func(m migration) bool { return m.version > current.version })
	if next < 0 {
		return current, nil
	}
	if current.version == 0 {
		if err := createSchema(ctx, tx); err != nil {
			return schema{}, err
		}
	}
	step := steps[next]
	if _, err := tx.ExecContext(ctx, step.text); err != nil {
		return schema{}, fmt.Errorf("migration %s: %w", step.name, err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO schema_migrations (version, name, reader) VALUES ($1, $2, $3)`, step.version, step.name, step.reader); err != nil {
		return schema{}, err
	}
	if err := tx.Commit(); err != nil {
		return schema{}, err
	}
	log.InfoContext(ctx, "upgraded the schema of the catalog", "migration", step.name)
	return schema{step.version, max(step.reader, current.reader)}, nil
}

// createSchema creates the table of the steps that were taken.
func createSchema(ctx context.Context, q querier) error {
	var encoding string
	if err := q.QueryRowContext(ctx, `SELECT current_setting('server_encoding')`).Scan(&encoding); err != nil {
		return err
	}
	if encoding != "UTF8" {
		return fmt.Errorf("%w: it is %s", errEncoding, encoding)
	}
	_, err := q.ExecContext(ctx, `CREATE TABLE schema_migrations (
		version    integer PRIMARY KEY,
		name       text NOT NULL,
		reader     integer NOT NULL, -- the version that a program must at least support
		applied_at timestamptz NOT NULL DEFAULT now())`)
	return err
}
