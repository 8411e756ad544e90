package cli

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"zai-image-mcp/internal/textfile"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/postgres"
	"zai-image-mcp/resources/sqlite"
)

const (
	// catalogName is the name of the catalog's file in the library's folder. --catalog
	// can name another file.
	catalogName = ".catalog.db"
	// catalogVariable sets --catalog.
	catalogVariable = "ZAI_IMAGE_CATALOG"
	// catalogFileVariable names a file that contains the URL of the catalog's database.
	catalogFileVariable = "ZAI_IMAGE_CATALOG_FILE"
)

// catalogLocation returns where the catalog is: the path of a file, the URL of a
// database, or "" for the default. The URL comes from the flag, its variable, or the
// file that another variable names. The flag may not contain a password, because every
// process on the machine can read the flags of others.
func (p *program) catalogLocation(flag filePath) (string, error) {
	if flag == "" {
		return p.catalogFromFile()
	}
	switch {
	case !isURL(string(flag)):
		return absoluteCatalog(flag)
	case !isDatabase(string(flag)):
		scheme, _, _ := strings.Cut(string(flag), "://")
		return "", &usageError{
			"--catalog " + scheme + "://…: only SQLite files and PostgreSQL databases are supported",
			"Name a file, or a database like postgres://user@host/database.",
		}
	case hasPassword(string(flag)) && expandHome(p.Env(catalogVariable), p.Home) != string(flag):
		return "", &usageError{
			"--catalog: the URL contains a password, which other users of this machine could read",
			"Set the URL in " + catalogVariable + ", or name a file that contains it in " + catalogFileVariable + ".",
		}
	}
	return string(flag), nil
}

func absoluteCatalog(path filePath) (string, error) {
	full, err := path.absolute()
	if err != nil {
		return "", &usageError{"--catalog: " + err.Error(), "Name an absolute path."}
	}
	return full, nil
}

// catalogFromFile returns the URL in the file that catalogFileVariable names, "" if the
// variable is not set.
func (p *program) catalogFromFile() (string, error) {
	file := expandHome(p.Env(catalogFileVariable), p.Home)
	if file == "" {
		return "", nil
	}
	hint := catalogFileVariable + " must name a readable file that contains only a URL like postgres://user:password@host/database."
	text, err := textfile.Read(file)
	if err != nil {
		return "", &usageError{catalogFileVariable + ": " + err.Error(), hint}
	}
	location := strings.TrimSpace(text)
	if !isDatabase(location) {
		return "", &usageError{catalogFileVariable + ": " + file + " does not contain the URL of a PostgreSQL database", hint}
	}
	return location, nil
}

func isURL(location string) bool { return strings.Contains(location, "://") }

// isDatabase reports whether a location is the URL of a PostgreSQL database.
func isDatabase(location string) bool {
	return strings.HasPrefix(location, "postgres://") || strings.HasPrefix(location, "postgresql://")
}

// hasPassword reports whether a URL contains a password, or cannot be parsed, so that it
// may contain one.
func hasPassword(location string) bool {
	u, err := url.Parse(location)
	if err != nil {
		return true
	}
	_, inUser := u.User.Password()
	return inUser || u.Query().Has("password")
}

// newCatalog returns the catalog at a location. It opens no file and does not connect.
func newCatalog(location string, log *slog.Logger) (resources.Catalog, error) {
	if !isDatabase(location) {
		return sqlite.New(sqlite.Options{Path: location, Now: time.Now, Log: log}), nil
	}
	catalog, err := postgres.New(postgres.Options{URL: location, Log: log})
	if err != nil {
		return nil, &usageError{"--catalog: " + err.Error(), "Correct the URL in " + catalogVariable + ", or in the file that " + catalogFileVariable + " names."}
	}
	return catalog, nil
}

// cacheFolder returns the folder of a cache: next to the catalog's file, or in the
// library's folder if the catalog is a database.
func cacheFolder(folder, catalog, name string) string {
	if isDatabase(catalog) {
		return filepath.Join(folder, name)
	}
	return filepath.Join(filepath.Dir(cmp.Or(catalog, filepath.Join(folder, catalogName))), name)
}

// withHint returns an error with one sentence on what to do, after a separator, if it is
// an error of the library's folder or catalog.
func withHint(err error, separator string) error {
	if storage, ok := errors.AsType[*resources.StorageError](err); ok {
		return fmt.Errorf("%w%s%s", err, separator, storage.Advice())
	}
	return err
}
