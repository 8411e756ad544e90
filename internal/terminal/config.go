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
	"zai-image-mcp/internal/plaintext"
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
// asks before it changes an entry that says something else.
func (h HostConfig) Write(yes bool) error {
	path, err := resolve(h.Client.File(h.Machine))
	if err != nil {
		return err
	}
	before, err := readIfThere(path)
	if err != nil {
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
	if before != nil {
		backup, err := h.keep(path, before)
		if err != nil {
			return err
		}
		fmt.Fprintf(h.Out, "The file as it was: %s\n", backup)
	}
	// The host may have written its file while the user was asked.
	if now, err := readIfThere(path); err != nil || !bytes.Equal(now, before) {
		return errors.Join(err, fmt.Errorf("%s changed meanwhile; close the host and try again", path))
	}
	if err := replace(path, merged.Text); err != nil {
		return err
	}
	_, err = fmt.Fprintf(h.Out, "Written: %s\n", path)
	if state, lookErr := h.Client.Look(merged.Text); err == nil && lookErr == nil && state.NoKey {
		_, err = fmt.Fprintf(h.Out, "Put your key in place of %q there, and restart the host.\n", hostconfig.Placeholder)
	}
	return err
}

// readIfThere is nil for a file that there is not.
func readIfThere(path string) ([]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the host's own file
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if text == nil {
		text = []byte{}
	}
	return text, err
}

// keep writes a copy of a file beside it, and never over another one.
func (h HostConfig) keep(path string, text []byte) (string, error) {
	stem := path + ".backup-" + h.Now().UTC().Format("20060102-150405")
	for n := 1; ; n++ {
		name := stem
		if n > 1 {
			name = fmt.Sprintf("%s-%d", stem, n)
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, modeOf(path)) //nolint:gosec // beside the host's own file
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = f.Write(text)
		return name, errors.Join(err, f.Chmod(modeOf(path)), f.Sync(), f.Close())
	}
}

func (h HostConfig) confirmed(path, was string) bool {
	fmt.Fprintf(h.Ask, "%s has another entry %q:\n%s\nReplace it? [y/N] ", path, hostconfig.ServerName, plaintext.Text(was))
	if h.In == nil {
		fmt.Fprintln(h.Ask, "\nNobody can answer here; --yes replaces it.")
		return false
	}
	answer, err := bufio.NewReader(h.In).ReadString('\n')
	return (err == nil || errors.Is(err, io.EOF)) && strings.EqualFold(strings.TrimSpace(answer), "y")
}

// replace writes a file whole or not at all.
func replace(path string, text []byte) error {
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
	if err = errors.Join(err, f.Chmod(modeOf(path)), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// modeOf is the mode of a file. A new one is only for its owner, as it may
// come to hold a key.
func modeOf(path string) os.FileMode {
	if info, err := os.Stat(path); err == nil {
		return info.Mode().Perm()
	}
	return 0o600
}

// resolve follows a link, so that a configuration that is kept elsewhere stays
// there.
func resolve(path string) (string, error) {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		if _, linkErr := os.Lstat(path); linkErr == nil {
			return "", fmt.Errorf("%s is a link to nowhere", path)
		}
		return path, nil
	}
	return target, err
}
