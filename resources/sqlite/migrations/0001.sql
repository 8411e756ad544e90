-- One row per image. Times are Unix milliseconds, money is 1e-6 US dollars.
CREATE TABLE images (
  id              TEXT PRIMARY KEY,
  call_id         TEXT NOT NULL,
  owner           TEXT NOT NULL,
  state           TEXT NOT NULL,
  created_ms      INTEGER NOT NULL,
  updated_ms      INTEGER NOT NULL,
  day             TEXT NOT NULL,               -- UTC day of the reservation
  model           TEXT NOT NULL,
  prompt          TEXT NOT NULL,
  size            TEXT NOT NULL,
  quality         TEXT NOT NULL,
  user_id         TEXT NOT NULL DEFAULT '',
  sandbox         INTEGER NOT NULL DEFAULT 0,
  cost_micro_usd  INTEGER NOT NULL,
  charged         INTEGER NOT NULL,            -- 1 while the cost counts as spent
  upstream_url    TEXT NOT NULL DEFAULT '',
  request_id      TEXT NOT NULL DEFAULT '',
  log_id          TEXT NOT NULL DEFAULT '',
  content_filter  TEXT NOT NULL DEFAULT '',    -- JSON
  path            TEXT NOT NULL DEFAULT '',
  mime_type       TEXT NOT NULL DEFAULT '',
  width           INTEGER NOT NULL DEFAULT 0,
  height          INTEGER NOT NULL DEFAULT 0,
  bytes           INTEGER NOT NULL DEFAULT 0,
  sha256          TEXT NOT NULL DEFAULT '',
  failure         TEXT NOT NULL DEFAULT '',    -- JSON
  join_key        TEXT NOT NULL DEFAULT '',    -- the same for equal calls
  lease_owner     TEXT NOT NULL DEFAULT '',    -- the process that works on it
  lease_until_ms  INTEGER NOT NULL DEFAULT 0,
  delivered_ms    INTEGER NOT NULL DEFAULT 0   -- when a caller received it
);
CREATE INDEX images_by_owner ON images (owner, state, id);
CREATE INDEX images_by_day   ON images (owner, day, sandbox, charged, cost_micro_usd);
CREATE INDEX images_open     ON images (state, lease_until_ms) WHERE state IN ('queued', 'submitted', 'answered');
