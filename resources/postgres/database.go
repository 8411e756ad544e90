package postgres

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sync/singleflight"
)

const (
	// maxConnections is the size of the pool of a process. One more connection listens.
	maxConnections = 10
	// maxIdleConnections are kept when nothing is to do.
	maxIdleConnections = 4
	idleTime           = 5 * time.Minute
	// lifetime spreads connections over servers again after a failover.
	lifetime = 30 * time.Minute
	// upgradeTimeout limits the upgrade of the schema, which can wait for another process
	// that upgrades it. An index of millions of prompts takes hours, and what an attempt has
	// built is lost if it ends before.
	upgradeTimeout = 24 * time.Hour
)

// database is a pool of connections that is opened, and whose schema is upgraded, at
// first use. The next use retries a failed attempt.
type database struct {
	address address
	log     *slog.Logger
	pool    *sql.DB
	local   localLocks

	unlocked bool // leaves out the locks of transactions

	opening singleflight.Group

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

// open returns the pool after the schema was checked and upgraded. Concurrent calls share
// one attempt, so that they wait at the same time for a server that is away.
func (d *database) open(ctx context.Context) (*sql.DB, error) {
	d.mu.Lock()
	ready, closed := d.ready, d.closed
	d.mu.Unlock()
	switch {
	case closed:
		return nil, d.Error("opening", errClosed)
	case ready:
		return d.pool, nil
	}
	attempt := d.opening.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), upgradeTimeout, errTimeout)
		defer cancel()
		if err := timedOut(ctx, d.migrate(ctx)); err != nil {
			return nil, err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.ready = true
		return nil, nil //nolint:nilnil // the pool is known
	})
	select {
	case result := <-attempt:
		return d.pool, d.Error("opening", result.Err)
	case <-ctx.Done():
		return nil, d.Error("opening", ctx.Err())
	}
}

func (d *database) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return d.pool.Close()
}
