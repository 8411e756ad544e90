package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"time"

	"zai-image-mcp/internal/web"
	"zai-image-mcp/resources"
)

type galleryCommand struct {
	libraryFlags
	labelFlags
	Owner  string `help:"Owner of the images; over HTTP, the name of the token (default: local)." placeholder:"NAME"`
	Listen string `help:"Address on this machine; port 0 picks a free one." default:"127.0.0.1:0"`
	NoOpen bool   `help:"Do not open a browser. It is opened only from a terminal."`
}

// Run serves the pages of the library until ctx ends. It prints their address, which
// contains a key that can be used once.
func (c *galleryCommand) Run(ctx context.Context, p *program) error {
	labels, err := c.policy()
	if err != nil {
		return err
	}
	log := p.errorLog()
	images := imagesCommand{libraryFlags: c.libraryFlags, labels: labels}
	library, err := images.openExisting(ctx, p, log)
	if errors.Is(err, resources.ErrNotFound) {
		fmt.Fprintln(p.Stderr, "There are no images yet. "+programName+" generate makes one.")
		return nil
	}
	if err != nil {
		return err
	}
	defer library.Close()
	if err := library.Ready(ctx); err != nil {
		return err
	}
	listener, err := web.ListenLocally(ctx, c.Listen)
	if setting, ok := errors.AsType[*web.ConfigError](err); ok {
		return &usageError{setting.Error(), setting.Hint}
	}
	if err != nil {
		return err
	}
	g := web.LocalGallery{Listener: listener, Library: library, Owner: cmp.Or(c.Owner, localOwner), Key: rand.Text(), Now: time.Now, Log: log}
	fmt.Fprintln(p.Stdout, g.Address())
	fmt.Fprintln(p.Stderr, "The address can be opened once. Ctrl+C ends the gallery.")
	if !c.NoOpen && isTerminal(p.Stdout) {
		p.openBrowser(ctx, g.Address())
	}
	return web.ServeGallery(ctx, g)
}

// openBrowser opens an address in the user's browser if there is a desktop. Failures are
// not reported, because the address is printed.
func (p *program) openBrowser(ctx context.Context, address string) {
	var command []string
	switch runtime.GOOS {
	case "darwin":
		command = []string{"open", address}
	case "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler", address}
	default:
		if p.Env("DISPLAY") == "" && p.Env("WAYLAND_DISPLAY") == "" {
			return // xdg-open would start a browser in the terminal
		}
		command = []string{"xdg-open", address}
	}
	browser := exec.CommandContext(context.WithoutCancel(ctx), command[0], command[1:]...) //nolint:gosec // the address is our own
	browser.SysProcAttr = ownSession()
	if browser.Start() == nil {
		go browser.Wait() //nolint:errcheck // see above
	}
}
