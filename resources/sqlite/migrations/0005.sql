-- States that say what follows, slots of the API key, deliveries, and the order of
-- changes. The old states were completed by the columns failure, upstream_url, task_id
-- and charged.
UPDATE images SET state='polling' WHERE state='submitted' AND task_id<>'';
UPDATE images SET state='lost' WHERE state='answered' AND failure<>'' AND upstream_url='';
UPDATE images SET state='fetch_failed' WHERE state='answered' AND failure<>'';
UPDATE images SET state='poll_failed' WHERE state='unknown' AND task_id<>'';
UPDATE images SET state='lost' WHERE state='failed' AND charged=1;

ALTER TABLE images ADD COLUMN slot INTEGER NOT NULL DEFAULT 0;                -- 1 if it was given a slot
ALTER TABLE images ADD COLUMN slot_key TEXT NOT NULL DEFAULT '';              -- the API key, without revealing it
ALTER TABLE images ADD COLUMN client TEXT NOT NULL DEFAULT '';                -- takes turns with the owner's other clients
ALTER TABLE images ADD COLUMN delivering_until_ms INTEGER NOT NULL DEFAULT 0; -- end of an open delivery
ALTER TABLE images ADD COLUMN delivering_by TEXT NOT NULL DEFAULT '';         -- its process
ALTER TABLE images ADD COLUMN updated_by TEXT NOT NULL DEFAULT '';            -- process of the last change, '' for a command
ALTER TABLE images ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;             -- grows with each change

DROP INDEX images_open;
CREATE INDEX images_open ON images (lease_until_ms, lease_owner)
  WHERE state IN ('queued', 'submitted', 'polling', 'poll_failed', 'answered', 'fetch_failed');
CREATE INDEX images_in_flight ON images (slot_key, model) WHERE state IN ('queued', 'submitted', 'polling');
CREATE INDEX images_changed ON images (changed, id);

-- When the clients of an owner last got a slot, larger is later.
CREATE TABLE turns (
  slot_key TEXT NOT NULL,
  model    TEXT NOT NULL,
  owner    TEXT NOT NULL,
  client   TEXT NOT NULL,
  turn     INTEGER NOT NULL,
  PRIMARY KEY (slot_key, model, owner, client)
) WITHOUT ROWID;
