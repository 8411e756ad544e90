-- The marks that an image's file carried, and the files that were written for users.
ALTER TABLE images ADD COLUMN marks TEXT NOT NULL DEFAULT ''; -- JSON list; '' if the file was not examined

CREATE TABLE exports (
  path       TEXT PRIMARY KEY, -- absolute
  image_id   TEXT NOT NULL,
  spec       TEXT NOT NULL,
  sha256     TEXT NOT NULL,
  bytes      INTEGER NOT NULL,
  created_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX exports_by_image ON exports (image_id, created_ms);
