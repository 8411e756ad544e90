package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// newFileMode gives access only to the owner, because the user may add a key to
// the file.
const newFileMode = 0o600

// readIfExists returns the contents of a file, nil if it does not exist.
func readIfExists(path string) ([]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the host's own file
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if text == nil {
		text = []byte{}
	}
	return text, err
}

// followLink returns the target of a symbolic link, so that writing does not
// replace the link by a file. It returns other paths unchanged, even if no file
// exists, and fails for a link to a file that does not exist.
func followLink(path string) (string, error) {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		if _, linkErr := os.Lstat(path); linkErr == nil {
			return "", fmt.Errorf("%s is a link to a file that does not exist", path)
		}
		return path, nil
	}
	return target, err
}

// backUp writes the old text of a file to a new file in the same folder, with the
// owner and mode of the old file, and returns the name of the new file. It never
// overwrites a file.
func backUp(path string, text []byte, now time.Time) (string, error) {
	like, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	stem := path + ".backup-" + now.UTC().Format("20060102-150405")
	for n := 1; ; n++ {
		name := stem
		if n > 1 {
			name = fmt.Sprintf("%s-%d", stem, n)
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, newFileMode) //nolint:gosec // beside the host's own file
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if err := writeAndClose(f, text, like, like.Mode().Perm()); err != nil {
			return "", errors.Join(err, os.Remove(name))
		}
		return name, nil
	}
}

// replaceFile writes a file atomically. An existing file keeps its owner and
// mode; a new one gets the owner of its folder and the given mode.
func replaceFile(path string, text []byte, mode os.FileMode) error {
	like, err := makeFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	if old, err := os.Stat(path); err == nil {
		like, mode = old, old.Mode().Perm()
	} else if !canChangeOwner() {
		like = nil // only root can give a new file to the owner of the folder
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".zai-image-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // fails after the rename
	if err := writeAndClose(f, text, like, mode); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// writeAndClose writes text to a file, sets its mode, and its owner to that of
// like unless like is nil, flushes it to disk and closes it.
func writeAndClose(f *os.File, text []byte, like os.FileInfo, mode os.FileMode) error {
	_, err := f.Write(text)
	return errors.Join(err, setOwner(f, like), f.Chmod(mode), f.Sync(), f.Close())
}

// makeFolder creates a folder and its missing parents. It returns the nearest
// folder that existed already; if possible, new folders get its owner.
func makeFolder(path string) (os.FileInfo, error) {
	const dirMode = 0o755
	if info, err := os.Stat(path); err == nil || !errors.Is(err, os.ErrNotExist) {
		return info, err
	}
	existing, err := makeFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(path, dirMode); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	f, err := os.Open(path) //nolint:gosec // the host's own folder
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if canChangeOwner() {
		err = setOwner(f, existing)
	}
	return existing, err
}

// canChangeOwner reports whether this process may change the owner of files.
func canChangeOwner() bool { return os.Geteuid() == 0 }
