package sqlcatalog

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"zai-image-mcp/resources"
)

// bound is a statement in the database's dialect.
type bound struct {
	text string
	now  []int // positions of the current time among the arguments
}

// bind returns a statement in the database's dialect.
func (d Dialect) bind(statement string) (b bound) {
	var text strings.Builder
	arguments := 0
	for statement != "" {
		at := strings.IndexAny(statement, "?:")
		if at < 0 {
			at = len(statement)
		}
		text.WriteString(statement[:at])
		statement = statement[at:]
		rest, isNow := strings.CutPrefix(statement, ":now")
		switch {
		case statement == "":
		case isNow && d.Now != "":
			text.WriteString(d.Now)
			statement = rest
		case isNow || statement[0] == '?':
			if isNow {
				b.now = append(b.now, arguments)
			} else {
				rest = statement[1:]
			}
			arguments++
			text.WriteString(d.Placeholder(arguments))
			statement = rest
		default:
			text.WriteByte(statement[0])
			statement = statement[1:]
		}
	}
	b.text = text.String()
	return b
}

// bind returns a statement in the database's dialect, with its arguments. Each text is
// translated once: there are about a hundred.
func (c *Catalog) bind(statement string, arguments []any) (string, []any) {
	c.mu.RLock()
	b, ok := c.bound[statement]
	c.mu.RUnlock()
	if !ok {
		b = c.dialect.bind(statement)
		c.mu.Lock()
		c.bound[statement] = b
		c.mu.Unlock()
	}
	if len(b.now) == 0 {
		return b.text, arguments
	}
	var now any = c.dialect.Clock().UnixMilli()
	all := append(make([]any, 0, len(arguments)+len(b.now)), arguments...)
	for _, at := range b.now {
		all = slices.Insert(all, at, now)
	}
	return b.text, all
}

func (c *Catalog) exec(ctx context.Context, q Querier, statement string, arguments ...any) (changed int64, err error) {
	statement, arguments = c.bind(statement, arguments)
	result, err := q.ExecContext(ctx, statement, arguments...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (c *Catalog) query(ctx context.Context, q Querier, statement string, arguments ...any) (*sql.Rows, error) {
	statement, arguments = c.bind(statement, arguments)
	return q.QueryContext(ctx, statement, arguments...)
}

func (c *Catalog) queryRow(ctx context.Context, q Querier, statement string, arguments ...any) *sql.Row {
	statement, arguments = c.bind(statement, arguments)
	return q.QueryRowContext(ctx, statement, arguments...)
}

// write executes one statement that changes rows, and returns how many it changed.
func (c *Catalog) write(ctx context.Context, statement string, arguments ...any) (changed int64, err error) {
	err = c.engine.Write(ctx, func(q Querier) error {
		var err error
		changed, err = c.exec(ctx, q, statement, arguments...)
		return err
	})
	return changed, err
}

// lookup returns the connections for queries by key.
func (c *Catalog) lookup(ctx context.Context) (Querier, error) {
	db, err := c.engine.DB(ctx)
	if err != nil {
		return nil, err
	}
	return db.Lookup, nil
}

// scanAll reads the rows of a result with a function that reads one. Its first two
// parameters are the results of a query.
func scanAll[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		value, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, rows.Err()
}

// scanner is a row of a result.
type scanner interface{ Scan(targets ...any) error }

// scanValue reads a row with one column.
func scanValue[T any](row scanner) (value T, err error) {
	err = row.Scan(&value)
	return value, err
}

// stateIn returns the condition that a row has one of the states.
func stateIn(states ...resources.State) string {
	list := make([]string, len(states))
	for n, s := range states {
		list[n] = "'" + string(s) + "'"
	}
	return "state IN (" + strings.Join(list, ", ") + ")"
}

// Recoverable returns the condition that a row is recoverable. The index images_open
// has exactly this condition, so that SQLite can use it.
func Recoverable() string { return stateIn(resources.StatesThat(resources.State.Recoverable)...) }

// unixMilli returns a time in the catalog's format, 0 for the zero time.
func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// timeOf returns the time of a column, the zero time for 0.
func timeOf(milliseconds int64) time.Time {
	if milliseconds == 0 {
		return time.Time{}
	}
	return time.UnixMilli(milliseconds).UTC()
}

// utcDay returns the UTC day of a time in the catalog's format.
func utcDay(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// place returns n placeholders.
func place(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }
