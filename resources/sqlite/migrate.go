package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/sqlcatalog"
)

// migrations holds one file per version of the schema, in order.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate upgrades the schema to the version of this program, in one
// transaction. Processes that migrate at the same time wait for each other. The
// retry covers the switch to WAL, which the busy timeout does not.
func migrate(ctx context.Context, db *sql.DB) error {
	deadline := time.Now().Add(busyTimeout)
	for {
		err := migrateOnce(ctx, db)
		if !isBusy(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func migrateOnce(ctx context.Context, db *sql.DB) error {
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	newest := len(steps)
	version, err := schemaVersion(ctx, db)
	if err != nil || version == newest {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	if version, err = schemaVersion(ctx, tx); err != nil {
		return err
	}
	if version > newest {
		return newerError(version, newest)
	}
	for _, step := range steps[version:] {
		statements, err := migrations.ReadFile(step)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(statements)); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", newest)); err != nil {
		return err
	}
	return tx.Commit()
}

// checkVersion reports whether a file that cannot be upgraded has the schema of this program.
func checkVersion(ctx context.Context, db *sql.DB) error {
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	newest := len(steps)
	version, err := schemaVersion(ctx, db)
	switch {
	case err != nil:
		return err
	case version > newest:
		return newerError(version, newest)
	case version < newest:
		return fmt.Errorf("%w, but it was made by an older version of this program and must be upgraded (its schema is %d, this version needs %d)", resources.ErrReadOnly, version, newest)
	}
	return nil
}

func schemaVersion(ctx context.Context, q sqlcatalog.Querier) (version int, err error) {
	err = q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}

func newerError(version, newest int) error {
	return fmt.Errorf("it was made by a newer version of this program (its schema is %d, this version supports %d)", version, newest)
}
