package terminal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"zai-image-mcp/internal/hostconfig"
	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// Doctor looks whether the program can work as it is set up. It makes no image
// and costs nothing.
type Doctor struct {
	Client  *zai.Client // nil without a key
	BadKey  error       // why there is no Client, if a key was given
	Other   *zai.Client // the same key on the other platform; nil when that cannot be
	Library *resources.Library
	Catalog string // the library's file
	Proxy   string // what API calls go through, "" for none
	Machine hostconfig.Machine
	// NetworkFileSystem tells whether a folder is on another machine's disk.
	NetworkFileSystem func(folder string) (kind string, network bool)
	// Open gives the library of a host's configuration; catalog may be "".
	Open func(folder, catalog string) *resources.Library
	// Connect makes a client for the key of a host's configuration; region and
	// baseURL may be "".
	Connect func(key, region, baseURL string) (*zai.Client, error)
	Out     io.Writer
}

// Examine prints one line for each thing. It fails with ErrProblems when
// something has to be mended.
func (d Doctor) Run(ctx context.Context) error {
	failed, found := false, d.found()
	for _, look := range []struct {
		name string
		at   func(context.Context, []host) (string, error)
	}{{"key", d.key}, {"folder", d.folder}, {"catalog", d.catalog}, {"hosts", d.hosts}} {
		said, err := look.at(ctx, found)
		mark := "ok"
		if err != nil {
			mark, said, failed = "PROBLEM", err.Error(), true
		}
		if _, err := fmt.Fprintf(d.Out, "%-8s %-8s %s\n", mark, look.name, plaintext.Line(said, 0)); err != nil {
			return err
		}
	}
	for _, w := range d.warnings(found) {
		if _, err := fmt.Fprintf(d.Out, "%-8s %-8s %s\n", "WARNING", w.name, plaintext.Line(w.text, 0)); err != nil {
			return err
		}
	}
	if failed {
		return ErrProblems
	}
	return nil
}

// warning is what may go wrong, and need not.
type warning struct{ name, text string }

func (d Doctor) warnings(found []host) (list []warning) {
	if d.Proxy != "" {
		list = append(list, warning{"proxy", ProxyWarning(d.Proxy)})
	}
	catalogs := []string{d.Catalog}
	for _, h := range found {
		if folder, catalog := h.place(d.Machine.Home); folder != "" || catalog != "" {
			catalogs = append(catalogs, cmp.Or(catalog, filepath.Join(folder, ".catalog.db")))
		}
	}
	slices.Sort(catalogs)
	for _, catalog := range slices.Compact(catalogs) {
		if kind, network := d.NetworkFileSystem(filepath.Dir(catalog)); network {
			list = append(list, warning{"catalog", fmt.Sprintf("%s is on %s, which does not lock a catalog reliably: "+
				"use it from one machine only, or name a local file with --catalog", catalog, kind)})
		}
		if by := MirroredBy(filepath.Dir(catalog), d.Machine.Env); by != "" && filepath.IsAbs(catalog) {
			list = append(list, warning{"catalog", fmt.Sprintf("%s is in a folder that %s copies to other machines, and a copy of a catalog in use is damaged: "+
				"name a local folder with --store, or a local file with --catalog", catalog, by)})
		}
	}
	return list
}

// ProxyWarning says what it means that API calls go through a proxy.
func ProxyWarning(proxy string) string {
	return "API calls go through the proxy " + proxy + ", but images are downloaded without one: where nothing else leads out, an image is paid for and cannot be fetched"
}

func (d Doctor) key(ctx context.Context, found []host) (string, error) {
	if d.BadKey != nil {
		return "", d.BadKey
	}
	if d.Client == nil && slices.ContainsFunc(found, func(h host) bool { return h.key != "" }) {
		return "none in this environment; the hosts have their own, see below", nil
	}
	if d.Client == nil {
		return "", errors.New("none here; set ZAI_API_KEY or ZAI_API_KEY_FILE to a key from https://z.ai/manage-apikey/apikey-list")
	}
	err := d.Client.CheckKey(ctx)
	if err == nil {
		return fmt.Sprintf("accepted by region %s at %s", d.Client.Region(), d.Client.BaseURL()), nil
	}
	if errors.Is(err, zai.KindUnauthorized) && d.Other != nil && d.Other.CheckKey(ctx) == nil {
		return "", fmt.Errorf("refused by region %s but accepted by %s: set --region %s (ZAI_IMAGE_REGION)", d.Client.Region(), d.Other.Region(), d.Other.Region())
	}
	return "", inWords(err, d.Client)
}

// inWords says why a key cannot be used.
func inWords(err error, client *zai.Client) error {
	if errors.Is(err, zai.KindOutcomeUnknown) {
		return fmt.Errorf("%s gives no answer that Z.AI would give; is something in between?", client.BaseURL())
	}
	if service, ok := errors.AsType[*zai.Error](err); ok {
		message, hint := service.Explain()
		return errors.New(message + " " + hint)
	}
	return err
}

func (d Doctor) folder(context.Context, []host) (string, error) {
	if err := d.Library.Writable(); err != nil {
		return "", err
	}
	return "images can be written to " + d.Library.Folder(), nil
}

func (d Doctor) catalog(ctx context.Context, _ []host) (string, error) {
	if !d.Library.Exists() {
		return "none yet, the first image makes it", nil
	}
	report, err := d.Library.Check(ctx, false, nil)
	if err != nil {
		return "", err
	}
	if n := len(report.Problems); n > 0 {
		return "", fmt.Errorf("%d problems with %d images; see images check", n, report.Images)
	}
	return fmt.Sprintf("%d images, no problems", report.Images), nil
}
