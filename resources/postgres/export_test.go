package postgres

import "time"

// WithoutLocks makes transactions take no advisory locks.
func (c *Catalog) WithoutLocks() { c.db.unlocked = true }

// StatementTimeout replaces the time limit of statements.
func StatementTimeout(c *Catalog, limit time.Duration) {
	c.db.pool = newPool(c.db.address, limit)
}

// Newest returns the version of the schema.
func Newest() int {
	steps, err := loadMigrations()
	if err != nil {
		panic(err)
	}
	return steps[len(steps)-1].version
}
