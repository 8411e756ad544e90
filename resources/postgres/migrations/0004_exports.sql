-- reader: 1
-- The marks that an image's file carried, and the files that were written for users.
ALTER TABLE images ADD COLUMN marks text NOT NULL DEFAULT ''; -- JSON list; '' if the file was not examined

CREATE TABLE exports (
  path       text   COLLATE "C" PRIMARY KEY, -- absolute
  image_id   text   COLLATE "C" NOT NULL,
  spec       text   NOT NULL,
  sha256     text   NOT NULL,
  bytes      bigint NOT NULL,
  created_ms bigint NOT NULL
);
CREATE INDEX exports_by_image ON exports (image_id, created_ms);
