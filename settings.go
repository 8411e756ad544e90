package main

import (
	"log/slog"
	"os"
	"path/filepath"

	"zai-image-mcp/internal/terminal"
)

// filePath names a file or folder. A leading ~/ stands for the user's home folder,
// which no shell puts there for --flag=~/x, and no host for a variable.
type filePath string

// UnmarshalText implements encoding.TextUnmarshaler for kong.
func (p *filePath) UnmarshalText(text []byte) error {
	*p = filePath(expandHome(string(text)))
	return nil
}

// expandHome returns the name as it is when the home folder is not known.
func expandHome(name string) string {
	home, err := os.UserHomeDir()
	if err != nil {
		return name
	}
	return terminal.ExpandHome(name, home)
}

// absolute returns "" for no path.
func absolute(p filePath) (string, error) {
	if p == "" {
		return "", nil
	}
	return filepath.Abs(string(p))
}

// warnOfRelative logs where relative paths lead: hosts start their servers in
// folders of their own choice, often the user's project.
func warnOfRelative(log *slog.Logger, c libraryFlags) {
	for flag, value := range map[string]filePath{"--store": c.Store, "--catalog": c.Catalog} {
		if full, err := absolute(value); err == nil && value != "" && !filepath.IsAbs(string(value)) {
			log.Warn("resolved a relative path against the folder that the host started the server in", "flag", flag, "given", string(value), "path", full)
		}
	}
}
