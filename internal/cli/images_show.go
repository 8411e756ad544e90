package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"zai-image-mcp/resources"
)

type imagesShowCommand struct {
	showFlags
	ID string `arg:"" help:"Id or zai-image:// URI."`
}

// shownImage is what images show prints.
type shownImage struct {
	resources.Description
	Exports        []shownExport `json:"exports,omitempty"`         // the oldest first
	UpstreamAnswer string        `json:"upstream_answer,omitempty"` // response of Z.AI that could not be parsed
}

// shownExport is a file outside of the library that was made from an image.
type shownExport struct {
	Path      string    `json:"path"`
	File      fileState `json:"file"`
	Spec      string    `json:"spec"`
	Bytes     int64     `json:"bytes"`
	SHA256    string    `json:"sha256"`
	CreatedAt string    `json:"created_at"` // RFC 3339
}

// fileState says what became of a file since it was written.
type fileState string

const (
	fileUnchanged  fileState = "unchanged"
	fileChanged    fileState = "changed"
	fileMissing    fileState = "missing"
	fileUnreadable fileState = "unreadable"
)

// Run prints an image's entry as JSON, with the files that were made from it, and
// draws the image.
func (c *imagesShowCommand) Run(ctx context.Context, p *program, images *imagesCommand) error {
	library, err := images.openExisting(ctx, p, p.log())
	if err != nil {
		return err
	}
	defer library.Close()
	image, err := images.find(ctx, library, c.ID)
	if err != nil {
		return err
	}
	exports, err := library.Catalog().ExportsOf(ctx, image.ID)
	if err != nil {
		return err
	}
	shown := shownImage{Description: library.Describe(ctx, image, resources.Locator{Path: true}), UpstreamAnswer: image.UpstreamAnswer}
	for _, e := range exports {
		shown.Exports = append(shown.Exports, shownExport{
			Path: e.Path, File: stateOf(e), Spec: e.Spec, Bytes: e.Bytes, SHA256: e.SHA256, CreatedAt: e.CreatedAt.UTC().Format(time.RFC3339),
		})
	}
	if err := printJSON(p.Stdout, shown, "  "); err != nil {
		return err
	}
	if image.State == resources.Saved {
		p.draw(ctx, c.protocol(p), library, image)
	}
	return nil
}

// stateOf compares a file with its record. It does not read special files, which may block.
func stateOf(e resources.Exported) fileState {
	info, err := os.Stat(e.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fileMissing
	case err != nil:
		return fileUnreadable
	case !info.Mode().IsRegular() || info.Size() != e.Bytes:
		return fileChanged
	}
	file, err := os.Open(e.Path)
	if err != nil {
		return fileUnreadable
	}
	defer file.Close()
	sum := sha256.New()
	switch _, err := io.Copy(sum, file); {
	case err != nil:
		return fileUnreadable
	case hex.EncodeToString(sum.Sum(nil)) != e.SHA256:
		return fileChanged
	}
	return fileUnchanged
}
