package postgres

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// WithoutLocks makes transactions take no locks.
func (c *Catalog) WithoutLocks() { c.db.unlocked = true }

// StatementTimeout replaces the time limit of statements.
func StatementTimeout(c *Catalog, limit time.Duration) {
	replacePool(c, limit)
}

// Newest returns the version of the schema.
func Newest() int {
	steps, err := loadMigrations()
	if err != nil {
		panic(err)
	}
	return steps[len(steps)-1].version
}

// NewTraced returns a catalog that reports the notices of the server.
func NewTraced(url string, notice func(text string)) (*Catalog, error) {
	c, err := New(Options{URL: url, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		c.db.address.config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notice(n.Message) }
		replacePool(c, time.Minute)
	}
	return c, err
}

func replacePool(c *Catalog, limit time.Duration) {
	_ = c.db.pool.Close()
	c.db.pool = newPool(c.db.address, limit)
}

// Outcome reports whether a transaction was committed that had its locks at a time.
func (c *Catalog) Outcome(ctx context.Context, transaction string, locked time.Time) (bool, error) {
	return outcome(ctx, c.db.pool, transaction, locked)
}

// ErrForgotten is the error of Outcome if the server does not know.
var ErrForgotten = errForgotten
