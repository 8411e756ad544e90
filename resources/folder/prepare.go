package folder

import (
	"context"
	"crypto/rand"
	"path"

	"zai-image-mcp/resources"
)

// minFree is the disk space that must be free before an image is paid for:
// enough for an image of the largest size, its preview, and the catalog's
// journal.
const minFree = 48 << 20

// Prepare implements resources.Store. It creates the folder of the name, writes a
// file there, deletes it, and checks the free space.
func (f *Folder) Prepare(_ context.Context, name string) error {
	root, err := f.open()
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	if err := f.makeDir(root, dir); err != nil {
		return folderError(f.Path(dir), err)
	}
	probe := path.Join(dir, tempPrefix+"probe-"+rand.Text())
	if err = root.WriteFile(probe, []byte("probe"), fileMode); err == nil {
		err = root.Remove(probe)
	}
	if err != nil {
		return folderError(f.Path(dir), err)
	}
	if free, err := f.free(f.Path(dir)); err == nil && free < minFree { // if the free space cannot be determined, only a write can fail
		return folderError(f.Path(dir), resources.ErrNoSpace)
	}
	return nil
}
