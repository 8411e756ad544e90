package folder

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"zai-image-mcp/resources"
)

// imageFolder matches the folders that the program saves images in.
var imageFolder = regexp.MustCompile(`^\d{4}(?:/\d\d(?:/\d\d)?)?$`)

// Walk implements resources.Store. It skips hidden folders, and unreadable ones that
// are not the library's, such as lost+found.
func (f *Folder) Walk(ctx context.Context) (resources.Listing, error) {
	root, err := f.open()
	if err != nil {
		return resources.Listing{}, err
	}
	found := resources.Listing{Files: map[string]string{}}
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			return nil // deleted during the walk
		case err != nil && name == ".":
			return err
		case err != nil:
			if imageFolder.MatchString(name) {
				found.Unreadable = append(found.Unreadable, name)
			}
			return fs.SkipDir
		case entry.IsDir() && strings.HasPrefix(base, ".") && name != ".":
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		case strings.HasPrefix(base, tempPrefix):
			if info, err := entry.Info(); err == nil && f.now().Sub(info.ModTime()) > staleTempAge {
				found.Temporary = append(found.Temporary, name)
			}
		default:
			if id, ok := resources.ImageFileID(name); ok {
				found.Files[name] = id
			}
		}
		return nil
	})
	if ctx.Err() != nil {
		return resources.Listing{}, ctx.Err()
	}
	if err != nil {
		return resources.Listing{}, folderError(f.dir, err)
	}
	return found, nil
}
