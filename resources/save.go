package resources

import (
	"context"
	"errors"
	"io"
	"io/fs"
)

// Content is an image file to be saved.
type Content struct {
	io.Reader
	MIMEType, Extension string // of the actual bytes; the extension has its dot
	Width, Height       int    // pixels
}

// Save durably writes the file and then the row, so that a row in state Saved
// always has its file. process is the process that saves the image (see
// Guard.Lease). Errors of the content's reader are returned unchanged. Save fails
// with ErrNotFound if the image was removed meanwhile; errors of the store or the
// catalog match ErrStorage.
func (l *Library) Save(ctx context.Context, i Image, c Content, process string) (Image, error) {
	name := fileName(i.CreatedAt, i.Prompt, i.ID, c.Extension)
	finder := l.findMarks(ctx, c.MIMEType)
	sha, size, err := l.store.Put(ctx, name, io.TeeReader(c.Reader, finder))
	marks := finder.names()
	if errors.Is(err, ErrExists) {
		return l.resolveExisting(ctx, i, name, err)
	}
	if err != nil {
		return i, err
	}
	i.State, i.Failure = Saved, nil
	i.Path, i.MIMEType, i.SHA256, i.Bytes = name, c.MIMEType, sha, size
	i.Width, i.Height, i.Marks = c.Width, c.Height, marks
	l.logMarks(ctx, i)
	return l.recordSaved(ctx, i, process)
}

// SaveFound is Save for an image whose file is already in the store, because a process died
// after it wrote the file and before it wrote the row. It fails with fs.ErrNotExist if there is
// no such file, and then the image it returns is not Saved.
func (l *Library) SaveFound(ctx context.Context, i Image, process string) (Image, error) {
	for _, extension := range imageExtensions() {
		file, _, err := l.identify(ctx, fileName(i.CreatedAt, i.Prompt, i.ID, extension))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return i, err
		}
		return l.recordSaved(ctx, i.savedAs(file), process)
	}
	return i, fs.ErrNotExist
}

// recordSaved writes the row of an image whose file is in the store.
func (l *Library) recordSaved(ctx context.Context, i Image, process string) (Image, error) {
	writer := Guard{Lease: Lease{Process: process}}
	err := l.catalog.Record(ctx, i, writer)
	if errors.Is(err, ErrSettled) {
		return l.resolveSettled(ctx, i, writer)
	}
	return i, err
}

// savedAs returns the image as saved in a file that identify has read.
func (i Image) savedAs(file Image) Image {
	i.State, i.Failure, i.Path = Saved, nil, file.Path
	i.MIMEType, i.Width, i.Height, i.Bytes, i.SHA256 = file.MIMEType, file.Width, file.Height, file.Bytes, file.SHA256
	i.Marks = file.Marks
	return i
}

// resolveExisting handles a file that was not saved because another one has its name.
// If the catalog refers to that one, it returns the image in the catalog. Otherwise a
// process died between the writes of a file and its row: it moves the file aside and
// returns err, so that a later attempt succeeds.
func (l *Library) resolveExisting(ctx context.Context, i Image, name string, err error) (Image, error) {
	current, findErr := l.Image(ctx, i.Owner, i.ID)
	switch {
	case findErr != nil:
		return i, findErr
	case current.State == Saved && current.Path == name:
		return current, nil
	}
	return i, errors.Join(err, l.store.Quarantine(ctx, name))
}

// resolveSettled handles an image that was removed or saved by another process
// while this one was saving it. It deletes the new file unless the catalog refers
// to it, and returns the image in the catalog.
func (l *Library) resolveSettled(ctx context.Context, i Image, writer Guard) (Image, error) {
	current, err := l.Image(ctx, i.Owner, i.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		return i, errors.Join(err, l.store.Delete(ctx, i.Path))
	case err == nil && current.State != Saved: // the other process's file went missing: use this one
		return i, l.catalog.Record(ctx, i, writer)
	case err == nil && current.Path != i.Path:
		return current, l.store.Delete(ctx, i.Path)
	default: // the catalog refers to the file, or could not be read
		return current, err
	}
}
