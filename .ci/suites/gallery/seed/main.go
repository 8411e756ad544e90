// Command seed adds images to a library in a folder: seed FOLDER COUNT. They share the file
// of the newest image that is there, and are older than it, 30 minutes apart. Every other one
// is marked as made by the sandbox.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/sqlite"
)

const (
	owner = "local"
	step  = 30 * time.Minute
	batch = 5000
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "seed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: seed FOLDER COUNT")
	}
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	catalog := sqlite.New(sqlite.Options{
		Path: filepath.Join(args[0], ".catalog.db"), Now: time.Now, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	return errors.Join(fill(ctx, catalog, count), catalog.Close())
}

// fill adds copies of the newest image.
func fill(ctx context.Context, catalog *sqlite.Catalog, count int) error {
	newest, err := catalog.Page(ctx, owner, resources.Saved, "", "", 1)
	if err != nil {
		return err
	}
	if len(newest) == 0 {
		return errors.New("the library has no image")
	}
	rows := make([]resources.Row, 0, batch)
	for n := count; n > 0; n-- { // indexes grow fastest in their order
		row, err := older(newest[0], n)
		if err != nil {
			return err
		}
		if rows = append(rows, row); len(rows) < batch && n > 1 {
			continue
		}
		if _, err := catalog.Insert(ctx, rows...); err != nil {
			return err
		}
		rows = rows[:0]
	}
	return nil
}

// older returns the n-th copy of an image.
func older(i resources.Image, n int) (resources.Row, error) {
	i.CreatedAt = i.CreatedAt.Add(-time.Duration(n) * step)
	id, err := ulid.New(ulid.Timestamp(i.CreatedAt), rand.Reader)
	i.ID = strings.ToLower(id.String())
	i.Prompt = fmt.Sprintf("number %d of a fox", n)
	i.Sandbox = n%2 == 0
	return resources.Row{Image: i}, err
}
