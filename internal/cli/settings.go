package cli

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

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

// notFilledIn reports whether a path begins with a variable that shell and host
// left as it is: images would go to a folder of that name in the current one.
func (p filePath) notFilledIn() bool {
	name := string(p)
	return strings.HasPrefix(name, "$") || strings.HasPrefix(name, "{env:") || strings.HasPrefix(name, "%") && strings.Count(name, "%") > 1
}

// choice is one of a few words. People write them with capitals and spaces,
// too, as in the free text fields of desktop hosts.
type choice string

// UnmarshalText implements encoding.TextUnmarshaler for kong.
func (c *choice) UnmarshalText(text []byte) error {
	*c = choice(strings.ToLower(strings.TrimSpace(string(text))))
	return nil
}

// dollars is an amount of money.
type dollars float64

// UnmarshalText implements encoding.TextUnmarshaler for kong. A comma is
// refused: it is a decimal point to some and separates thousands for others.
func (d *dollars) UnmarshalText(text []byte) error {
	amount, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	if err != nil {
		return fmt.Errorf("%q is not an amount of dollars like 5 or 0.50", text)
	}
	*d = dollars(amount)
	return nil
}

// concurrency is a number of requests in flight, 0 for the limits of the model
// table.
type concurrency int

// UnmarshalText implements encoding.TextUnmarshaler for kong.
func (c *concurrency) UnmarshalText(text []byte) error {
	word := strings.ToLower(strings.TrimSpace(string(text)))
	if word == "auto" {
		*c = 0
		return nil
	}
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is neither auto nor a number from 1 on", text)
	}
	*c = concurrency(n)
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
