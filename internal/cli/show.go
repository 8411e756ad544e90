package cli

import (
	"context"
	"fmt"

	"zai-image-mcp/internal/terminal"
	"zai-image-mcp/resources"
)

// showFlags configure how commands draw images.
type showFlags struct {
	Show choice `help:"Protocol by which generate and images show draw images in the terminal: auto (the one that the terminal understands, if any), kitty, iterm or none. Nothing is drawn into a pipe or file, in tmux, screen and Zellij, or in CI." enum:"auto,kitty,iterm,none" default:"auto" env:"ZAI_IMAGE_SHOW"`
}

// protocol returns the protocol by which images are drawn on standard output.
func (c showFlags) protocol(p *program) terminal.Protocol {
	if !isTerminal(p.Stdout) {
		return terminal.None
	}
	return terminal.Choose(string(c.Show), p.Env)
}

// draw draws the preview of a saved image on standard output. A failure only leaves the
// picture out, so draw prints it.
func (p *program) draw(ctx context.Context, protocol terminal.Protocol, library *resources.Library, image resources.Image) {
	if protocol == terminal.None {
		return
	}
	preview, err := library.Preview(ctx, image)
	if err == nil {
		err = protocol.Draw(p.Stdout, preview)
	}
	if err != nil {
		fmt.Fprintf(p.Stderr, "failed to draw the image: %v\n", err)
	}
}
