package cli

import (
	"path/filepath"
	"slices"
	"strings"
)

// mirroredBy returns the program that copies a folder to other machines, ""
// for none that is known. A copy of a catalog in use is damaged, and two
// machines on one mirror overwrite each other's catalog.
func mirroredBy(folder string, env func(string) string) string {
	folder = followLinks(folder)
	for _, variable := range []string{"OneDrive", "OneDriveConsumer", "OneDriveCommercial"} {
		if root := env(variable); root != "" && within(folder, followLinks(root)) {
			return "OneDrive"
		}
	}
	parts := strings.FieldsFunc(strings.ToLower(folder), isSeparator)
	for _, m := range mirrors() {
		if slices.ContainsFunc(parts, m.owns) {
			return m.program
		}
	}
	return ""
}

// mirror is a program and the names of the folders it creates: on macOS below
// ~/Library/CloudStorage, elsewhere in the home folder or on a drive.
type mirror struct {
	program, prefix string
	names           []string
}

// owns reports whether a part of a path is such a folder. part is in lower
// case.
func (m mirror) owns(part string) bool {
	return slices.Contains(m.names, part) || m.prefix != "" && strings.HasPrefix(part, m.prefix)
}

// mirrors lists the programs. The last entry is the folder of macOS that all of
// them share.
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
	if above := filepath.Dir(path); above != path {
		return filepath.Join(followLinks(above), filepath.Base(path))
	}
	return path
}

func within(path, root string) bool {
	relative, err := filepath.Rel(root, path)
	return err == nil && filepath.IsLocal(relative)
}

func isSeparator(r rune) bool { return r == '/' || r == '\\' }
