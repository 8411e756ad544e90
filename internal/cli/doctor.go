package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/label"
	"zai-image-mcp/resources/sqlite"
	"zai-image-mcp/zai"
)

type doctorCommand struct {
	libraryFlags
	Region  choice `help:"As for serve." enum:"global,china" default:"global" env:"ZAI_IMAGE_REGION"`
	BaseURL string `name:"base-url" help:"As for serve." env:"ZAI_BASE_URL" placeholder:"URL"`
}

// Run checks whether the program works with its configuration, and prints one
// line for each check, for the project of each host, and for each warning. It
// does not generate images and is free. It returns errProblems if a check fails.
func (c *doctorCommand) Run(ctx context.Context, p *program) error {
	log := p.errorLog()
	library, err := p.library(c.libraryFlags, label.Policy{}, log)
	if err != nil {
		return err
	}
	defer library.Close()
	machine, err := p.machine()
	if err != nil {
		return err
	}
	hosts := configuredHosts(machine)
	failed := false
	for _, check := range []struct {
		name string
		run  func() (result string, err error)
	}{
		{"key", func() (string, error) { return c.checkKey(ctx, p, log, hosts) }},
		{storeWord(c.Store), func() (string, error) { return checkStore(ctx, library) }},
		{"catalog", func() (string, error) { return checkCatalog(ctx, library) }},
		{"hosts", func() (string, error) { return p.checkHosts(ctx, hosts, log) }},
	} {
		mark := "ok"
		result, err := check.run()
		if err != nil {
			mark, result, failed = "PROBLEM", err.Error(), true
		}
		if err := p.printFinding(mark, check.name, result); err != nil {
			return err
		}
	}
	if err := p.printProjects(p.projects(hosts)); err != nil {
		return err
	}
	warnings, err := c.warnings(p, library, hosts)
	for _, w := range warnings {
		err = errors.Join(err, p.printFinding("WARNING", w.name, w.text))
	}
	if err == nil && failed {
		return errProblems
	}
	return err
}

func (p *program) printFinding(mark, name, text string) error {
	_, err := fmt.Fprintf(p.Stdout, "%-8s %-8s %s\n", mark, name, plaintext.Line(text, 0))
	return err
}

// printProjects prints the projects of the hosts. One that cannot be used is a warning,
// because the server starts without it.
func (p *program) printProjects(list []projectLine) error {
	for _, line := range list {
		mark := "ok"
		if line.wrong {
			mark = "WARNING"
		}
		if err := p.printFinding(mark, "project", line.text); err != nil {
			return err
		}
	}
	return nil
}

// checkKey checks whether the API accepts the key from the environment. Without
// one it fails unless a configured host has a key.
func (c *doctorCommand) checkKey(ctx context.Context, p *program, log *slog.Logger, hosts []configuredHost) (string, error) {
	region, err := zai.ParseRegion(string(c.Region))
	if err != nil {
		return "", err
	}
	client, err := p.client(ctx, region, upstreamFlags{BaseURL: c.BaseURL}, log)
	if err != nil {
		return "", err
	}
	if client == nil && slices.ContainsFunc(hosts, func(h configuredHost) bool { return h.key != "" }) {
		return "not set in this environment; the hosts have their own, see below", nil
	}
	if client == nil {
		return "", errors.New("not set; set ZAI_API_KEY or ZAI_API_KEY_FILE to a key from https://z.ai/manage-apikey/apikey-list")
	}
	defer client.Close()
	err = client.CheckKey(ctx)
	if err == nil {
		return fmt.Sprintf("accepted by region %s at %s", client.Region(), client.BaseURL()), nil
	}
	if errors.Is(err, zai.KindUnauthorized) && c.BaseURL == "" && c.acceptedBy(ctx, p, region.Other(), log) {
		return "", fmt.Errorf("refused by region %s but accepted by %s: set --region %s (ZAI_IMAGE_REGION)", region, region.Other(), region.Other())
	}
	return "", explain(err, client)
}

// acceptedBy reports whether a region accepts the key from the environment.
func (c *doctorCommand) acceptedBy(ctx context.Context, p *program, region zai.Region, log *slog.Logger) bool {
	client, err := p.client(ctx, region, upstreamFlags{}, log)
	if err != nil || client == nil {
		return false
	}
	defer client.Close()
	return client.CheckKey(ctx) == nil
}

// explain returns an error that explains to users why a key cannot be used.
func explain(err error, client *zai.Client) error {
	if errors.Is(err, zai.KindOutcomeUnknown) {
		return fmt.Errorf("%s does not respond as Z.AI does; is it another server, or is a proxy in between?", client.BaseURL())
	}
	if service, ok := errors.AsType[*zai.Error](err); ok {
		message, hint := service.Explain()
		return errors.New(message + " " + hint)
	}
	return err
}

// storeWord returns what a store is called.
func storeWord(store filePath) string {
	if isBucket(string(store)) {
		return "bucket"
	}
	return "folder"
}

func checkStore(ctx context.Context, library *resources.Library) (string, error) {
	if err := library.Writable(ctx); err != nil {
		return "", withHint(err, ". ")
	}
	return "images can be written to " + library.StoreName(), nil
}

func checkCatalog(ctx context.Context, library *resources.Library) (string, error) {
	if !library.Exists() {
		return "does not exist yet; the first image creates it", nil
	}
	report, err := library.Check(ctx, false, nil)
	if err != nil {
		return "", withHint(err, ". ")
	}
	if n := len(report.Problems); n > 0 {
		return "", fmt.Errorf("%d problems with %d images; run zai-image-mcp images check", n, report.Images)
	}
	return fmt.Sprintf("%d images, no problems", report.Images), nil
}

// warning describes a configuration that works but may cause problems.
type warning struct{ name, text string }

// warnings returns warnings about the proxy and about the locations of the
// catalogs that this environment and the hosts use.
func (c *doctorCommand) warnings(p *program, library *resources.Library, hosts []configuredHost) ([]warning, error) {
	region, err := zai.ParseRegion(string(c.Region))
	if err != nil {
		return nil, err
	}
	var list []warning
	if proxy := proxyFor(cmp.Or(c.BaseURL, region.BaseURL())); proxy != "" {
		list = append(list, warning{"proxy", proxyWarning(proxy)})
	}
	catalog, err := p.catalogLocation(c.Catalog)
	if err != nil {
		return nil, err
	}
	var catalogs []string // that are files
	if !isDatabase(catalog) {
		catalogs = []string{cmp.Or(catalog, filepath.Join(library.StoreName(), catalogName))}
	}
	for _, h := range hosts {
		if folder, catalog := h.library(p.Home); folder != "" || catalog != "" {
			catalogs = append(catalogs, cmp.Or(catalog, filepath.Join(folder, catalogName)))
		}
	}
	slices.Sort(catalogs)
	for _, catalog := range slices.Compact(catalogs) {
		list = append(list, p.catalogWarnings(catalog)...)
	}
	return list, nil
}

// catalogWarnings returns warnings about the location of a catalog.
func (p *program) catalogWarnings(catalog string) (list []warning) {
	networkFileSystem := p.NetworkFileSystem
	if networkFileSystem == nil {
		networkFileSystem = sqlite.NetworkFileSystem
	}
	if name, network := networkFileSystem(filepath.Dir(catalog)); network {
		list = append(list, warning{"catalog", fmt.Sprintf("%s is on %s, where file locks are not reliable: "+
			"use it from one machine only, or name a local file with --catalog", catalog, name)})
	}
	if program := mirroredBy(filepath.Dir(catalog), p.Env); program != "" && filepath.IsAbs(catalog) {
		list = append(list, warning{"catalog", fmt.Sprintf("%s is in a folder that %s copies to other machines, and a catalog that is copied while in use can be damaged: "+
			"name a local folder with --store, or a local file with --catalog", catalog, program)})
	}
	return list
}
