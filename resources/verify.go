package resources

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"
)

// verifiedCache holds the files that matched their recorded hash, and those that did not.
// Hashing a file takes longer than sending it, so an unchanged file is hashed once per
// verifyTTL.
type verifiedCache struct {
	mu      sync.Mutex
	files   map[string]verifiedFile // by image id
	damaged map[string]bool         // by image id
}

type verifiedFile struct {
	version string
	at      time.Time
}

const (
	verifyTTL   = 10 * time.Minute
	maxVerified = 10_000 // entries of each map, which is emptied when it is full
)

func (v *verifiedCache) contains(id, version string, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	last, ok := v.files[id]
	return ok && last.version == version && now.Sub(last.at) < verifyTTL
}

func (v *verifiedCache) add(id, version string, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.files == nil || len(v.files) >= maxVerified {
		v.files = map[string]verifiedFile{}
	}
	v.files[id] = verifiedFile{version, now}
	delete(v.damaged, id)
}

// addDamaged remembers that the file of an image differs from what was saved.
func (v *verifiedCache) addDamaged(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.damaged == nil || len(v.damaged) >= maxVerified {
		v.damaged = map[string]bool{}
	}
	v.damaged[id] = true
	delete(v.files, id)
}

// wasDamaged reports whether the file of an image differed when it was last read.
func (v *verifiedCache) wasDamaged(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.damaged[id]
}

// openFile opens the file of a saved image, unchecked. It fails with ErrNotFound if the
// image was removed since i was looked up.
func (l *Library) openFile(ctx context.Context, i Image) (File, error) {
	if i.State != Saved {
		return nil, fmt.Errorf("%w: it is not saved", ErrNotFound)
	}
	file, err := l.store.Open(ctx, i.Path)
	if errors.Is(err, fs.ErrNotExist) {
		if now, rowErr := l.catalog.Row(ctx, i.ID); rowErr == nil && now.State == Removed {
			return nil, fmt.Errorf("%w: it was removed", ErrNotFound)
		}
	}
	return file, err
}

// Open opens the file of a saved image for reading. It fails with ErrCorrupt if the
// file differs from what was saved; a recent check counts for an unchanged file.
func (l *Library) Open(ctx context.Context, i Image) (File, error) {
	file, err := l.openFile(ctx, i)
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
func (l *Library) verifyOnce(ctx context.Context, i Image, file File) error {
	info, err := file.Info()
	if err != nil {
		return err
	}
	if info.Size != i.Bytes {
		return fmt.Errorf("%w: %s has another size", ErrCorrupt, RedactName(i.Path))
	}
	now := l.now()
	if l.verified.contains(i.ID, info.Version, now) {
		return nil
	}
	if err := verifyHash(file, i); err != nil {
		if errors.Is(err, ErrCorrupt) {
			l.verified.addDamaged(i.ID)
		}
		l.log.ErrorContext(ctx, "failed to verify an image file", "id", i.ID, "error", err)
		return err
	}
	l.verified.add(i.ID, info.Version, now)
	_, err = file.Seek(0, io.SeekStart)
	return err
}

// verifyHash reads a file to its end and compares its hash with the recorded
// one.
func verifyHash(file io.Reader, i Image) error {
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return readError(i.Path, err)
	}
	if hex.EncodeToString(hash.Sum(nil)) != i.SHA256 {
		return fmt.Errorf("%w: %s", ErrCorrupt, RedactName(i.Path))
	}
	return nil
}

// Read returns the exact bytes of a saved image. It fails with ErrCorrupt if the file
// differs from what was saved.
func (l *Library) Read(ctx context.Context, i Image) ([]byte, error) {
	return l.read(ctx, i, func(string) bool { return false })
}

// ReadAgain is like Read, but a recent check counts for an unchanged file as in Open, if
// the file is on this machine. What a network delivers is always compared.
func (l *Library) ReadAgain(ctx context.Context, i Image) ([]byte, error) {
	return l.read(ctx, i, func(version string) bool {
		return l.store.Path(i.Path) != "" && l.verified.contains(i.ID, version, l.now())
	})
}

// read reads the file of an image. It does not compare the hash of a version that is known.
func (l *Library) read(ctx context.Context, i Image, known func(version string) bool) ([]byte, error) {
	file, err := l.openFile(ctx, i)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Info()
	if err != nil {
		return nil, err
	}
	if info.Size != i.Bytes {
		return nil, fmt.Errorf("%w: %s has another size", ErrCorrupt, RedactName(i.Path))
	}
	b := make([]byte, i.Bytes)
	if _, err := io.ReadFull(file, b); err != nil {
		return nil, readError(i.Path, err)
	}
	if known(info.Version) {
		if after, err := file.Info(); err == nil && after.Version == info.Version {
			return b, nil
		}
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != i.SHA256 {
		l.verified.addDamaged(i.ID)
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, RedactName(i.Path))
	}
	l.verified.add(i.ID, info.Version, l.now())
	return b, nil
}
