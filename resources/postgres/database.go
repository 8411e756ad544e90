package postgres

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// maxConnections is the size of the pool of a process. One more connection listens.
	maxConnections = 10
	// maxIdleConnections are kept when nothing is to do.
	maxIdleConnections = 4
	idleTime           = 5 * time.Minute
	// lifetime spreads connections over servers again after a failover.
	lifetime = 30 * time.Minute
)

// database is a pool of connections that is opened, and whose schema is upgraded, at
// first use. The next use retries a failed attempt.
type database struct {
	address address
	log     *slog.Logger
	pool    *sql.DB

	unlocked bool // leaves out the advisory locks

	mu     sync.Mutex
	ready  bool // the schema is that of this program, or a compatible one
	closed bool
}

// newDatabase returns a database. It does not connect.
func newDatabase(a address, log *slog.Logger) *database {
	return &database{address: a, log: log, pool: newPool(a, statementTimeout)}
}

// newPool returns connections whose statements have a time limit.
func newPool(a address, limit time.Duration) *sql.DB {
	pool := sql.OpenDB(connector{stdlib.GetConnector(*a.config), limit})
	pool.SetMaxOpenConns(maxConnections)
	pool.SetMaxIdleConns(maxIdleConnections)
	pool.SetConnMaxIdleTime(idleTime)
	pool.SetConnMaxLifetime(lifetime)
	return pool
}

// open returns the pool after the schema was checked and upgraded.
func (d *database) open(ctx context.Context) (*sql.DB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, d.Error("opening", errClosed)
	}
	if d.ready {
		return d.pool, nil
	}
	if err := migrate(ctx, d.pool, d.log); err != nil {
		return nil, d.Error("opening", err)
	}
	d.ready = true
	return d.pool, nil
}

func (d *database) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return d.pool.Close()
}
