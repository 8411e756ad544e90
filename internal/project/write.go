package project

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// maxNumber is the largest number that Write adds to a taken name.
const maxNumber = 1000

// Written describes a file in the project.
type Written struct {
	Name     string // relative to the project, with slashes
	Path     string // absolute
	Replaced bool
}

// Write atomically writes a file with a cleaned name, and creates its folders. If the name is
// taken, Write uses the next free one: hero-2.png. If replace is not nil, Write calls it with
// the path and the SHA-256 in hex of the file that has the name, and replaces that file if it
// returns true. Write fails with a *NameError as Check does.
func (f *Folder) Write(name string, data []byte, replace func(path, sha256 string) (bool, error)) (Written, error) {
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return Written{}, err
	}
	defer root.Close() //nolint:errcheck // it only names the folder
	folder, err := makeFolder(root, path.Dir(name))
	if err != nil {
		return Written{}, err
	}
	defer folder.Close() //nolint:errcheck // it only names the folder
	temp, err := writeTemp(folder, data)
	if err != nil {
		return Written{}, err
	}
	defer folder.Remove(temp) //nolint:errcheck // it may have got its final name
	sweep(folder, temp)
	w := writer{f: f, folder: folder, dir: path.Dir(name), temp: temp}
	base := path.Base(name)
	if replace != nil {
		written, err := w.replace(base, replace)
		if err != nil || written.Replaced {
			return written, err
		}
	}
	return w.writeNew(base)
}

// makeFolder creates a folder and opens it. It checks the folder as Check does.
func makeFolder(root *os.Root, name string) (*os.Root, error) {
	existing, missing, err := locate(root, name)
	if err != nil {
		return nil, err
	}
	return descend(root, path.Join(existing, missing), enter)
}

// descend opens a folder, one component after the other, so that a link that is made
// meanwhile is not followed. The function step opens a component.
func descend(root *os.Root, name string, step func(parent *os.Root, name string) (*os.Root, error)) (*os.Root, error) {
	folder, err := root.OpenRoot(".")
	if err != nil {
		return nil, err
	}
	for _, component := range components(name) {
		next, err := step(folder, component)
		if err = errors.Join(err, folder.Close()); err != nil {
			return nil, err
		}
		folder = next
	}
	return folder, nil
}

// enter opens a folder, which it creates if it does not exist.
func enter(parent *os.Root, name string) (*os.Root, error) {
	const mode = 0o755
	if err := parent.Mkdir(name, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return open(parent, name)
}

var errSwapped = errors.New("a folder was replaced while the file was written")

// open opens a folder. It does not follow a link.
func open(parent *os.Root, name string) (*os.Root, error) {
	info, err := parent.Lstat(name)
	if err != nil {
		return nil, err
	}
	folder, err := parent.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	opened, err := folder.Stat(".")
	if err == nil && !os.SameFile(info, opened) { // info may be that of a link
		err = errSwapped
	}
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return folder, nil
}

// writeTemp writes a file with a hidden name and returns the name.
func writeTemp(folder *os.Root, data []byte) (string, error) {
	temp, err := createTemp(folder)
	if err != nil {
		return "", err
	}
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return "", errors.Join(err, folder.Remove(temp.name))
	}
	return temp.name, nil
}

// maxTempAge is far more than the time that one file takes to write.
const maxTempAge = time.Hour

// sweep deletes the temporary files that killed processes left in a folder. The time of a
// new temporary file says what is old, by the clock of the file system.
func sweep(folder *os.Root, newest string) {
	now, err := folder.Lstat(newest)
	if err != nil {
		return
	}
	entries, _ := fs.ReadDir(folder.FS(), ".") // what was read is enough
	for _, entry := range entries {
		if !isTemp(entry.Name()) {
			continue
		}
		info, err := folder.Lstat(entry.Name())
		if err == nil && info.Mode().IsRegular() && now.ModTime().Sub(info.ModTime()) > maxTempAge {
			_ = folder.Remove(entry.Name()) // the next call tries again
		}
	}
}

// writer gives a temporary file its final name.
type writer struct {
	f      *Folder
	folder *os.Root // opened, so that links made meanwhile do not count
	dir    string   // name of the folder, relative to the project
	temp   string   // name in the folder
}

func (w writer) written(base string, replaced bool) Written {
	name := path.Join(w.dir, base)
	return Written{Name: name, Path: w.path(base), Replaced: replaced}
}

func (w writer) path(base string) string {
	return filepath.Join(w.f.dir, filepath.FromSlash(w.dir), base)
}

// writeNew gives the file its name, or the next free one.
func (w writer) writeNew(base string) (Written, error) {
	extension := path.Ext(base)
	stem := strings.TrimSuffix(base, extension)
	for n := 1; n <= maxNumber; n++ {
		if n > 1 {
			base = fmt.Sprintf("%s-%d%s", stem, n, extension)
		}
		switch err := w.claim(base); {
		case err == nil:
			return w.written(base, false), nil
		case !errors.Is(err, fs.ErrExist):
			return Written{}, err
		}
	}
	return Written{}, &NameError{
		fmt.Sprintf("%d files have the name %s with a number.", maxNumber, quoted(path.Join(w.dir, stem+extension))), "Use another name.",
	}
}

// claim gives the file a name. It fails with fs.ErrExist if the name is taken. On a file
// system without hard links it first takes the name with an empty file.
func (w writer) claim(base string) error {
	err := w.folder.Link(w.temp, base)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	const mode = 0o644
	empty, err := w.folder.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if err := errors.Join(empty.Close(), w.folder.Rename(w.temp, base)); err != nil {
		return errors.Join(err, w.folder.Remove(base))
	}
	return nil
}

// replace gives the file the name of another one if may allows it. Replaced of the result is
// false if not, or if there is no such file.
func (w writer) replace(base string, may func(path, sha256 string) (bool, error)) (Written, error) {
	before, err := w.hash(base)
	if err != nil || before == "" {
		return Written{}, err
	}
	ok, err := may(w.path(base), before)
	if err != nil || !ok {
		return Written{}, err
	}
	if now, err := w.hash(base); err != nil || now != before {
		return Written{}, err // changed meanwhile
	}
	if err := w.folder.Rename(w.temp, base); err != nil {
		return Written{}, err
	}
	return w.written(base, true), nil
}

// hash returns the SHA-256 of a regular file in hex, "" if there is none.
func (w writer) hash(base string) (string, error) {
	info, err := w.folder.Lstat(base)
	if err != nil || !info.Mode().IsRegular() {
		return "", ignoreMissing(err)
	}
	file, err := w.folder.Open(base)
	if err != nil {
		return "", ignoreMissing(err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
