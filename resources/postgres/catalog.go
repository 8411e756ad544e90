package postgres

import (
	"context"
	"log/slog"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/sqlcatalog"
)

// Options configure a catalog.
type Options struct {
	// URL of the database, such as postgres://user:password@host:5432/database. It can
	// have the parameters of libpq, for example sslmode, search_path,
	// target_session_attrs and connect_timeout (default 5 s).
	URL string
	Log *slog.Logger
}

// Catalog is a catalog in a PostgreSQL database. It implements resources.Catalog.
type Catalog struct {
	*sqlcatalog.Catalog

	db *database
}

var _ resources.Catalog = (*Catalog)(nil)

// New returns a catalog. It does not connect: the first use does, and creates the tables
// or upgrades them. New fails if the URL cannot be used; the error does not contain the
// password.
func New(o Options) (*Catalog, error) {
	a, err := parseAddress(o.URL)
	if err != nil {
		return nil, err
	}
	db := newDatabase(a, o.Log)
	return &Catalog{sqlcatalog.New(db, o.Log), db}, nil
}

// Exists implements resources.Catalog. It returns true, because a database exists
// before the program uses it; if it does not, other methods report that.
func (c *Catalog) Exists() bool { return true }

// Ready implements resources.Catalog.
func (c *Catalog) Ready(ctx context.Context) error {
	_, err := c.db.open(ctx)
	return err
}

// Writable implements resources.Catalog. It fails if the server is a standby, or if the
// user of the URL may not write.
func (c *Catalog) Writable(ctx context.Context) error {
	pool, err := c.db.open(ctx)
	if err != nil {
		return err
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return c.db.Error("writing", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing is to be kept
	_, err = tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ('writable', '')`)
	return c.db.Error("writing", err)
}

// Name implements resources.Catalog. It returns the URL without user and password.
func (c *Catalog) Name() string { return c.db.address.name }

// Verify implements resources.Maintenance. It reads the tables; the structure of the
// files is the server's concern, which reports damage as an error.
func (c *Catalog) Verify(ctx context.Context) (defect string, err error) {
	pool, err := c.db.open(ctx)
	if err != nil {
		return "", err
	}
	var missing int
	err = pool.QueryRowContext(ctx, `SELECT count(*) FROM images WHERE prompt <> '' AND NOT EXISTS
		(SELECT 1 FROM image_prompts p WHERE p.id = images.id)`).Scan(&missing)
	if err != nil {
		return "", c.db.Error("checking the catalog", err)
	}
	if missing > 0 {
		return "the search index lacks images", nil
	}
	return "", nil
}

// Close implements resources.Catalog. It waits for running statements.
func (c *Catalog) Close() error { return c.db.close() }
