// Package project writes files into the user's project: only below its folder, never over a
// file of others, and never half a file.
package project

import "errors"

// Folder is the folder of a project.
type Folder struct{ dir string }

// New returns the project in a folder, which is an absolute path. It does no I/O.
func New(dir string) *Folder { return &Folder{dir} }

// Dir returns the absolute path of the folder.
func (f *Folder) Dir() string { return f.dir }

// NameError reports why a name cannot be used for a file, and what to do.
type NameError struct{ Problem, Hint string }

func (e *NameError) Error() string { return e.Problem }

var errNotWritten = errors.New("not written yet")

// Clean checks the form of a name and returns it without redundant parts. The name is a path
// relative to the project, with slashes, that ends in one of the extensions (".png"). Clean
// fails with a *NameError. It does no I/O.
func Clean(name string, extensions ...string) (string, error) { return "", errNotWritten }

// Check fails if a file with a cleaned name could not be written now. It creates nothing
// that stays. It fails with a *NameError if a link leads out of the project.
func (f *Folder) Check(name string) error { return errNotWritten }

// Written describes a file in the project.
type Written struct {
	Name     string // relative to the project, with slashes
	Path     string // absolute
	Replaced bool
}

// Write atomically writes a file with a cleaned name, and creates its folders. If the name is
// taken, Write uses the next free one: hero-2.png. If replace is not nil, Write calls it with
// the path and the SHA-256 in hex of the file that has the name, and replaces that file if it
// returns true.
func (f *Folder) Write(name string, data []byte, replace func(path, sha256 string) (bool, error)) (Written, error) {
	return Written{}, errNotWritten
}
