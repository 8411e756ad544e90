package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/label"
)

// imagesCommand has the commands that manage the library, and their shared flags.
type imagesCommand struct {
	libraryFlags
	Owner string `help:"Owner of the images; over HTTP, the name of the token, or issuer and claim, like id.example.com/00u1 (default: local; for spend and du: all owners)." placeholder:"NAME"`

	labels label.Policy `kong:"-"` // of files made from images; only export makes any

	List    imagesListCommand    `cmd:"" help:"List images, newest first."`
	Show    imagesShowCommand    `cmd:"" help:"Print all details of an image as JSON, with the files in projects that were made from it."`
	Path    imagesPathCommand    `cmd:"" help:"Print the path of an image's file, or its address in a bucket."`
	Rm      imagesRmCommand      `cmd:"" help:"Delete images with their files and cached exports. Files in projects stay, and the cost still counts."`
	Spend   imagesSpendCommand   `cmd:"" help:"Print what was spent, by day, owner and model."`
	Du      imagesDuCommand      `cmd:"" help:"Print the space that images use, by month and owner, and that previews and exports use."`
	Prune   imagesPruneCommand   `cmd:"" help:"Delete cached exports, which are made again when they are needed."`
	Check   imagesCheckCommand   `cmd:"" help:"Compare the catalog with the folder. Exits 3 if there are problems."`
	Repair  imagesRepairCommand  `cmd:"" help:"Quarantine damaged files, delete stale ones, and fetch paid images again. Exits 3 if problems remain."`
	Reindex imagesReindexCommand `cmd:"" help:"Add files missing from the catalog. Exits 3 if a file is not an image."`
	Copy    imagesCopyCommand    `cmd:"" help:"Copy the library to another store and catalog; may be interrupted and repeated. Exits 3 if images are still in progress."`
}

// owner returns the owner of the images.
func (c *imagesCommand) owner() string { return cmp.Or(c.Owner, localOwner) }

// open returns the library, which may have no catalog yet. It fails if the folder
// of --store does not exist: these commands must not create a library, or a
// misspelled name would go unnoticed.
func (c *imagesCommand) open(ctx context.Context, p *program, log *slog.Logger) (*resources.Library, error) {
	library, err := p.library(c.libraryFlags, c.labels, log)
	if err != nil {
		return nil, err
	}
	if c.Store == "" {
		return library, nil
	}
	if err := library.StorePresent(ctx); err != nil {
		if isBucket(string(c.Store)) {
			return nil, withHint(errors.Join(err, library.Close()), ". ")
		}
		library.Close()
		return nil, &usageError{
			"--store: there is no folder " + library.StoreName(),
			"Name the library with --store (ZAI_IMAGE_STORE) and --catalog (ZAI_IMAGE_CATALOG); the first image creates a new one.",
		}
	}
	return library, nil
}

// openExisting returns a library that has a catalog, and fails if there is none.
// The error is resources.ErrNotFound if neither --store nor --catalog is set: the
// user has no images yet.
func (c *imagesCommand) openExisting(ctx context.Context, p *program, log *slog.Logger) (*resources.Library, error) {
	library, err := c.open(ctx, p, log)
	switch {
	case err != nil || library.Exists():
		return library, err
	case c.Store != "" || c.Catalog != "":
		return nil, fmt.Errorf("there is no catalog for %s; images reindex creates one from the files there", library.StoreName())
	default:
		return nil, resources.ErrNotFound
	}
}

// find returns an image of the owner by id or URI.
func (c *imagesCommand) find(ctx context.Context, library *resources.Library, id string) (resources.Image, error) {
	image, err := library.Image(ctx, c.owner(), parseID(id))
	if err != nil {
		return image, fmt.Errorf("%s: %w", id, err)
	}
	return image, nil
}

// findSaved returns a saved image of the owner by id or URI.
func (c *imagesCommand) findSaved(ctx context.Context, library *resources.Library, id string) (resources.Image, error) {
	image, err := c.find(ctx, library, id)
	if err == nil && image.State != resources.Saved {
		err = fmt.Errorf("%s is not saved but %s", image.ID, image.Status())
	}
	return image, err
}

// entryOf returns the entry that images list prints as JSON.
func entryOf(ctx context.Context, library *resources.Library, image resources.Image) resources.Entry {
	return library.Entry(ctx, image, resources.Locator{Path: true})
}

// parseID returns the id from an id or from the URI of an image.
func parseID(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	if id, _, ok := resources.ParseURI(text); ok {
		return id
	}
	return text
}
