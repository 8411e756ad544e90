package folder

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"zai-image-mcp/resources"
)

// List implements resources.Store. It reads only the folder in which the names begin, and
// creates nothing.
func (f *Folder) List(ctx context.Context, prefix string, visit func(resources.StoredFile) error) error {
	if f.unused() {
		return nil
	}
	root, err := f.open()
	if err != nil {
		return err
	}
	var stopped error // by visit
	err = fs.WalkDir(root.FS(), path.Dir(prefix+"x"), func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			return nil // there is no such folder, or it was deleted meanwhile
		case err != nil:
			return err
		case entry.IsDir() && !strings.HasPrefix(name+"/", prefix) && !strings.HasPrefix(prefix, name+"/") && name != ".":
			return fs.SkipDir
		case !entry.Type().IsRegular() || !strings.HasPrefix(name, prefix):
			return nil
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && strings.HasPrefix(path.Base(name), tempPrefix) && f.now().Sub(info.ModTime()) <= staleTempAge {
			return nil // deleted meanwhile, or being written
		}
		if err == nil {
			stopped = visit(resources.StoredFile{Name: name, Size: info.Size(), Modified: info.ModTime()})
			err = stopped
		}
		return err
	})
	if err == nil || stopped != nil || ctx.Err() != nil {
		return err
	}
	return folderError(f.dir, err)
}
