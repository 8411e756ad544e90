package resources

// The steps of making a preview.
var (
	Shrink            = shrink
	ShrinkPNG         = shrinkPNG
	ErrUnsupportedPNG = errUnsupportedPNG
)

// SetNetwork makes the library treat its folder as one on a network file system.
func (l *Library) SetNetwork(kind string) {
	l.catalog.isNetwork = func(string) (string, bool) { return kind, true }
}

// SetDriver sets the name of the database/sql driver.
func (l *Library) SetDriver(name string) { l.catalog.driver = name }

// DataSource returns the SQLite URI of a file, for connections that write.
func DataSource(path string) string { return dataSource(path, "_txlock=immediate") }
