package sqlite

// DataSource returns the SQLite URI of a file, for connections that write.
func DataSource(path string) string { return dataSource(path, "_txlock=immediate") }
