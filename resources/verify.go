package resources

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// verifiedCache holds the files that matched their recorded hash. Hashing a
// file takes longer than sending it, so an unchanged file is hashed once per
// verifyTTL.
type verifiedCache struct {
	mu    sync.Mutex
	files map[string]verifiedFile // by image id
}

type verifiedFile struct {
	info os.FileInfo
	at   time.Time
}

const (
	verifyTTL   = 10 * time.Minute
	maxVerified = 10_000 // entries; the cache is emptied when it is full
)

func (v *verifiedCache) contains(id string, info os.FileInfo, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	last, ok := v.files[id]
	return ok && os.SameFile(last.info, info) && last.info.Size() == info.Size() && last.info.ModTime().Equal(info.ModTime()) && now.Sub(last.at) < verifyTTL
}

func (v *verifiedCache) add(id string, info os.FileInfo, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.files == nil || len(v.files) >= maxVerified {
		v.files = map[string]verifiedFile{}
	}
	v.files[id] = verifiedFile{info, now}
}

// Open opens the file of a saved image for reading. It fails with ErrCorrupt if the
// file differs from what was saved; a recent check counts for an unchanged file.
func (l *Library) Open(ctx context.Context, i Image) (*os.File, error) {
	if i.State != Saved {
		return nil, fmt.Errorf("%w: it is not saved", ErrNotFound)
	}
	file, err := l.store.openFile(i.Path)
	if err != nil {
		return nil, err
	}
	if err := l.verifyOnce(ctx, i, file); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// verifyOnce compares a file with the recorded size and hash. It skips the hash of
// an unchanged file that matched less than verifyTTL ago. The file is left at its
// beginning.
func (l *Library) verifyOnce(ctx context.Context, i Image, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fileError(i.Path, err)
	}
	if info.Size() != i.Bytes {
		return fmt.Errorf("%w: %s has another size", ErrCorrupt, redactName(i.Path))
	}
	now := l.now()
	if l.verified.contains(i.ID, info, now) {
		return nil
	}
	if err := verifyHash(file, i); err != nil {
		l.log.ErrorContext(ctx, "failed to verify an image file", "id", i.ID, "error", err)
		return err
	}
	l.verified.add(i.ID, info, now)
	_, err = file.Seek(0, io.SeekStart)
	return err
}

// verifyHash reads a file to its end and compares its hash with the recorded
// one.
func verifyHash(file io.Reader, i Image) error {
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return fileError(i.Path, err)
	}
	if hex.EncodeToString(hash.Sum(nil)) != i.SHA256 {
		return fmt.Errorf("%w: %s", ErrCorrupt, redactName(i.Path))
	}
	return nil
}

// Read returns the exact bytes of a saved image. It fails with ErrCorrupt if
// the file differs from what was saved.
func (l *Library) Read(_ context.Context, i Image) ([]byte, error) {
	if i.State != Saved {
		return nil, fmt.Errorf("%w: it is not saved", ErrNotFound)
	}
	file, err := l.store.openFile(i.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || info.Size() != i.Bytes {
		return nil, fmt.Errorf("%w: %s has another size", ErrCorrupt, redactName(i.Path))
	}
	b := make([]byte, i.Bytes)
	if _, err := io.ReadFull(file, b); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, redactName(i.Path), withoutPath(err))
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != i.SHA256 {
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, redactName(i.Path))
	}
	return b, nil
}
