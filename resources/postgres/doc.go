// Package postgres keeps the catalog in a PostgreSQL database (version 13 or newer,
// encoding UTF8), which any number of processes on any number of machines share.
//
// The database's clock decides when leases end and which UTC day it is. Transactions
// that must be alone with an owner's spending, or with the slots of a model, take
// advisory locks. A process counts as alive as long as it renews its leases; there are
// no lock files.
//
// All parts work through a connection pooler in transaction mode, such as PgBouncer,
// except Watch: NOTIFY does not reach a listener there, so that other processes hear of
// changes only when they next read Changes. A URL that leads past the pooler restores
// that.
package postgres
