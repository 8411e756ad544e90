package terminal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"zai-image-mcp/internal/hostconfig"
	"zai-image-mcp/internal/textfile"
	"zai-image-mcp/zai"
)

// host is one in whose configuration this server is.
type host struct {
	name    string
	state   hostconfig.State
	key     string // "" for none that can be read here
	problem string
}

// found are the hosts of this machine that start this program, and those whose
// configuration cannot be read.
func (d Doctor) found() (list []host) {
	for _, name := range hostconfig.Names() {
		client, err := hostconfig.Find(name)
		if err != nil {
			continue
		}
		file := client.File(d.Machine)
		text, err := os.ReadFile(file) //nolint:gosec // the host's own file
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		h := host{name: name}
		if err == nil {
			h.state, err = client.Inspect(text)
		}
		if err != nil {
			h.problem = file + " cannot be read"
		}
		if h.state.Present && h.problem == "" {
			h.key, h.problem = startable(h.state, d.Machine.Home)
		}
		if h.state.Present || h.problem != "" {
			list = append(list, h)
		}
	}
	return list
}

// startable looks whether a host can start the program, and finds the key that
// it would have. There is none to look at in an entry of a server elsewhere, of
// the sandbox, or that is switched off.
func startable(s hostconfig.State, home string) (key, problem string) {
	if s.Command == "" || s.Off {
		return "", ""
	}
	if _, err := os.Stat(s.Command); filepath.IsAbs(s.Command) && err != nil {
		return "", "starts " + s.Command + ", which is not there"
	}
	if s.NoKey {
		return "", fmt.Sprintf("has no key; put yours in place of %q", hostconfig.Placeholder)
	}
	if s.Sandbox() {
		return "", ""
	}
	for _, name := range []string{"ZAI_API_KEY", "Z_AI_API_KEY"} {
		if key := s.Env[name]; key != "" {
			return unlessFilledIn(key), ""
		}
	}
	file := ExpandHome(unlessFilledIn(s.Env["ZAI_API_KEY_FILE"]), home)
	if file == "" {
		return "", ""
	}
	text, err := textfile.Read(file)
	if err != nil {
		return "", "has a file for the key that cannot be read: " + file
	}
	if key = strings.TrimSpace(text); key == "" {
		return "", "has a file for the key with nothing in it: " + file
	}
	return key, ""
}

// place returns where a host's server keeps its images and its catalog; "" is
// for what the entry does not say, or the host fills in.
func (h host) place(home string) (folder, catalog string) {
	if h.state.Command == "" || h.state.Off {
		return "", ""
	}
	folder = ExpandHome(unlessFilledIn(h.state.Setting("--store", "ZAI_IMAGE_STORE")), home)
	catalog = ExpandHome(unlessFilledIn(h.state.Setting("--catalog", "ZAI_IMAGE_CATALOG")), home)
	if strings.Contains(folder, "://") || strings.Contains(catalog, "://") {
		return "", ""
	}
	return folder, catalog
}

// placeProblem is why a host's server cannot keep images where it should, ""
// when it can.
func (d Doctor) placeProblem(h host) string {
	folder, catalog := h.place(d.Machine.Home)
	for _, path := range []string{folder, catalog} {
		if path != "" && !filepath.IsAbs(path) {
			return fmt.Sprintf("keeps its images at %s, which is another place in each folder that the host starts it in; name an absolute one", path)
		}
	}
	if folder == "" {
		return ""
	}
	library := d.Open(folder, catalog)
	defer library.Close()
	if err := library.Writable(); err != nil {
		return fmt.Sprintf("cannot write to its folder %s: %v", folder, err)
	}
	return ""
}

// unlessFilledIn is "" for what the host puts something in place of.
func unlessFilledIn(value string) string {
	if strings.HasPrefix(value, "$") || strings.Contains(value, "${") || strings.Contains(value, "{env:") || strings.Contains(value, "{file:") ||
		strings.Count(value, "%") > 1 {
		return ""
	}
	return value
}

// hosts tells which hosts start this program, and whether the keys they have
// are accepted. None is no problem.
func (d Doctor) hosts(ctx context.Context, list []host) (string, error) {
	if len(list) == 0 {
		return "none is set up; see zai-image-mcp config --help", nil
	}
	var well, bad []string
	for _, h := range list {
		if h.problem == "" {
			h.problem = d.placeProblem(h)
		}
		if h.key != "" && h.problem == "" {
			h.problem = d.refusal(ctx, h)
		}
		if h.problem != "" {
			bad = append(bad, h.name+": "+h.problem)
			continue
		}
		well = append(well, h.name)
	}
	said := "set up: " + strings.Join(well, ", ")
	switch {
	case len(bad) == 0:
		return said, nil
	case len(well) > 0:
		bad = append(bad, said)
	}
	return "", errors.New(strings.Join(bad, "; "))
}

// refusal is why a host's key is not accepted where the host sends it, "" when
// it is.
func (d Doctor) refusal(ctx context.Context, h host) string {
	region, base := h.state.Setting("--region", "ZAI_IMAGE_REGION"), h.state.Setting("--base-url", "ZAI_BASE_URL")
	if region != unlessFilledIn(region) || base != unlessFilledIn(base) {
		return "" // nobody here knows where the key goes
	}
	client, err := d.Connect(h.key, region, base)
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
		return inWords(err, client).Error()
	}
}
