package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// unheard is the longest time after which a change is reported for which no
	// notification came: a pooler may have dropped it.
	unheard = 3 * time.Second
	// silence is how long a connection that listens may be silent before it is tested: a
	// connection that was cut off without a word would never report anything.
	silence = 30 * time.Second
	// testTimeout limits that test.
	testTimeout = 5 * time.Second
)

// Watch implements resources.Journal. It listens on a connection of its own, and also
// reports a possible change every few seconds, in case that a notification is lost. It
// returns nil when ctx ends.
func (c *Catalog) Watch(ctx context.Context, changed func()) error {
	if _, err := c.db.open(ctx); err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, c.db.address.config.Copy())
	if err != nil {
		return c.db.Error("listening", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), testTimeout)
		defer cancel()
		_ = conn.Close(closing) // there is nothing to keep
	}()
	if _, err := conn.Exec(ctx, "LISTEN zai_images"); err != nil {
		return c.db.Error("listening", err)
	}
	changed() // something may have changed before LISTEN
	for {
		err := c.listen(ctx, conn, changed)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return c.db.Error("listening", err)
		}
		changed()
	}
}

// listen waits for a notification, whose payload is not needed, because callers read
// all changes. Meanwhile it tests the silent connection.
func (c *Catalog) listen(ctx context.Context, conn *pgx.Conn, changed func()) error {
	for tested := time.Now(); ; {
		waiting, cancel := context.WithTimeout(ctx, unheard)
		_, err := conn.WaitForNotification(waiting)
		silent := waiting.Err() != nil
		cancel()
		if err == nil || ctx.Err() != nil || !silent {
			return err
		}
		changed()
		if time.Since(tested) < silence {
			continue
		}
		testing, cancel := context.WithTimeoutCause(ctx, testTimeout, errTimeout)
		err = timedOut(testing, conn.Ping(testing))
		cancel()
		if err != nil {
			return err
		}
		tested = time.Now()
	}
}
