package sqlcatalog

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"time"

	"zai-image-mcp/resources"
)

// Engine is a database that holds a catalog.
type Engine interface {
	// DB returns the open database. It opens the database first if needed.
	DB(ctx context.Context) (*DB, error)
	// Write calls f to execute one writing statement, and may call it again if the
	// statement had no effect.
	Write(ctx context.Context, f func(q Querier) error) error
	// Do calls f in a transaction that is alone with each of the locks, and commits it
	// if f returns nil. now is the time of the database after it got the locks. Do may
	// call f again if the transaction had no effect.
	Do(ctx context.Context, locks []string, f func(tx Querier, now time.Time) error) error
	// Dialect returns what differs in statements.
	Dialect() Dialect
	// Error turns an error of the database during an action into one that matches
	// resources.ErrStorage. It keeps resources.ErrNotFound, StorageErrors and errors of a
	// context, and nil stays nil.
	Error(action string, err error) error
	// Hold lets other processes detect that the process is alive, as long as it runs.
	Hold(ctx context.Context, process string)
	// Alive returns other processes that are known to be alive and to renew their
	// leases, even if these have expired. It may end the leases of dead processes.
	Alive(ctx context.Context, lease resources.Lease) ([]string, error)
}

// DB is an open database. The fields may be the same pool.
type DB struct {
	Read   *sql.DB   // lists and searches
	Lookup *sql.DB   // queries by key and sums, which must not wait for searches
	ByID   *sql.Stmt // the prepared RowStatement; nil if rows are read through Lookup
}

// Dialect is what differs between databases in the text of statements.
type Dialect struct {
	// Placeholder returns the placeholder of the nth argument, counting from 1.
	Placeholder func(n int) string
	// Now is the expression of the current time in Unix milliseconds. If it is "",
	// Clock returns that time.
	Now   string
	Clock func() time.Time
	// Day returns the expression for the UTC day, such as 2026-11-20, of an
	// expression in Unix milliseconds.
	Day func(milliseconds string) string
	// In returns the condition that the value of a column is in a list of texts, with
	// one placeholder, whose argument List returns.
	In   func(column string) string
	List func(texts []string) any
	// NoIndex returns a column in a form that keeps the database from using the
	// column's index for ORDER BY.
	NoIndex func(column string) string
	// NextChange is the expression for column changed of a row that is written.
	NextChange string
	// Candidates returns a condition with one argument that every image matches whose
	// prompt contains all words, which are folded (see Fold). It is "" if the
	// database has no index for the words.
	Candidates func(ctx context.Context, q Querier, words []string) (condition string, argument any, err error)
}

// Querier executes statements: a database, a connection or a transaction.
type Querier interface {
	ExecContext(ctx context.Context, statement string, arguments ...any) (sql.Result, error)
	QueryContext(ctx context.Context, statement string, arguments ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, statement string, arguments ...any) *sql.Row
}

// Catalog implements most methods of resources.Catalog for an Engine.
type Catalog struct {
	engine  Engine
	dialect Dialect
	log     *slog.Logger
	text    statements

	mu    sync.RWMutex
	bound map[string]bound // statements in the dialect, by their text

	searchSlots chan struct{} // limits concurrent searches
}

// MaxSearches is the number of searches that run at once. It is less than the number
// of connections, so that lists do not wait for searches.
const MaxSearches = 2

// New returns the catalog of an engine.
func New(engine Engine, log *slog.Logger) *Catalog {
	dialect := engine.Dialect()
	return &Catalog{
		engine: engine, dialect: dialect, log: log, text: newStatements(dialect),
		bound: map[string]bound{}, searchSlots: make(chan struct{}, MaxSearches),
	}
}
