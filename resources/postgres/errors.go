package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"zai-image-mcp/resources"
)

// failure is an error of the database with words for callers. It implements
// resources.Explained.
type failure struct {
	reason, advice string // advice "" stands for the general advice
	err            error
}

// Error implements error.
func (f *failure) Error() string { return f.reason + ": " + f.err.Error() }

// Unwrap returns the error of the driver.
func (f *failure) Unwrap() error { return f.err }

// Reason returns what happened, without the user and the password of the URL.
func (f *failure) Reason() string { return f.reason }

// Advice returns one sentence on what the user can do.
func (f *failure) Advice(place string) string {
	if f.advice == "" {
		return "Ask the user to check the " + place + ", then call again."
	}
	return strings.ReplaceAll(f.advice, "{place}", place)
}

// The errors that the program itself finds.
var (
	errClosed   = errors.New("closed")
	errNewer    = errors.New("it was made by a newer version of this program")
	errTimeout  = errors.New("the database did not answer in time")
	errMissing  = errors.New("the tables of the catalog are missing")
	errEncoding = errors.New("the encoding of the database is not UTF8")
)

// reasons returns, by SQLSTATE or its class (the first two characters), what an error
// means and what the user can do. The longer code takes precedence.
func reasons() map[string]failure {
	const wait = "Call again in a minute; if it persists, ask the user to check the {place}."
	return map[string]failure{
		"28":    {reason: "the database refused the user or the password", advice: "Ask the user to correct the user and the password in the URL of the {place}, then call again."},
		"3D000": {reason: "the database does not exist", advice: "Ask the user to create the database of the {place} with CREATE DATABASE, or to correct its name in the URL, then call again."},
		"3F000": {reason: "the schema does not exist", advice: "Ask the user to create the schema that search_path names in the {place}, then call again."},
		"42501": {reason: "the user of the URL lacks a privilege", advice: "Ask the user to give the user of the {place} the right to create and use tables in its schema, then call again."},
		"53300": {reason: "the database has too many connections", advice: "Call again in a minute; if it persists, ask the user to raise max_connections of the {place}, or to put a connection pooler in front of it."},
		"53100": {reason: "the disk of the database is full", advice: "Ask the user to free space on the disk of the {place}, then call again."},
		"53":    {reason: "the database lacks resources", advice: wait},
		"25006": {reason: "the database is read-only", advice: "Ask the user to set the URL of the {place} to the primary server, for example with target_session_attrs=read-write, then call again."},
		"57P03": {reason: "the database is starting or stopping", advice: wait},
		"57P":   {reason: "the database is shutting down", advice: wait},
		"57014": {reason: errTimeout.Error(), advice: wait},
		"55P03": {reason: "the database is busy: a lock was not free in time", advice: wait},
		"40":    {reason: "the database is busy: transactions kept conflicting", advice: wait},
		"08":    {reason: "the connection to the database was lost", advice: wait},
		"42P01": {reason: errMissing.Error(), advice: "Ask the user to check which database and schema the URL of the {place} names, and to restart the program, which creates missing tables."},
		"XX001": {reason: "the database found damaged data", advice: "Ask the user to restore the {place} from a backup."},
		"XX002": {reason: "the database found a damaged index", advice: "Ask the user to run REINDEX on the {place}."},
	}
}

// Error implements sqlcatalog.Engine.
func (d *database) Error(action string, err error) error {
	var storage *resources.StorageError
	switch {
	case err == nil, errors.As(err, &storage), errors.Is(err, resources.ErrNotFound):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded): // of the caller
		return fmt.Errorf("%s: %w", action, err)
	}
	return &resources.StorageError{Part: "catalog", Path: d.address.name, Err: fmt.Errorf("%s: %w", action, explain(err))}
}

// explain adds words for callers to an error of the driver.
func explain(err error) error {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	const wait = "Call again in a minute; if it persists, ask the user to check the {place}."
	const reach = "Ask the user to start the server of the {place} or to correct the host and port in the URL, then call again."
	var (
		server *pgconn.PgError
		dns    *net.DNSError
		found  failure
	)
	switch {
	case errors.As(err, &server):
		found = explainCode(server.Code)
	case errors.Is(err, syscall.ECONNREFUSED):
		found = failure{reason: "the server refused the connection", advice: reach}
	case errors.As(err, &dns):
		found = failure{reason: "the name of its host cannot be resolved", advice: reach}
	case errors.Is(err, errTimeout):
		found = failure{reason: errTimeout.Error(), advice: wait}
	case isTimeout(err):
		found = failure{reason: errTimeout.Error(), advice: reach}
	case errors.Is(err, errNewer):
		found = failure{reason: errNewer.Error(), advice: "Ask the user to install the newest version of this program."}
	case errors.Is(err, errEncoding):
		found = failure{reason: errEncoding.Error(), advice: "Ask the user to create the database of the {place} with ENCODING 'UTF8'."}
	case errors.Is(err, errClosed):
		found = failure{reason: "it is closed"}
	case isDisconnect(err):
		found = failure{reason: "the connection to the database was lost", advice: wait}
	default:
		found = failure{reason: "the database cannot be used"}
	}
	found.err = err
	return &found
}

func explainCode(code string) failure {
	all := reasons()
	for length := len(code); length >= 2; length-- {
		if found, ok := all[code[:length]]; ok {
			return found
		}
	}
	return failure{reason: "the database reported error " + code}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// isDisconnect reports whether the connection failed before the server answered.
func isDisconnect(err error) bool {
	var (
		network net.Error
		connect *pgconn.ConnectError
	)
	return errors.As(err, &network) || errors.As(err, &connect) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed")
}

// isRolledBack reports whether a statement had no effect for a reason that another
// attempt may not meet.
func isRolledBack(err error) bool {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch server.Code {
		case "40001", "40P01", "57P03": // serialization, deadlock; the server is starting
			return true
		}
		return false
	}
	var connect *pgconn.ConnectError
	return errors.As(err, &connect) || errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err)
}

// isRepeatable reports whether a transaction that was not committed ended for a reason
// that another attempt may not meet.
func isRepeatable(err error) bool {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return isRolledBack(err) || server.Code == "57P01" || server.Code == "57P02" || strings.HasPrefix(server.Code, "08") // the server stopped
	}
	return isDisconnect(err) && !isTimeout(err)
}

// isUncertain reports whether a COMMIT that failed with err may have taken effect.
func isUncertain(err error) bool {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return server.Severity != "ERROR" // the server ended the connection meanwhile
	}
	return !errors.Is(err, pgx.ErrTxCommitRollback)
}
