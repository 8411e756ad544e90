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
	if _, steps, err := missingSteps(ctx, db); err != nil || len(steps) == 0 {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	version, steps, err := missingSteps(ctx, tx)
	if err != nil {
		return err
	}
	for _, step := range steps {
		statements, err := migrations.ReadFile(step)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(statements)); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version+len(steps))); err != nil {
		return err
	}
	return tx.Commit()
}

// missingSteps returns the version of a file's schema and the migrations that lead from it to
// that of this program. It fails if the schema is newer.
func missingSteps(ctx context.Context, q sqlcatalog.Querier) (version int, steps []string, err error) {
	if steps, err = fs.Glob(migrations, "migrations/*.sql"); err != nil {
		return 0, nil, err
	}
	if err = q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, nil, err
	}
	if version > len(steps) {
		return version, nil, fmt.Errorf("it was made by a newer version of this program (its schema is %d, this version supports %d)", version, len(steps))
	}
	return version, steps[version:], nil
}

// checkVersion fails if a file that cannot be upgraded has another schema than this program.
func checkVersion(ctx context.Context, q sqlcatalog.Querier) error {
	version, steps, err := missingSteps(ctx, q)
	if err == nil && len(steps) > 0 {
		err = fmt.Errorf("%w, but it was made by an older version of this program and must be upgraded (its schema is %d, this version needs %d)", resources.ErrReadOnly, version, version+len(steps))
	}
	return err
}
