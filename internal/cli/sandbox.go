package cli

import (
	"context"
	"fmt"
	"time"

	"zai-image-mcp/zai/sandbox"
)

type sandboxCommand struct {
	Listen string        `help:"Address to serve on; port 0 picks a free one." default:"127.0.0.1:8788"`
	Key    string        `help:"Key that clients must send (default: any key is accepted)." env:"ZAI_SANDBOX_KEY"`
	Delay  time.Duration `help:"Time that each image takes."`
	JPEG   bool          `name:"jpeg" help:"Serve JPEG files under .png names, as the service sometimes does."`
	Fault  string        `help:"Fault to return for every request, such as no_balance or rate_limited*2."`
	Seed   uint64        `help:"Seed that varies the images."`
}

// Run serves the sandbox until ctx ends.
func (c *sandboxCommand) Run(ctx context.Context, p *program) error {
	options := sandbox.Options{Key: c.Key, JPEG: c.JPEG, Fault: c.Fault, Seed: c.Seed, Log: p.log()}
	if c.Delay > 0 {
		options.Delay = func(string, string) time.Duration { return c.Delay }
	}
	base, err := sandbox.Start(ctx, c.Listen, options)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.Stdout, "The sandbox serves at %s\n", base)
	<-ctx.Done()
	return nil
}
