-- reader: 1
-- Tables of the catalog. Times are Unix milliseconds, money is 1e-6 US dollars. Ids,
-- states and days are compared byte by byte, whatever the locale of the database.
CREATE TABLE images (
  id                  text   COLLATE "C" PRIMARY KEY,
  call_id             text   COLLATE "C" NOT NULL,
  owner               text   COLLATE "C" NOT NULL,
  state               text   COLLATE "C" NOT NULL,
  created_ms          bigint NOT NULL,
  updated_ms          bigint NOT NULL,
  updated_by          text   COLLATE "C" NOT NULL DEFAULT '',   -- the process; '' for commands
  changed             bigint NOT NULL DEFAULT 0,                -- the transaction that wrote it last
  day                 text   COLLATE "C" NOT NULL,              -- UTC day of the reservation
  model               text   COLLATE "C" NOT NULL,
  prompt              text   COLLATE "C" NOT NULL,
  size                text   NOT NULL,
  quality             text   NOT NULL,
  user_id             text   NOT NULL DEFAULT '',
  sandbox             boolean NOT NULL DEFAULT FALSE,
  cost_micro_usd      bigint NOT NULL,
  charged             boolean NOT NULL,                         -- the cost counts as spent
  upstream_url        text   NOT NULL DEFAULT '',
  task_id             text   NOT NULL DEFAULT '',
  request_id          text   NOT NULL DEFAULT '',
  log_id              text   NOT NULL DEFAULT '',
  content_filter      text   NOT NULL DEFAULT '',               -- JSON
  path                text   NOT NULL DEFAULT '',
  mime_type           text   NOT NULL DEFAULT '',
  width               bigint NOT NULL DEFAULT 0,
  height              bigint NOT NULL DEFAULT 0,
  bytes               bigint NOT NULL DEFAULT 0,
  sha256              text   NOT NULL DEFAULT '',
  failure             text   NOT NULL DEFAULT '',               -- JSON
  failed_ms           bigint NOT NULL DEFAULT 0,                -- first failure
  upstream_answer     text   NOT NULL DEFAULT '',
  join_key            text   COLLATE "C" NOT NULL DEFAULT '',   -- the same for equal calls
  lease_owner         text   COLLATE "C" NOT NULL DEFAULT '',   -- the process that works on it
  lease_until_ms      bigint NOT NULL DEFAULT 0,
  client              text   COLLATE "C" NOT NULL DEFAULT '',
  slot                boolean NOT NULL DEFAULT FALSE,           -- holds a slot of the API key
  slot_key            text   COLLATE "C" NOT NULL DEFAULT '',
  delivering_by       text   COLLATE "C" NOT NULL DEFAULT '',
  delivering_until_ms bigint NOT NULL DEFAULT 0,
  delivered_ms        bigint NOT NULL DEFAULT 0                 -- when a caller received it
);
CREATE INDEX images_by_owner ON images (owner, state, id);
CREATE INDEX images_by_day ON images (owner, day, sandbox) INCLUDE (cost_micro_usd) WHERE charged;
CREATE INDEX images_by_call ON images (call_id);
CREATE INDEX images_by_join ON images (join_key, created_ms) WHERE delivered_ms = 0;
CREATE INDEX images_by_change ON images (changed, id);
CREATE INDEX images_open ON images (lease_until_ms, lease_owner)
  WHERE state IN ('queued', 'submitted', 'polling', 'poll_failed', 'answered', 'fetch_failed');
CREATE INDEX images_in_turn ON images (slot_key, model)
  WHERE state IN ('queued', 'submitted', 'polling');

-- When the clients of an owner last got a slot, larger is later.
CREATE TABLE turns (
  slot_key text   COLLATE "C" NOT NULL,
  model    text   COLLATE "C" NOT NULL,
  owner    text   COLLATE "C" NOT NULL,
  client   text   COLLATE "C" NOT NULL,
  turn     bigint NOT NULL,
  PRIMARY KEY (slot_key, model, owner, client)
);

-- Settings apply to the whole library.
CREATE TABLE settings (
  name  text COLLATE "C" PRIMARY KEY,
  value bytea NOT NULL
);
