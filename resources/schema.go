package resources

import (
	"context"
	"database/sql"
	_ "embed" // schema.sql
	"fmt"
	"time"
)

//go:embed schema.sql
var schemaV1 string

// schemaV2 adds settings, which apply to the whole library.
const schemaV2 = `CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL)`

// schemaV3 adds tasks and the joining of equal calls. Rows of older versions
// count as delivered.
const schemaV3 = `ALTER TABLE images ADD COLUMN task_id TEXT NOT NULL DEFAULT '';
UPDATE images SET delivered_ms=updated_ms;
CREATE INDEX images_by_call ON images (call_id);
DROP INDEX images_open;
CREATE INDEX images_open ON images (lease_until_ms) WHERE state IN ('queued', 'submitted', 'answered', 'unknown');
CREATE INDEX images_by_join ON images (join_key, created_ms) WHERE delivered_ms=0`

// schemaV4 adds the search index, the API responses that could not be interpreted,
// and the time of an image's first failure. Its index of open rows leaves out
// unknown outcomes without a task, which cannot be resolved.
//
// The search index contains the trigrams of the prompts, but no text. It refers
// to the row ids of images: do not run VACUUM on a catalog, which may change them.
const schemaV4 = `ALTER TABLE images ADD COLUMN upstream_answer TEXT NOT NULL DEFAULT '';
ALTER TABLE images ADD COLUMN failed_ms INTEGER NOT NULL DEFAULT 0;
UPDATE images SET failed_ms=updated_ms WHERE failure<>'';
DROP INDEX images_open;
CREATE INDEX images_open ON images (lease_until_ms, lease_owner) WHERE ` + openRows + `;
CREATE VIRTUAL TABLE prompts USING fts5(prompt, content='', contentless_delete=1, detail=none, tokenize='trigram');
INSERT INTO prompts (rowid, prompt) SELECT rowid, prompt FROM images WHERE prompt<>'';
CREATE TRIGGER images_insert_prompt AFTER INSERT ON images BEGIN
  INSERT INTO prompts (rowid, prompt) VALUES (new.rowid, new.prompt);
END;
CREATE TRIGGER images_update_prompt AFTER UPDATE OF prompt ON images BEGIN
  DELETE FROM prompts WHERE rowid=old.rowid;
  INSERT INTO prompts (rowid, prompt) VALUES (new.rowid, new.prompt);
END`

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
	steps := []string{schemaV1, schemaV2, schemaV3, schemaV4}
	newest := len(steps)
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version == newest {
		return nil
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > newest {
		return fmt.Errorf("it was made by a newer version of this program (its schema is %d, this version supports %d)", version, newest)
	}
	for _, step := range steps[version:] {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", newest)); err != nil {
		return err
	}
	return tx.Commit()
}
