package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// newFileMode allows only the owner: the file may come to hold a key.
const newFileMode = 0o600

// readIfExists returns nil for a file that does not exist.
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

// followLink returns the target of a symbolic link, so that a configuration
// that is kept elsewhere stays there. Other paths are returned as they are.
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

// backUp writes the text of a file to a new file beside it, and returns its
// name. It overwrites nothing.
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
// mode; a new one gets the owner of its folder.
func replaceFile(path string, text []byte) error {
	like, err := makeFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	mode := os.FileMode(newFileMode)
	if old, err := os.Stat(path); err == nil {
		like, mode = old, old.Mode().Perm()
	} else if !canChangeOwner() {
		like = nil // this user keeps a new file, even in the folder of another one
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

// writeAndClose writes a file and gives it a mode and the owner of another
// file; like may be nil.
func writeAndClose(f *os.File, text []byte, like os.FileInfo, mode os.FileMode) error {
	_, err := f.Write(text)
	return errors.Join(err, setOwner(f, like), f.Chmod(mode), f.Sync(), f.Close())
}

// makeFolder creates a folder and its missing parents, with the owner of the
// lowest existing one, which it returns.
func makeFolder(path string) (os.FileInfo, error) {
	const dirMode = 0o755
	if info, err := os.Stat(path); err == nil || !errors.Is(err, os.ErrNotExist) {
		return info, err
	}
	above, err := makeFolder(filepath.Dir(path))
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
		err = setOwner(f, above)
	}
	return above, err
}

// canChangeOwner reports whether this process may give files to other users.
func canChangeOwner() bool { return os.Geteuid() == 0 }
