package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"zai-image-mcp/internal/hostconfig"
	"zai-image-mcp/resources/label"
	"zai-image-mcp/zai"
)

// configuredHost is a host whose configuration either has an entry for this
// server or cannot be read.
type configuredHost struct {
	host    hostconfig.Host
	state   hostconfig.State
	key     string // "" if the entry has no key, or one that only the host can read
	problem string // "" if none was found
}

// configuredHosts returns the configured hosts of this machine.
func configuredHosts(machine hostconfig.Machine) (list []configuredHost) {
	for _, name := range hostconfig.Names() {
		host, err := hostconfig.Find(name)
		if err != nil {
			continue
		}
		file := host.File(machine)
		text, err := os.ReadFile(file) //nolint:gosec // the host's own file
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		h := configuredHost{host: host}
		if err == nil {
			h.state, err = host.Inspect(text)
		}
		if err != nil {
			h.problem = file + " cannot be read"
		}
		if h.state.Present && h.problem == "" {
			h.key, h.problem = checkHost(h.state, machine.Home)
		}
		if h.state.Present || h.problem != "" {
			list = append(list, h)
		}
	}
	return list
}

// checkHost checks whether a host can start the program, and returns the key
// that the program would use. key is "" for entries that need no key: those of
// remote servers, those that use the sandbox and those that are switched off.
func checkHost(s hostconfig.State, home string) (key, problem string) {
	if s.Command == "" || s.Off {
		return "", ""
	}
	if _, err := os.Stat(s.Command); filepath.IsAbs(s.Command) && err != nil {
		return "", "starts " + s.Command + ", which does not exist"
	}
	if s.NoKey {
		return "", fmt.Sprintf("has no key; put yours in place of %q", hostconfig.Placeholder)
	}
	if s.Sandbox() {
		return "", ""
	}
	for _, name := range []string{"ZAI_API_KEY", "Z_AI_API_KEY"} {
		if key := s.Env[name]; key != "" {
			return literalValue(key), ""
		}
	}
	file := expandHome(literalValue(s.Env["ZAI_API_KEY_FILE"]), home)
	if file == "" {
		return "", ""
	}
	key, err := readKeyFile(file)
	switch {
	case errors.Is(err, errEmptyKeyFile):
		return "", "has an empty key file: " + file
	case err != nil:
		return "", "has a key file that cannot be read: " + file
	}
	return key, ""
}

// literalValue returns value, or "" if it contains a variable, which only the
// host can replace.
func literalValue(value string) string {
	if strings.HasPrefix(value, "$") || strings.Contains(value, "${") || strings.Contains(value, "{env:") || strings.Contains(value, "{file:") ||
		strings.Count(value, "%") > 1 {
		return ""
	}
	return value
}

// library returns the folder and the catalog that a host's entry sets. Each is ""
// if the entry does not set it, or if only the host can replace a variable in it.
// Both are "" for an entry that is switched off or whose library is not local.
func (h configuredHost) library(home string) (folder, catalog string) {
	if h.state.Command == "" || h.state.Off {
		return "", ""
	}
	folder = expandHome(literalValue(h.state.Setting("--store", "ZAI_IMAGE_STORE")), home)
	catalog = expandHome(literalValue(h.state.Setting("--catalog", "ZAI_IMAGE_CATALOG")), home)
	if strings.Contains(folder, "://") || strings.Contains(catalog, "://") {
		return "", ""
	}
	return folder, catalog
}

// checkHosts checks the libraries of the configured hosts and whether the API
// accepts their keys. It does not fail if there are no configured hosts.
func (p *program) checkHosts(ctx context.Context, hosts []configuredHost, log *slog.Logger) (string, error) {
	if len(hosts) == 0 {
		return "no host is set up; see zai-image-mcp config --help", nil
	}
	var good, bad []string
	for _, h := range hosts {
		if h.problem == "" {
			h.problem = p.checkHostLibrary(ctx, h, log)
		}
		if h.key != "" && h.problem == "" {
			h.problem = p.checkHostKey(ctx, h, log)
		}
		if h.problem != "" {
			bad = append(bad, h.host.Name+": "+h.problem)
			continue
		}
		good = append(good, h.host.Name)
	}
	setUp := "set up: " + strings.Join(good, ", ")
	switch {
	case len(bad) == 0:
		return setUp, nil
	case len(good) > 0:
		bad = append(bad, setUp)
	}
	return "", errors.New(strings.Join(bad, "; "))
}

// checkHostLibrary returns the reason why a host's server cannot save images in its
// folder, or "" if it can.
func (p *program) checkHostLibrary(ctx context.Context, h configuredHost, log *slog.Logger) string {
	folder, catalog := h.library(p.Home)
	for _, path := range []string{folder, catalog} {
		if path != "" && !filepath.IsAbs(path) {
			return fmt.Sprintf("keeps its images at the relative path %s, a different place for each folder that the host starts it in; use an absolute path", path)
		}
	}
	if folder == "" {
		return ""
	}
	library, err := p.newLibrary(folder, catalog, label.Policy{}, log)
	if err != nil {
		return err.Error()
	}
	defer library.Close()
	if err := library.Writable(ctx); err != nil {
		return fmt.Sprintf("cannot write to its folder %s: %v", folder, err)
	}
	return ""
}

// checkHostKey returns the reason why the API does not accept a host's key, or ""
// if it does or if the entry's address is not known.
func (p *program) checkHostKey(ctx context.Context, h configuredHost, log *slog.Logger) string {
	region, base := h.state.Setting("--region", "ZAI_IMAGE_REGION"), h.state.Setting("--base-url", "ZAI_BASE_URL")
	if region != literalValue(region) || base != literalValue(base) {
		return "" // the address depends on a variable of the host
	}
	client, err := p.hostClient(h.key, region, base, log)
	if err != nil {
		return err.Error()
	}
	defer client.Close()
	switch err := client.CheckKey(ctx); {
	case err == nil:
		return ""
	case errors.Is(err, zai.KindUnauthorized):
		return fmt.Sprintf("its key is refused by region %s", client.Region())
	default:
		return explain(err, client).Error()
	}
}

// hostClient returns a client with the settings of a host's entry. region and
// baseURL may be "" for the defaults.
func (p *program) hostClient(key, region, baseURL string, log *slog.Logger) (*zai.Client, error) {
	if region == "" {
		region = string(zai.Global)
	}
	parsed, err := zai.ParseRegion(region)
	if err != nil {
		return nil, err
	}
	return p.newClient(key, parsed, baseURL, log)
}
