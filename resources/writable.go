package resources

import (
	"bytes"
	"crypto/rand"
)

// Folder is where the pictures lie.
func (l *Library) Folder() string { return l.pictures.dir }

// Writable writes a file to the folder as pictures are written, and removes
// it. The error is ErrStorage.
func (l *Library) Writable() error {
	name := tempPrefix + "try-" + rand.Text()
	if _, _, err := l.pictures.save(name, bytes.NewReader([]byte("try"))); err != nil {
		return err
	}
	return l.pictures.remove(name)
}
