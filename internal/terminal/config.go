package terminal

import (
	"bufio"
	"bytes"
	"context"
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
func (h HostConfig) Write(ctx context.Context, yes bool) error {
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
		fmt.Fprintf(h.Out, "%s has this entry already.\n", path)
		return h.advise(merged.Text)
	}
	if merged.Was != "" && !yes && !h.confirmed(ctx, path, merged.Was) {
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
	if _, err := fmt.Fprintf(h.Out, "Written: %s\n", path); err != nil {
		return err
	}
	return h.advise(merged.Text)
}

// advise says what is left to do in the host's file.
func (h HostConfig) advise(config []byte) error {
	state, err := h.Client.Inspect(config)
	if err != nil {
		return nil //nolint:nilerr // the file is written, and was read again before
	}
	if state.Off {
		fmt.Fprintln(h.Out, "The entry is switched off there, as it was before; switch it on in the host.")
	}
	if state.NoKey {
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
	like, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	stem := path + ".backup-" + h.Now().UTC().Format("20060102-150405")
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
		if err := fill(f, text, like, like.Mode().Perm()); err != nil {
			return "", errors.Join(err, os.Remove(name))
		}
		return name, nil
	}
}

// newFileMode is for the owner alone: the file may come to hold a key.
const newFileMode = 0o600

// fill writes and closes a file that gets the owner of another one.
func fill(f *os.File, text []byte, like os.FileInfo, mode os.FileMode) error {
	_, err := f.Write(text)
	return errors.Join(err, keepOwner(f, like), f.Chmod(mode), f.Sync(), f.Close())
}

// confirmed asks. The goroutine that reads stays behind when ctx ends first: a
// blocked read of a terminal cannot be undone.
func (h HostConfig) confirmed(ctx context.Context, path, was string) bool {
	fmt.Fprintf(h.Ask, "%s has another entry %q:\n%s\nReplace it? [y/N] ", path, hostconfig.ServerName, plaintext.Text(was))
	if h.In == nil {
		fmt.Fprintln(h.Ask, "\nNobody can answer here; --yes replaces it.")
		return false
	}
	answered := make(chan bool, 1)
	go func() {
		answer, err := bufio.NewReader(h.In).ReadString('\n')
		answered <- (err == nil || errors.Is(err, io.EOF)) && strings.EqualFold(strings.TrimSpace(answer), "y")
	}()
	select {
	case yes := <-answered:
		return yes
	case <-ctx.Done():
		fmt.Fprintln(h.Ask)
		return false
	}
}

// replace writes a file whole or not at all. It stays its owner's; a new one
// belongs to the owner of its folder.
func replace(path string, text []byte) error {
	like, err := makeFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	mode := os.FileMode(newFileMode)
	if old, err := os.Stat(path); err == nil {
		like, mode = old, old.Mode().Perm()
	} else if !mayGiveAway() {
		like = nil // it is ours, whoever shares the folder with us
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".zai-image-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it has another name when all went well
	if err := fill(f, text, like, mode); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// makeFolder makes a folder and those above it, for the owner of the lowest
// one that was there.
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
	if mayGiveAway() {
		err = keepOwner(f, above)
	}
	return above, err
}

// mayGiveAway reports whether files can be made for other users.
func mayGiveAway() bool { return os.Geteuid() == 0 }

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
