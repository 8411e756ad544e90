package resources

import "context"

// Shrink lets tests look at the scaling alone.
var Shrink = shrink

// ShrinkPNG lets tests compare the row by row way with the other.
var (
	ShrinkPNG         = shrinkPNG
	ErrUnsupportedPNG = errUnsupportedPNG
)

// Pragma reads a setting of the connection that writes.
func (l *Library) Pragma(ctx context.Context, name string) (value string, err error) {
	write, err := l.catalog.writer(ctx)
	if err == nil {
		err = write.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value)
	}
	return value, err
}

// MakePreview makes a preview without keeping it.
func (l *Library) MakePreview(ctx context.Context, i Image) ([]byte, error) {
	return l.makePreview(ctx, i)
}

// SetFreeSpace replaces what the disk of the images says of its free space.
func (l *Library) SetFreeSpace(free func(dir string) (uint64, error)) { l.store.free = free }

// SetNetwork makes the library see its folder on a network file system.
func (l *Library) SetNetwork(kind string) {
	l.catalog.isNetwork = func(string) (string, bool) { return kind, true }
}

// SetDriver opens the catalog with another driver of database/sql.
func (l *Library) SetDriver(name string) { l.catalog.driver = name }

// DataSource is the SQLite URI of a file.
func DataSource(path string) string { return dataSource(path, "_txlock=immediate") }

// Limits of decoding.
const (
	MaxScans  = maxScans
	MaxPixels = maxPixels
)

// IDs lists ids for completion.
func (l *Library) IDs(ctx context.Context, owner, prefix string, limit int) ([]string, error) {
	return l.catalog.idsWithPrefix(ctx, owner, prefix, limit)
}
