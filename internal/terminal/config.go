package terminal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"zai-image-mcp/internal/hostconfig"
)

// HostConfig sets the program up in a host.
type HostConfig struct {
	Client  hostconfig.Client
	Machine hostconfig.Machine
	Server  hostconfig.Server
	Now     func() time.Time
	In      io.Reader // asked before something is replaced; nil when nobody can answer
	Out     io.Writer
	Ask     io.Writer
}

// Print shows the entry, and where it belongs.
func (h HostConfig) Print() error {
	entry, err := h.Client.Entry(h.Server)
	if err != nil {
		return err
	}
	fmt.Fprintf(h.Ask, "For %s:\n", h.Client.File(h.Machine))
	_, err = io.WriteString(h.Out, entry)
	return err
}

// ErrDeclined says that the user wants the configuration as it is.
var ErrDeclined = errors.New("nothing was changed")

// Write merges the entry into the host's file, of which a copy is kept. It
// asks before it replaces an entry that says something else.
func (h HostConfig) Write(yes bool) error {
	path := h.Client.File(h.Machine)
	before, err := os.ReadFile(path) //nolint:gosec // the host's own file
	exists := err == nil
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	merged, err := h.Client.Merge(before, h.Server)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if !merged.Changed {
		_, err := fmt.Fprintf(h.Out, "%s has this entry already.\n", path)
		return err
	}
	if merged.Was != "" && !yes && !h.confirmed(path, merged.Was) {
		return ErrDeclined
	}
	if exists {
		backup := path + ".backup-" + h.Now().Format("20060102-150405")
		if err := replace(backup, before, path); err != nil {
			return err
		}
		fmt.Fprintf(h.Out, "The file as it was: %s\n", backup)
	}
	if err := replace(path, merged.Text, path); err != nil {
		return err
	}
	_, err = fmt.Fprintf(h.Out, "Written: %s\n", path)
	if err == nil && bytes.Contains(merged.Text, []byte(hostconfig.Placeholder)) {
		_, err = fmt.Fprintf(h.Out, "Put your key in place of %q there, and restart the host.\n", hostconfig.Placeholder)
	}
	return err
}

func (h HostConfig) confirmed(path, was string) bool {
	fmt.Fprintf(h.Ask, "%s has another entry %q:\n%s\nReplace it? [y/N] ", path, hostconfig.ServerName, was)
	if h.In == nil {
		fmt.Fprintln(h.Ask, "\nNobody can answer here; --yes replaces it.")
		return false
	}
	answer, err := bufio.NewReader(h.In).ReadString('\n')
	return (err == nil || errors.Is(err, io.EOF)) && strings.EqualFold(strings.TrimSpace(answer), "y")
}

// replace writes a file whole or not at all, with the mode of another; a new
// one only for its owner, as it may come to hold a key.
func replace(path string, text []byte, like string) error {
	mode := os.FileMode(0o600)
	if info, err := os.Stat(like); err == nil {
		mode = info.Mode().Perm()
	}
	const dirMode = 0o755
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".zai-image-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it has another name when all went well
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), resolve(path))
}

// resolve follows a link, so that a configuration that is kept elsewhere stays
// there.
func resolve(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}
