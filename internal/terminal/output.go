package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// CheckOutput fails when a file could not be written, without changing it.
func CheckOutput(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a folder", path)
	case err == nil && !info.Mode().IsRegular():
		return nil // a device or a pipe is known only by writing to it
	case err == nil:
		f, err := os.OpenFile(path, os.O_WRONLY, 0) //nolint:gosec // the user names it
		if err != nil {
			return err
		}
		return f.Close()
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".zai-image-*")
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no folder %s", filepath.Dir(path))
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func copyFile(to, from string) error {
	target, err := os.Create(to) //nolint:gosec // where the user asked for it
	if err != nil {
		return err
	}
	return errors.Join(writeFile(target, from), target.Close())
}

func writeFile(to io.Writer, from string) error {
	source, err := os.Open(from) //nolint:gosec // the path is the library's own
	if err != nil {
		return err
	}
	defer source.Close()
	_, err = io.Copy(to, source)
	return err
}
