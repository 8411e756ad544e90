package cli

import (
	"path/filepath"
	"slices"
	"strings"
)

// mirroredBy returns the name of the program that copies a folder to other
// machines, or "" if it recognizes none. A catalog that is copied while in use can
// be damaged, and two machines that share a folder this way overwrite each
// other's catalog.
func mirroredBy(folder string, env func(string) string) string {
	folder = followLinks(folder)
	for _, variable := range []string{"OneDrive", "OneDriveConsumer", "OneDriveCommercial"} {
		if root := env(variable); root != "" && within(folder, followLinks(root)) {
			return "OneDrive"
		}
	}
	parts := strings.FieldsFunc(strings.ToLower(folder), isSeparator)
	for _, m := range mirrors() {
		if slices.ContainsFunc(parts, m.matches) {
			return m.program
		}
	}
	return ""
}

// mirror is a program with the names, in lower case, of the folders that it
// creates: on macOS below ~/Library/CloudStorage, elsewhere in the home folder or
// at the top of a drive.
type mirror struct {
	program, prefix string
	names           []string
}

// matches reports whether a part of a path, in lower case, is the name of a folder
// that the program creates.
func (m mirror) matches(part string) bool {
	return slices.Contains(m.names, part) || m.prefix != "" && strings.HasPrefix(part, m.prefix)
}

// mirrors lists the programs. The last entry matches the macOS folder that
// contains the folders of all of them.
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

// followLinks resolves the symbolic links in the part of a path that exists.
func followLinks(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(followLinks(parent), filepath.Base(path))
	}
	return path
}

func within(path, root string) bool {
	relative, err := filepath.Rel(root, path)
	return err == nil && filepath.IsLocal(relative)
}

func isSeparator(r rune) bool { return r == '/' || r == '\\' }
