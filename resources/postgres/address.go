package postgres

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// defaultConnectTimeout limits how long a connection attempt takes per host, unless the
// URL has a connect_timeout.
const defaultConnectTimeout = 5 * time.Second

// address is a parsed URL of a database.
type address struct {
	config *pgx.ConnConfig
	name   string // host and database for people, without user and password
}

// errURL lacks the cause, which can contain a part of the password.
var errURL = errors.New("it is not a URL like postgres://user@host:5432/database; " +
	"in the user and the password, write characters such as @ / : # %% as percent codes like %40")

// parseAddress parses a URL, including the parameters that libpq documents, such as
// sslmode, search_path, connect_timeout and target_session_attrs. What the URL does not
// set comes from the environment (PGPASSWORD and others) and from ~/.pgpass, as in
// every client of PostgreSQL.
func parseAddress(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return address{}, errURL
	}
	config, err := pgx.ParseConfig(text)
	if err != nil {
		return address{}, explainURL(err)
	}
	query := u.Query()
	if !query.Has("connect_timeout") {
		config.ConnectTimeout = defaultConnectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "zai-image-mcp"
	}
	// Statements are neither prepared nor otherwise kept on the server, so that every
	// pooler can run them on any connection (PgBouncer before 1.21, and with
	// max_prepared_statements=0, has no prepared statements in transaction mode). The
	// descriptions of their results are kept here: a statement takes one round trip.
	// That is safe because migrations never change the type of a column.
	if !query.Has("default_query_exec_mode") {
		config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	config.StatementCacheCapacity = 0
	if config.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		config.StatementCacheCapacity = 128
	}
	return address{config: config, name: displayName(u, config)}, nil
}

// displayName returns the host and the database, and the schema if the URL names one.
func displayName(u *url.URL, config *pgx.ConnConfig) string {
	host := u.Host
	if host == "" {
		host = config.Host
	}
	name := "postgres://" + host + "/" + config.Database
	if schema := u.Query().Get("search_path"); schema != "" {
		name += "?search_path=" + schema
	}
	return name
}

// explainURL returns what is wrong with a URL. Only errors of parameters that cannot
// contain the password are quoted.
func explainURL(err error) error {
	text := err.Error()
	for _, known := range []string{"sslmode is invalid", "unable to read CA file", "unable to read CRL file", "unable to read sslcert", "unable to read sslkey", "invalid connect_timeout", "unknown target_session_attrs value", "invalid default_query_exec_mode", "invalid port"} {
		if strings.Contains(text, known) {
			return errors.New("its parameters cannot be used: " + known)
		}
	}
	return errURL
}
