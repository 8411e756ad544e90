package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/stdlib"
)

// statementTimeout limits one statement, from sending it to reading its last row. It is
// measured here and not by the server, because poolers do not keep the settings of a
// session, and because a server that cannot be reached does not measure anything.
const statementTimeout = 15 * time.Second

// connector makes connections whose statements have a time limit, and whose arguments
// can be any text.
type connector struct {
	driver.Connector

	timeout time.Duration
}

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	made, err := c.Connector.Connect(ctx)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil { // not that of the caller
			err = errTimeout
		}
		return nil, err
	}
	inner, ok := made.(*stdlib.Conn)
	if !ok {
		return nil, errors.Join(errors.New("the driver returned another connection"), made.Close())
	}
	return connection{inner, c.timeout}, nil
}

type connection struct {
	*stdlib.Conn

	timeout time.Duration
}

// ExecContext implements driver.ExecerContext.
func (c connection) ExecContext(ctx context.Context, query string, arguments []driver.NamedValue) (driver.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeout)
	defer cancel()
	result, err := c.Conn.ExecContext(ctx, query, storable(arguments))
	return result, timedOut(ctx, err)
}

// QueryContext implements driver.QueryerContext. A SELECT whose connection was lost is
// repeated on another one, unless it is part of a transaction.
func (c connection) QueryContext(ctx context.Context, query string, arguments []driver.NamedValue) (driver.Rows, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeout)
	result, err := c.Conn.QueryContext(ctx, query, storable(arguments))
	inner, ok := result.(*stdlib.Rows)
	if err != nil || !ok {
		cause := timedOut(ctx, err)
		lost := ctx.Err() == nil && isDisconnect(err) && strings.HasPrefix(query, "SELECT ")
		cancel()
		if lost {
			return nil, driver.ErrBadConn // database/sql repeats it outside of transactions
		}
		return nil, cause
	}
	return &rows{Rows: inner, ctx: ctx, cancel: cancel}, nil
}

// PrepareContext implements driver.ConnPrepareContext. It fails: see parseAddress.
func (c connection) PrepareContext(context.Context, string) (driver.Stmt, error) {
	return nil, errors.New("statements are not prepared")
}

// rows are the rows of a statement with a time limit.
type rows struct {
	*stdlib.Rows

	ctx    context.Context //nolint:containedctx // that of the statement, which ends with the rows
	cancel context.CancelFunc
	ended  bool
}

// Next implements driver.Rows.
func (r *rows) Next(dest []driver.Value) error {
	err := timedOut(r.ctx, r.Rows.Next(dest))
	r.ended = r.ended || err != nil
	return err
}

// Close implements driver.Rows. A connection can only be used again after all rows were
// read. If rows are left, which can be many, Close cancels the statement on the server
// and gives the connection up.
func (r *rows) Close() error {
	if !r.ended {
		r.cancel()
		_ = r.Rows.Close() // reports that the statement was canceled
		return nil
	}
	defer r.cancel()
	return r.Rows.Close()
}

// timedOut returns errTimeout if err was caused by the time limit of a statement, so
// that it is not taken for an error of the caller's context.
func timedOut(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
		return errTimeout
	}
	return err
}

// storable replaces what a text in PostgreSQL cannot contain, NUL and invalid UTF-8, by
// U+FFFD.
func storable(arguments []driver.NamedValue) []driver.NamedValue {
	for n, a := range arguments {
		if text, ok := a.Value.(string); ok && (strings.ContainsRune(text, 0) || !utf8.ValidString(text)) {
			arguments[n].Value = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
		}
	}
	return arguments
}
