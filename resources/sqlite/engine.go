package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/sqlcatalog"
)

// engine is the sqlcatalog.Engine of a Catalog.
type engine struct{ *Catalog }

// DB implements sqlcatalog.Engine.
func (e engine) DB(ctx context.Context) (*sqlcatalog.DB, error) {
	db, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	return &db.DB, nil
}

// Write implements sqlcatalog.Engine.
func (e engine) Write(ctx context.Context, f func(q sqlcatalog.Querier) error) error {
	write, err := e.writer(ctx)
	if err != nil {
		return err
	}
	return f(write)
}

// Do implements sqlcatalog.Engine. The transaction holds the write lock of the file,
// so it is alone with everything.
func (e engine) Do(ctx context.Context, _ []string, f func(tx sqlcatalog.Querier, now time.Time) error) error {
	write, err := e.writer(ctx)
	if err != nil {
		return err
	}
	tx, err := write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	if err := f(tx, e.now()); err != nil {
		return err
	}
	return tx.Commit()
}

// Dialect implements sqlcatalog.Engine.
func (e engine) Dialect() sqlcatalog.Dialect {
	return sqlcatalog.Dialect{
		Placeholder: func(int) string { return "?" },
		Clock:       e.now,
		Day: func(milliseconds string) string {
			return `strftime('%Y-%m-%d', ` + milliseconds + ` / 1000, 'unixepoch')`
		},
		In:   func(column string) string { return column + ` IN (SELECT value FROM json_each(?))` },
		List: list,
		// The plus keeps SQLite from scanning the primary key.
		NoIndex: func(column string) string { return "+" + column },
		// Writers run one after the other.
		NextChange: `(SELECT COALESCE(MAX(changed), 0) + 1 FROM images)`,
		Candidates: candidates,
	}
}

// list returns texts as a JSON list for json_each.
func list(texts []string) any {
	if len(texts) == 0 {
		return "[]"
	}
	text, err := json.Marshal(texts)
	if err != nil {
		return "[]"
	}
	return string(text)
}

// Error implements sqlcatalog.Engine.
func (e engine) Error(action string, err error) error { return e.storageError(action, err) }

// Hold takes the lock by which other processes detect that this one is alive. If it
// fails, only leases count.
func (e engine) Hold(ctx context.Context, process string) {
	if process == "" {
		return
	}
	if err := e.liveness.hold(process, e.now()); err != nil {
		e.log.DebugContext(ctx, "failed to lock the lock file of this process; other processes rely on its leases", "error", err)
	}
}

// Alive returns the other processes that lease recoverable rows, are alive, and renew
// their leases. It ends the leases of dead processes. If the state of a process is
// unknown, only its leases count.
func (e engine) Alive(ctx context.Context, lease resources.Lease) ([]string, error) {
	leases, err := e.LastLeases(ctx, lease.Process)
	if err != nil {
		return nil, err
	}
	now := e.now()
	var alive []string
	for process, lastLease := range leases {
		switch state, done := e.liveness.probe(process); state {
		case stateDead:
			err := e.ReleaseLeases(ctx, process)
			done()
			if err != nil {
				return nil, err
			}
		case stateAlive:
			if !e.liveness.stalled(process, lastLease, now, lease.For) {
				alive = append(alive, process)
			}
		case stateUnknown:
		}
	}
	return alive, nil
}
