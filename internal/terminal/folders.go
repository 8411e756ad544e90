package terminal

import (
	"os"
	"path/filepath"
	"strings"
)

// ExpandHome replaces a leading ~ or ~/ by the home folder. Other users' home
// folders (~name) are not known here and stay as they are.
func ExpandHome(name, home string) string {
	rest, found := strings.CutPrefix(name, "~")
	if !found || home == "" || rest != "" && !os.IsPathSeparator(rest[0]) {
		return name
	}
	return filepath.Join(home, rest)
}
