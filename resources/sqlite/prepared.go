package sqlite

import (
	"context"
	"database/sql"
	"sync"
)

// prepared executes statements outside of transactions on the connection for writes.
// Each text is prepared once; there are about thirty. Closing the database closes them.
type prepared struct {
	*sql.DB

	mu         sync.Mutex
	statements map[string]*sql.Stmt
}

// ExecContext implements sqlcatalog.Querier.
func (p *prepared) ExecContext(ctx context.Context, text string, arguments ...any) (sql.Result, error) {
	statement, err := p.prepare(ctx, text) //nolint:sqlclosecheck // used again by the next call
	if err != nil {
		return nil, err
	}
	return statement.ExecContext(ctx, arguments...)
}

func (p *prepared) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	p.mu.Lock()
	statement := p.statements[text]
	p.mu.Unlock()
	if statement != nil {
		return statement, nil
	}
	made, err := p.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.statements[text]; other != nil {
		_ = made.Close() //nolint:sqlclosecheck // another call was faster
		return other, nil
	}
	p.statements[text] = made
	return made, nil
}
