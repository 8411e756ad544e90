-- The search index, the API responses that could not be interpreted, and the time of
-- an image's first failure. The index of open rows leaves out unknown outcomes without
-- a task, which cannot be resolved.
--
-- The search index contains the trigrams of the prompts, but no text. It refers to the
-- row ids of images: do not run VACUUM on a catalog, which may change them.
ALTER TABLE images ADD COLUMN upstream_answer TEXT NOT NULL DEFAULT '';
ALTER TABLE images ADD COLUMN failed_ms INTEGER NOT NULL DEFAULT 0;
UPDATE images SET failed_ms=updated_ms WHERE failure<>'';
DROP INDEX images_open;
CREATE INDEX images_open ON images (lease_until_ms, lease_owner)
  WHERE (state IN ('queued', 'submitted', 'answered') OR state='unknown' AND task_id<>'');
CREATE VIRTUAL TABLE prompts USING fts5(prompt, content='', contentless_delete=1, detail=none, tokenize='trigram');
INSERT INTO prompts (rowid, prompt) SELECT rowid, prompt FROM images WHERE prompt<>'';
CREATE TRIGGER images_insert_prompt AFTER INSERT ON images BEGIN
  INSERT INTO prompts (rowid, prompt) VALUES (new.rowid, new.prompt);
END;
CREATE TRIGGER images_update_prompt AFTER UPDATE OF prompt ON images BEGIN
  DELETE FROM prompts WHERE rowid=old.rowid;
  INSERT INTO prompts (rowid, prompt) VALUES (new.rowid, new.prompt);
END;
