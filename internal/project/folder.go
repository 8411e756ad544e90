package project

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Folder is the folder of a project.
type Folder struct{ dir string }

// New returns the project in a folder, which is an absolute path. It does no I/O.
func New(dir string) *Folder { return &Folder{dir} }

// Dir returns the absolute path of the folder.
func (f *Folder) Dir() string { return f.dir }

// Check fails if a file with a cleaned name could not be written now. It creates nothing
// that stays. It fails with a *NameError if a link leads out of the project or into .git, or
// if a file is where a folder would have to be.
func (f *Folder) Check(name string) error {
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // it only names the folder
	existing, missing, err := locate(root, path.Dir(name))
	if err != nil {
		return err
	}
	if missing == "" {
		if err := checkTarget(root, path.Join(existing, path.Base(name)), name); err != nil {
			return err
		}
	}
	folder, err := descend(root, existing, open)
	if err != nil {
		return err
	}
	defer folder.Close() //nolint:errcheck // it only names the folder
	temp, err := createTemp(folder)
	if err != nil {
		return err
	}
	sweep(folder, temp.name)
	return errors.Join(temp.Close(), folder.Remove(temp.name))
}

// checkTarget fails if a link with the name of a file leads out of the project. Such a link
// is not followed, but it shows that the caller is mistaken about the name.
func checkTarget(root *os.Root, target, name string) error {
	info, err := root.Lstat(target)
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		return nil //nolint:nilerr // there is no link; writing reports other errors
	}
	_, err = root.Stat(target)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return leadsOut(name)
}

func leadsOut(name string) error {
	return &NameError{fmt.Sprintf("The file name %s contains a link that leads out of the project.", quoted(name)), "Use a name in a folder of the project."}
}

// maxLinks is how many links a name may contain, as on Linux.
const maxLinks = 40

// locate follows the links in the path of a folder. It returns the real path, relative to
// the root, of its deepest existing ancestor, or of the folder itself, and the rest of the
// path, which does not exist. It fails with a *NameError if a link leads out of the root or
// into .git, or if a component is a file.
func locate(root *os.Root, folder string) (existing, missing string, err error) {
	existing = "."
	rest := components(folder)
	for links := 0; len(rest) > 0; {
		next := path.Join(existing, rest[0])
		if isGit(rest[0]) {
			return "", "", &NameError{fmt.Sprintf("The folder %s leads into .git, which belongs to Git.", quoted(folder)), "Use another folder of the project."}
		}
		if rest[0] == ".." {
			if existing == "." {
				return "", "", leadsOut(folder)
			}
			existing, rest = path.Dir(existing), rest[1:]
			continue
		}
		info, err := root.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return existing, path.Join(rest...), nil
		case err != nil:
			return "", "", err
		case info.IsDir():
			existing, rest = next, rest[1:]
			continue
		case info.Mode().Type() != fs.ModeSymlink:
			return "", "", &NameError{fmt.Sprintf("%s is a file, not a folder.", quoted(next)), "Use another folder of the project."}
		}
		target, err := root.Readlink(next)
		if err != nil {
			return "", "", err
		}
		target = filepath.ToSlash(target)
		if links++; links > maxLinks || path.IsAbs(target) || filepath.IsAbs(filepath.FromSlash(target)) || filepath.VolumeName(target) != "" {
			return "", "", leadsOut(folder) // os.Root follows no absolute links either
		}
		rest = append(components(target), rest[1:]...)
	}
	return existing, "", nil
}

// components returns the components of a path. It keeps "..", which must not be removed
// before the links in front of it are followed.
func components(name string) (list []string) {
	for component := range strings.SplitSeq(name, "/") {
		if component != "" && component != "." {
			list = append(list, component)
		}
	}
	return list
}

// tempFile is a new file with a hidden name.
type tempFile struct {
	*os.File
	name string // in its folder
}

func createTemp(folder *os.Root) (tempFile, error) {
	name := tempPrefix + rand.Text() + tempSuffix
	const mode = 0o644
	file, err := folder.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	return tempFile{file, name}, err
}

const (
	tempPrefix = ".zai-image-"
	tempSuffix = ".tmp"
)

// isTemp reports whether createTemp could have made a file with this name.
func isTemp(name string) bool {
	const text = 26 // characters of rand.Text, of the base32 alphabet
	return len(name) == len(tempPrefix)+text+len(tempSuffix) && strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix)
}
