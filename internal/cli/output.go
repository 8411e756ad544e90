package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
)

// printJSON writes a value as JSON, with unsafe characters escaped for terminals.
// If indent is "", the value is on one line.
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

// checkWritable returns an error if a file cannot be written. It does not change
// the file and creates none.
func checkWritable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a folder", path)
	case err == nil && !info.Mode().IsRegular():
		return nil // writing is the only way to check devices and pipes
	case err == nil:
		f, err := os.OpenFile(path, os.O_WRONLY, 0) //nolint:gosec // the user chooses the path
		if err != nil {
			return err
		}
		return f.Close()
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	return checkFolder(filepath.Dir(path))
}

// checkCreatable is checkWritable for a file whose folder may be missing: then it checks
// whether the folder can be created.
func checkCreatable(path string) error {
	if !isMissing(path) {
		return checkWritable(path)
	}
	folder := filepath.Dir(path)
	for isMissing(folder) && folder != filepath.Dir(folder) {
		folder = filepath.Dir(folder)
	}
	return checkFolder(folder)
}

func isMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

// checkFolder returns an error if no file can be created in a folder.
func checkFolder(folder string) error {
	f, err := os.CreateTemp(folder, ".zai-image-*")
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no folder %s", folder)
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// outputToTerminal returns the *usageError for -o - at a terminal.
func outputToTerminal() error {
	return &usageError{
		"-o -: standard output is a terminal, which cannot show an image file",
		"Redirect standard output to a file or a program, or name a file with -o.",
	}
}

// copyFile copies an image of the library to a path, overwriting any file there.
func copyFile(ctx context.Context, to string, library *resources.Library, image resources.Image) error {
	target, err := os.Create(to) //nolint:gosec // the user chooses the path
	if err != nil {
		return err
	}
	return errors.Join(writeFile(ctx, target, library, image), target.Close())
}

// writeFile copies an image of the library to a writer.
func writeFile(ctx context.Context, to io.Writer, library *resources.Library, image resources.Image) error {
	source, err := library.Open(ctx, image)
	if err != nil {
		return err
	}
	defer source.Close()
	_, err = io.Copy(to, source)
	return err
}

// overwrite writes a file, replacing any file there, and reports whether it is a regular
// one. It creates missing folders. Unless it is a device or a pipe, the path refers to the whole new content or to what
// it referred to before. A link stays, and its target is replaced.
func overwrite(path string, data []byte) (regular bool, err error) {
	const mode = 0o644
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return false, os.WriteFile(path, data, mode)
	}
	target, err := followLink(path)
	if err != nil {
		return false, err
	}
	return true, replaceFile(target, data, mode)
}
