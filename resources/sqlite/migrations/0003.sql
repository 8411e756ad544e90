-- Tasks and the joining of equal calls. Rows of older versions count as delivered.
ALTER TABLE images ADD COLUMN task_id TEXT NOT NULL DEFAULT '';
UPDATE images SET delivered_ms=updated_ms;
CREATE INDEX images_by_call ON images (call_id);
DROP INDEX images_open;
CREATE INDEX images_open ON images (lease_until_ms) WHERE state IN ('queued', 'submitted', 'answered', 'unknown');
CREATE INDEX images_by_join ON images (join_key, created_ms) WHERE delivered_ms=0;
