package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"zai-image-mcp/internal/plaintext"
)

// printJSON writes a value as JSON that is safe to show on a terminal; indent
// is "" for one line.
func printJSON(out io.Writer, value any, indent string) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := out.Write(plaintext.JSON(b.Bytes()))
	return err
}

// checkWritable fails if a file could not be written. It leaves the file as it
// is.
func checkWritable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a folder", path)
	case err == nil && !info.Mode().IsRegular():
		return nil // devices and pipes can only be checked by writing
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

// copyFile copies a file of the library, and replaces the target.
func copyFile(to, from string) error {
	target, err := os.Create(to) //nolint:gosec // where the user asked for it
	if err != nil {
		return err
	}
	return errors.Join(writeFile(target, from), target.Close())
}

// writeFile writes the bytes of a file of the library.
func writeFile(to io.Writer, from string) error {
	source, err := os.Open(from) //nolint:gosec // the path is the library's own
	if err != nil {
		return err
	}
	defer source.Close()
	_, err = io.Copy(to, source)
	return err
}
