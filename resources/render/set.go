package render

import (
	"fmt"
	"html"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// Set is a set of files that are used together.
type Set string

// The sets.
const (
	Favicon Set = "favicon"
	AppIcon Set = "app-icon"
	Social  Set = "social"
)

// Sets returns all sets.
func Sets() []Set { return []Set{Favicon, AppIcon, Social} }

// SetFile is one file of a set.
type SetFile struct {
	Name string // path relative to the project, with slashes
	Spec Spec
}

// file describes a file of a set.
type file struct {
	folder string // in which the set has it, with a slash, or ""
	word   string // start of its name, which a stem replaces
	rest   string // of its name; the extension of the stem follows if it has none
	size   string // "" for all sizes of an ICO file
	opaque bool   // transparent pixels become white if there is no background color
}

func (s Set) files() []file {
	switch s {
	case Favicon:
		return []file{
			{word: "favicon", rest: ".ico"},
			{word: "favicon", rest: "-32x32.png", size: "32x32"},
			{rest: "apple-touch-icon.png", size: "180x180", opaque: true},
			{word: "icon", rest: "-192.png", size: "192x192"},
			{word: "icon", rest: "-512.png", size: "512x512"},
		}
	case AppIcon:
		return []file{
			{word: "AppIcon", rest: "-1024.png", size: "1024x1024", opaque: true},
			{folder: "mipmap-mdpi/", word: "ic_launcher", rest: ".png", size: "48x48"},
			{folder: "mipmap-hdpi/", word: "ic_launcher", rest: ".png", size: "72x72"},
			{folder: "mipmap-xhdpi/", word: "ic_launcher", rest: ".png", size: "96x96"},
			{folder: "mipmap-xxhdpi/", word: "ic_launcher", rest: ".png", size: "144x144"},
			{folder: "mipmap-xxxhdpi/", word: "ic_launcher", rest: ".png", size: "192x192"},
			{word: "ic_launcher", rest: "-playstore.png", size: "512x512"},
		}
	case Social:
		return []file{
			{word: "social", rest: "-1200x630", size: "1200x630"},
			{word: "social", rest: "-1080x1080", size: "1080x1080"},
			{word: "social", rest: "-1500x500", size: "1500x500"},
		}
	default:
		return nil
	}
}

// Files returns the files of a set. name is a folder, or a stem with an extension: public/
// or public gives public/favicon.ico, and assets/logo.png gives assets/logo.ico. The
// extension is the format of a Social set. An image that must not be transparent is padded
// with white if background is no color. Files fails with a *SpecError.
func (s Set) Files(name, fit, background string) ([]SetFile, error) {
	folder, stem, extension, err := splitName(name)
	if err != nil {
		return nil, err
	}
	list := s.files()
	if list == nil {
		return nil, &SpecError{fmt.Sprintf("There is no set %s.", quote(string(s))), "Use favicon, app-icon or social."}
	}
	files := make([]SetFile, len(list))
	for i, f := range list {
		path := folder + f.folder + f.name(stem)
		if s == Social {
			path += extension
		}
		spec, err := f.spec(path, fit, background)
		if err != nil {
			return nil, err
		}
		files[i] = SetFile{Name: path, Spec: spec}
	}
	return files, nil
}

// splitName splits the name of a set into a folder, which is "" or ends with a slash, and a
// stem with its extension. stem is "" if the name is that of a folder.
func splitName(name string) (folder, stem, extension string, err error) {
	if name == "" || name == "." || name == "./" {
		return "", "", ".png", nil
	}
	folder, base := path.Split(name)
	extension = path.Ext(base)
	stem = strings.TrimSuffix(base, extension)
	if base == "" || extension == "" || strings.Trim(stem, ".") == "" { // public/, public, .well-known or ..
		return strings.TrimSuffix(name, "/") + "/", "", ".png", nil
	}
	if _, ok := FormatOf(extension); !ok {
		return "", "", "", &SpecError{
			fmt.Sprintf("%s has the extension %s, which is not that of an image.", quote(name), quote(extension)),
			"For a set, give a folder such as public/, or a name such as assets/logo.png.",
		}
	}
	return folder, stem, extension, nil
}

func (f file) name(stem string) string {
	switch {
	case stem == "":
		return f.word + f.rest
	case f.word == "":
		return stem + "-" + f.rest
	default:
		return stem + f.rest
	}
}

func (f file) spec(name, fit, background string) (Spec, error) {
	if background := clean(background); f.opaque && (background == "" || background == Transparent) {
		return f.spec(name, fit, "#ffffff")
	}
	format, _ := FormatOf(path.Ext(name))
	return NewSpec(format, f.size, fit, background)
}

// Markup returns the lines of HTML and JSON that use the files of a set, under the names
// that they were written to, which are in the order of Files. Files whose name is "" are
// left out. Markup is "" if there are no lines. The addresses start at the root of the site,
// which is the folder public if the names start with it.
func (s Set) Markup(names []string) string {
	list := s.files()
	if len(names) != len(list) {
		return ""
	}
	var lines, icons []string
	for i, f := range list {
		if names[i] == "" {
			continue
		}
		address := siteAddress(names[i])
		switch line := s.line(f, html.EscapeString(address)); {
		case line != "":
			lines = append(lines, line)
		case s == Favicon:
			icons = append(icons, fmt.Sprintf(`{"src": %s, "sizes": %q, "type": "image/png"}`, strconv.Quote(address), f.size))
		}
	}
	if len(icons) > 0 {
		lines = append(lines, `"icons": [`+strings.Join(icons, ", ")+"]")
	}
	return strings.Join(lines, "\n")
}

// line returns the line of HTML that uses a file, "" if there is none.
func (s Set) line(f file, address string) string {
	switch {
	case s == Social && f.size == "1200x630":
		return fmt.Sprintf(`<meta property="og:image" content="https://example.com%s">
<meta property="og:image:width" content="1200">
<meta property="og:image:height" content="630">`, address)
	case s != Favicon:
		return ""
	case f.size == "":
		return fmt.Sprintf(`<link rel="icon" href="%s" sizes="16x16 32x32 48x48">`, address)
	case f.size == "32x32":
		return fmt.Sprintf(`<link rel="icon" type="image/png" href="%s" sizes="32x32">`, address)
	case f.opaque:
		return fmt.Sprintf(`<link rel="apple-touch-icon" href="%s">`, address)
	default:
		return ""
	}
}

// siteAddress returns the address of a file on its site, without scheme and host.
func siteAddress(name string) string {
	name = path.Clean("/" + name)
	if rest, ok := strings.CutPrefix(name, "/public/"); ok {
		name = "/" + rest
	}
	return (&url.URL{Path: name}).EscapedPath()
}
