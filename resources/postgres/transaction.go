package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"zai-image-mcp/resources/sqlcatalog"
)

const (
	maxAttempts = 6 // of a transaction; the pauses between them add up to 0.6 s on average
	firstPause  = 20 * time.Millisecond

	// transactionTimeout limits a transaction, including the wait for local locks and for
	// a connection.
	transactionTimeout = 30 * time.Second
	// lockTimeout limits the wait for another transaction.
	lockTimeout = 10 * time.Second
	// idleTimeout ends the transaction of a process that was suspended or cut off, so
	// that its locks do not stop the other replicas.
	idleTimeout = 10 * time.Second
)

// Write implements sqlcatalog.Engine.
func (d *database) Write(ctx context.Context, f func(q sqlcatalog.Querier) error) error {
	return d.Do(ctx, nil, func(tx sqlcatalog.Querier, _ time.Time) error { return f(tx) })
}

// Do implements sqlcatalog.Engine. It repeats a transaction that had no effect because
// of a conflict or a lost connection. If the answer to COMMIT was lost, it asks the
// server for the outcome.
func (d *database) Do(ctx context.Context, locks []string, f func(tx sqlcatalog.Querier, now time.Time) error) error {
	pool, err := d.open(ctx)
	if err != nil {
		return err
	}
	if d.unlocked { // a control of the tests
		locks = nil
	}
	pause := firstPause
	for attempt := 1; ; attempt++ {
		again, err := d.try(ctx, pool, locks, f)
		if !again || attempt == maxAttempts || !wait(ctx, &pause) {
			return err
		}
	}
}

// wait waits between two attempts, every time twice as long, and varies the time. It
// returns false if ctx ends first.
func wait(ctx context.Context, pause *time.Duration) bool {
	timer := time.NewTimer(*pause/2 + rand.N(*pause)) //nolint:gosec // only spreads attempts
	defer timer.Stop()
	*pause *= 2
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// try runs a transaction once. again reports whether it had no effect, and another
// attempt may succeed.
func (d *database) try(ctx context.Context, pool *sql.DB, locks []string, f func(tx sqlcatalog.Querier, now time.Time) error) (again bool, err error) {
	// The transaction does not end with ctx, which would leave the outcome of COMMIT open.
	limited, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), transactionTimeout, errTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, cancel) // until it begins
	unlock, err := d.local.lock(limited, locks)
	if err != nil {
		return false, cmp.Or(ctx.Err(), timedOut(limited, err))
	}
	defer unlock()
	tx, err := pool.BeginTx(limited, nil)
	stop()
	if err != nil {
		return isRepeatable(err), cmp.Or(ctx.Err(), timedOut(limited, err))
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	transaction, now, err := d.lock(ctx, tx, locks)
	if err == nil {
		err = f(tx, now)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return isRepeatable(err), timedOut(limited, err)
	}
	err = timedOut(limited, tx.Commit())
	if err == nil {
		return false, nil
	}
	if !isUncertain(err) {
		return isRepeatable(err), err
	}
	committed, statusErr := outcome(context.WithoutCancel(ctx), pool, transaction, now)
	switch {
	case statusErr != nil:
		return false, fmt.Errorf("%w (%w)", err, statusErr) // it may have been committed
	case committed:
		return false, nil
	}
	return true, err
}

// lock takes the locks of a transaction in one round trip. It returns the number of the
// transaction, and the time of the database when it has the locks. Every transaction
// takes its locks in the same order, so that there are no deadlocks. The next statement
// sees what the previous owner of a lock committed, because each statement has its own
// snapshot (READ COMMITTED).
func (d *database) lock(ctx context.Context, tx *sql.Tx, locks []string) (transaction string, now time.Time, err error) {
	expressions := []string{`set_config('lock_timeout', $1, TRUE)`, `set_config('idle_in_transaction_session_timeout', $2, TRUE)`}
	arguments := []any{milliseconds(lockTimeout), milliseconds(idleTimeout)}
	numbers := make([]int64, 0, len(locks))
	for _, name := range locks {
		numbers = append(numbers, lockNumber(name))
	}
	slices.Sort(numbers)
	for _, number := range slices.Compact(numbers) {
		arguments = append(arguments, number)
		expressions = append(expressions, fmt.Sprintf(`pg_advisory_xact_lock($%d)::text`, len(arguments)))
	}
	targets := make([]any, len(arguments), len(arguments)+2)
	for n := range targets {
		targets[n] = new(sql.RawBytes)
	}
	// The expressions are evaluated from left to right, so the time is read last.
	expressions = append(expressions, `pg_current_xact_id()::text`, clock)
	var ms int64
	//nolint:gosec // the expressions are constants
	rows, err := tx.QueryContext(ctx, `SELECT `+strings.Join(expressions, ", "), arguments...)
	if err != nil {
		return "", time.Time{}, err
	}
	defer rows.Close()
	if rows.Next() {
		err = rows.Scan(append(targets, &transaction, &ms)...)
	}
	return transaction, time.UnixMilli(ms).UTC(), errors.Join(err, rows.Err())
}

// outcome reports whether a transaction was committed that had its locks at the given time
// of the server. The server may still be committing it: a connection that is lost does not
// stop that.
//
// After a crash the server gives the numbers of transactions that it lost to others. Such a
// number is not below the next number in the checkpoint at the end of the recovery. That one
// begins where it is written, because nothing else runs meanwhile. In the second in which a
// server has started, the outcome of other transactions cannot be told either.
func outcome(ctx context.Context, pool *sql.DB, transaction string, locked time.Time) (committed bool, err error) {
	const query = `SELECT pg_xact_status($1::text::xid8),
		redo_lsn = checkpoint_lsn AND checkpoint_time >= to_timestamp($2::bigint) AND
		(split_part(next_xid, ':', 1)::bigint << 32) + split_part(next_xid, ':', 2)::bigint <= $1::text::bigint
		FROM pg_control_checkpoint()`
	pause := firstPause
	for range maxAttempts + 2 {
		var status sql.NullString
		var reused bool
		err = pool.QueryRowContext(ctx, query, transaction, locked.Unix()).Scan(&status, &reused) // checkpoints have times in seconds
		switch {
		case isFuture(err): // lost in a crash
			return false, nil
		case err != nil && !isRepeatable(err):
			return false, err
		case err != nil || status.String == "in progress":
			wait(ctx, &pause)
		case !status.Valid || reused && status.String == "committed":
			return false, errForgotten
		default:
			return status.String == "committed", nil
		}
	}
	return false, cmp.Or(err, errTimeout)
}

var errForgotten = errors.New("the server has forgotten the transaction")

// isFuture reports whether the server has not assigned the number of a transaction yet.
func isFuture(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	return ok && server.Code == "22023"
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// lockNumber returns the number of an advisory lock. Locks whose numbers are equal by
// chance only make transactions wait for each other.
func lockNumber(name string) int64 {
	sum := sha256.Sum256([]byte("zai-image-mcp\x00" + name))
	return int64(binary.BigEndian.Uint64(sum[:]))
}
