package project

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxComponent leaves room for the number of a taken name. File systems allow 255
	// bytes.
	maxComponent = 200
	maxName      = 1000 // bytes
)

// NameError reports why a name cannot be used for a file, and what to do.
type NameError struct{ Problem, Hint string }

func (e *NameError) Error() string { return e.Problem }

// Clean checks the form of a name and returns it without redundant parts. The name is a path
// relative to the project, with slashes, that ends in one of the extensions (".png"). Clean
// fails with a *NameError. It does no I/O.
func Clean(name string, extensions ...string) (string, error) {
	problem := problemOf(name)
	if problem == "" {
		name = path.Clean(name)
		if extension := path.Ext(name); !slices.Contains(extensions, strings.ToLower(extension)) || path.Base(name) == extension {
			problem = "does not end in " + list(extensions)
		}
	}
	if problem != "" {
		return "", &NameError{fmt.Sprintf("The file name %s %s.", quoted(name), problem), hint(extensions)}
	}
	return name, nil
}

func hint(extensions []string) string {
	return "Use a path relative to the project, with slashes, such as assets/hero" + extensions[0] + "."
}

// quoted returns a name that is safe to show, cut to a readable length.
func quoted(name string) string {
	const shown = 80
	if r := []rune(name); len(r) > shown {
		name = string(r[:shown]) + "…"
	}
	return fmt.Sprintf("%q", name)
}

// list returns words as in ".png, .jpg or .webp".
func list(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// problemOf returns what is wrong with a name as a relative path, as the rest of a sentence,
// or "".
func problemOf(name string) string {
	switch {
	case name == "":
		return "is empty"
	case !utf8.ValidString(name):
		return "is not valid UTF-8"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "contains a control character"
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }):
		return "contains a character that reverses text, so that its extension looks like another"
	case strings.Contains(name, `\`):
		return "contains a backslash"
	case strings.HasPrefix(name, "/"):
		return "is an absolute path"
	case strings.HasPrefix(name, "~/"):
		return "begins with the home folder"
	case strings.ContainsAny(name, `<>:"|?*`):
		return "contains one of the characters < > : \" | ? *, which not every system allows"
	case strings.HasSuffix(name, "/"):
		return "names a folder"
	case len(name) > maxName:
		return fmt.Sprintf("is longer than %d bytes", maxName)
	}
	for component := range strings.SplitSeq(name, "/") {
		if problem := problemOfComponent(component); problem != "" {
			return problem
		}
	}
	return ""
}

func problemOfComponent(component string) string {
	switch {
	case component == "" || component == ".":
		return "" // removed by Clean
	case component == "..":
		return "contains .., which leads out of a folder"
	case isGit(component):
		return "is in .git, which belongs to Git"
	case strings.HasSuffix(component, ".") || strings.HasSuffix(component, " ") || strings.HasPrefix(component, " "):
		return "has a part that begins or ends with a space, or ends with a dot"
	case isReserved(component):
		return "has a part that is reserved on Windows"
	case len(component) > maxComponent:
		return fmt.Sprintf("has a part of more than %d bytes", maxComponent)
	}
	return ""
}

// isGit reports whether a file system may take a component for .git: systems ignore case,
// trailing dots and spaces (Windows), or invisible characters (HFS+), and Windows gives
// .git the short name git~1.
func isGit(component string) bool {
	component = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cf, unicode.Variation_Selector) {
			return -1
		}
		return r
	}, component)
	component = strings.ToLower(strings.TrimRight(component, ". "))
	return component == ".git" || strings.HasPrefix(component, "git~")
}

// isReserved reports whether Windows takes a component for a device, whatever its extension.
// See https://learn.microsoft.com/windows/win32/fileio/naming-a-file.
func isReserved(component string) bool {
	stem, _, _ := strings.Cut(component, ".")
	stem = strings.ToLower(strings.TrimRight(stem, " "))
	if slices.Contains([]string{"con", "prn", "aux", "nul", "conin$", "conout$"}, stem) {
		return true
	}
	digit, found := strings.CutPrefix(stem, "com")
	if !found {
		digit, found = strings.CutPrefix(stem, "lpt")
	}
	const digits = "0123456789¹²³"
	return found && utf8.RuneCountInString(digit) == 1 && strings.ContainsAny(digit, digits)
}
