package resources

import "context"

// Parts of making a preview.
var (
	Shrink            = shrink
	ShrinkPNG         = shrinkPNG
	ErrUnsupportedPNG = errUnsupportedPNG
)

// SetFreeSpace replaces the query for the free space on the images' disk.
func (l *Library) SetFreeSpace(free func(dir string) (uint64, error)) { l.store.free = free }

// SetNetwork makes the library treat its folder as one on a network file system.
func (l *Library) SetNetwork(kind string) {
	l.catalog.isNetwork = func(string) (string, bool) { return kind, true }
}

// SetDriver replaces the driver of database/sql.
func (l *Library) SetDriver(name string) { l.catalog.driver = name }

// DataSource returns the SQLite URI of a file, for connections that write.
func DataSource(path string) string { return dataSource(path, "_txlock=immediate") }

// IDs returns the ids of saved images that begin with a prefix.
func (l *Library) IDs(ctx context.Context, owner, prefix string, limit int) ([]string, error) {
	return l.catalog.idsWithPrefix(ctx, owner, prefix, limit)
}
