package resources

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
)

// copyFile copies the file of a saved image, unless the target has it. It returns the
// problem of the source's file, if there is one. If the target's row is saved, its
// file was compared with the hash before, and now only its size is.
func (c *copying) copyFile(ctx context.Context, i Image, saved bool) (*Problem, error) {
	if has, err := c.hasFile(ctx, i, saved); has || err != nil {
		return nil, err
	}
	file, err := c.from.store.Open(ctx, i.Path)
	if err != nil {
		return c.sourceProblem(ctx, i, err)
	}
	defer file.Close()
	source := &verifyingReader{file: file, image: i, hash: sha256.New()}
	sha, size, err := c.to.store.Put(ctx, i.Path, source)
	if errors.Is(err, ErrExists) { // with another content
		if err = c.to.store.Quarantine(ctx, i.Path); err == nil {
			return c.copyFile(ctx, i, saved)
		}
	}
	switch {
	case source.err != nil:
		return c.sourceProblem(ctx, i, source.err)
	case err != nil:
		return nil, err
	case sha != i.SHA256:
		return nil, fmt.Errorf("%w: %s was stored with another content", ErrStorage, RedactName(i.Path))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Files++
	c.report.Bytes += size
	return nil, nil //nolint:nilnil // there is no problem
}

// hasFile reports whether the target has the file of an image. Without verified, it
// also compares the hash.
func (c *copying) hasFile(ctx context.Context, i Image, verified bool) (bool, error) {
	info, err := c.to.store.Stat(ctx, i.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.Size != i.Bytes:
		return false, nil
	case verified:
		return true, nil
	}
	file, err := c.to.store.Open(ctx, i.Path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	err = verifyHash(file, i)
	if errors.Is(err, ErrCorrupt) {
		return false, nil
	}
	return err == nil, err
}

// sourceProblem returns the problem that an error of the source's file means. It
// returns an error if the source cannot be used at all.
func (c *copying) sourceProblem(ctx context.Context, i Image, err error) (*Problem, error) {
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		return &Problem{Kind: Missing, ID: i.ID, Path: i.Path, Detail: "the file does not exist"}, nil
	case errors.Is(err, ErrCorrupt):
		return &Problem{Kind: Damaged, ID: i.ID, Path: i.Path, Detail: err.Error()}, nil
	}
	if err := c.from.store.Ping(ctx); err != nil {
		return nil, err
	}
	return &Problem{Kind: Unreadable, ID: i.ID, Path: i.Path, Detail: err.Error()}, nil
}

// verifyingReader reads the file of an image. At its end it fails with ErrCorrupt if
// size or hash differ from what was recorded, so that a Put of it fails.
type verifyingReader struct {
	file  io.Reader
	image Image
	hash  hash.Hash
	size  int64
	err   error // other than io.EOF
}

func (v *verifyingReader) Read(b []byte) (int, error) {
	n, err := v.file.Read(b)
	v.hash.Write(b[:n])
	v.size += int64(n)
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		v.err = readError(v.image.Path, err)
	case v.size != v.image.Bytes:
		v.err = fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, v.size, v.image.Bytes)
	case hex.EncodeToString(v.hash.Sum(nil)) != v.image.SHA256:
		v.err = fmt.Errorf("%w: %s", ErrCorrupt, RedactName(v.image.Path))
	default:
		return n, io.EOF
	}
	return n, v.err
}
