-- Settings, which apply to the whole library.
CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL);
