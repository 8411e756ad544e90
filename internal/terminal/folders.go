package terminal

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ExpandHome replaces a leading ~ or ~/ by the home folder. Other users' home
// folders (~name) are not known here and stay as they are.
func ExpandHome(name, home string) string {
	rest, found := strings.CutPrefix(name, "~")
	if !found || home == "" || rest != "" && !os.IsPathSeparator(rest[0]) {
		return name
	}
	return filepath.Join(home, rest)
}

// MirroredBy returns which program copies a folder to other machines, "" for
// none that is known. A copy of a catalog in use is damaged, and two machines on
// one mirror overwrite each other's.
func MirroredBy(folder string, env func(string) string) string {
	folder = resolved(folder)
	for _, variable := range []string{"OneDrive", "OneDriveConsumer", "OneDriveCommercial"} {
		if root := env(variable); root != "" && within(folder, resolved(root)) {
			return "OneDrive"
		}
	}
	parts := strings.FieldsFunc(strings.ToLower(folder), isSeparator)
	for _, m := range mirrors() {
		if slices.ContainsFunc(parts, m.made) {
			return m.program
		}
	}
	return ""
}

// mirror is a program by the names of the folders it makes: on macOS below
// ~/Library/CloudStorage, elsewhere in the home folder or on a drive.
type mirror struct {
	program, prefix string
	names           []string
}

func (m mirror) made(part string) bool {
	return slices.Contains(m.names, part) || m.prefix != "" && strings.HasPrefix(part, m.prefix)
}

// mirrors lists the programs; what only macOS tells of any of them is last.
func mirrors() []mirror {
	return []mirror{
		{"OneDrive", "onedrive -", []string{"onedrive"}},
		{"OneDrive", "onedrive-", nil},
		{"Dropbox", "dropbox (", []string{"dropbox", "dropbox-personal"}},
		{"Google Drive", "googledrive-", []string{"google drive", "googledrive", "my drive"}},
		{"iCloud", "com~apple~", []string{"iclouddrive", "icloud drive", "mobile documents"}},
		{"Nextcloud", "", []string{"nextcloud"}},
		{"a cloud service", "", []string{"cloudstorage"}},
	}
}

// resolved follows the links of as much of a path as is there.
func resolved(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	if above := filepath.Dir(path); above != path {
		return filepath.Join(resolved(above), filepath.Base(path))
	}
	return path
}

func within(path, root string) bool {
	relative, err := filepath.Rel(root, path)
	return err == nil && filepath.IsLocal(relative)
}

func isSeparator(r rune) bool { return r == '/' || r == '\\' }
