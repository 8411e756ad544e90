package resources

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

var (
	// imageFile matches the file names that this program gives to images.
	imageFile = regexp.MustCompile(`-([0-9a-hjkmnp-tv-z]{26})\.(?:png|jpg|webp|gif)$`)
	// imageFolder matches the folders that this program saves images in.
	imageFolder = regexp.MustCompile(`^\d{4}(?:/\d\d(?:/\d\d)?)?$`)
)

// listing is the content of a store's folder.
type listing struct {
	files      map[string]string // image ids by file name
	temps      []string          // temporary files of dead processes
	unreadable []string          // folders of images that this user may not read
}

// list walks the folder. It skips unreadable folders that are not the library's,
// such as lost+found.
func (s *store) list() (listing, error) {
	root, err := s.open()
	if err != nil {
		return listing{}, err
	}
	found := listing{files: map[string]string{}}
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)
		hidden := strings.HasPrefix(base, ".") && name != "."
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // deleted during the walk
		case err != nil && name == ".":
			return err
		case err != nil:
			if imageFolder.MatchString(name) {
				found.unreadable = append(found.unreadable, name)
			}
			return fs.SkipDir
		case entry.IsDir() && hidden:
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		case strings.HasPrefix(base, tempPrefix):
			if info, err := entry.Info(); err == nil && s.now().Sub(info.ModTime()) > staleTempAge {
				found.temps = append(found.temps, name)
			}
		case !hidden:
			if m := imageFile.FindStringSubmatch(base); m != nil && ValidID(m[1]) {
				found.files[name] = m[1]
			}
		}
		return nil
	})
	if err != nil {
		return listing{}, folderError(s.dir, withoutPath(err))
	}
	return found, nil
}
