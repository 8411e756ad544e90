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

// intact remembers which files were found to be the ones that were saved. To
// hash a file takes longer than to send it, so a file that did not change
// since is not hashed again for a while.
type verifiedCache struct {
	mu    sync.Mutex
	files map[string]verifiedFile
}

type verifiedFile struct {
	info os.FileInfo
	at   time.Time
}

const (
	verifyTTL   = 10 * time.Minute // how long a hash stands, unless the file changes
	maxVerified = 10_000
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

// Open opens the file of a saved image for reading. A file that is not the
// one that was saved is ErrCorrupt.
func (l *Library) Open(ctx context.Context, i Image) (*os.File, error) {
	if i.State != Saved {
		return nil, fmt.Errorf("%w: it is not saved", ErrNotFound)
	}
	file, err := l.store.openFile(i.Path)
	if err != nil {
		return nil, err
	}
	if err := l.check(ctx, i, file); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func (l *Library) check(ctx context.Context, i Image, file *os.File) error {
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
	if err := verify(file, i); err != nil {
		l.log.ErrorContext(ctx, "an image file cannot be used", "id", i.ID, "error", err)
		return err
	}
	l.verified.add(i.ID, info, now)
	_, err = file.Seek(0, io.SeekStart)
	return err
}

// verify reads a file to its end and compares it with what was saved.
func verify(file io.Reader, i Image) error {
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return fileError(i.Path, err)
	}
	if hex.EncodeToString(hash.Sum(nil)) != i.SHA256 {
		return fmt.Errorf("%w: %s", ErrCorrupt, redactName(i.Path))
	}
	return nil
}
