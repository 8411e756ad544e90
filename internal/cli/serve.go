package cli

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/mcpserver"
	"zai-image-mcp/internal/project"
	"zai-image-mcp/internal/web"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/bucket"
	"zai-image-mcp/tools"
)

type serveCommand struct {
	libraryFlags
	upstreamFlags
	labelFlags
	webFlags
	Transport     choice        `help:"stdio; http = Streamable HTTP at /mcp; sse = the same plus HTTP+SSE at /sse and /message." enum:"stdio,http,sse" default:"stdio" env:"ZAI_IMAGE_TRANSPORT"`
	Project       filePath      `help:"Folder that save_as writes files into, over stdio (default: CLAUDE_PROJECT_DIR, or the working directory if it can be a project); none = refuse save_as." env:"ZAI_IMAGE_PROJECT" placeholder:"FOLDER"`
	Model         string        `help:"Model for calls that do not name one." default:"cogview-4-250304" env:"ZAI_IMAGE_MODEL"`
	Inline        choice        `help:"Image data in a result: preview, full (the original) or none." enum:"preview,full,none" default:"preview" env:"ZAI_IMAGE_INLINE"`
	Structured    choice        `help:"Structured content in results: auto (not for hosts that would then ignore the rest), always or never." enum:"auto,always,never" default:"auto" env:"ZAI_IMAGE_STRUCTURED"`
	StoreShownAs  string        `help:"Path of the image folder outside the container, for a server in a container over stdio; none omits paths from results." env:"ZAI_IMAGE_STORE_SHOWN_AS" placeholder:"FOLDER"`
	Wait          time.Duration `help:"Longest time a call waits before it returns an id." default:"45s" env:"ZAI_IMAGE_WAIT"`
	ShutdownGrace time.Duration `help:"Time for paid work to finish at SIGTERM, a closed terminal (SIGHUP) or end of input." default:"60s" env:"ZAI_IMAGE_SHUTDOWN_GRACE"`
}

// Run serves MCP until the host closes stdin or ctx ends.
func (c *serveCommand) Run(ctx context.Context, p *program) error {
	defer releaseMemory()()
	settings := serverSettings{
		upstream: c.upstreamFlags, model: c.Model, inline: tools.Inline(c.Inline), structured: mcpserver.Structured(c.Structured),
		wait: c.Wait, grace: c.ShutdownGrace,
	}
	if err := settings.check(); err != nil {
		return err
	}
	labels, err := c.policy()
	if err != nil {
		return err
	}
	log := p.log()
	library, err := p.library(c.libraryFlags, labels, log)
	if err != nil {
		return err
	}
	defer library.Close()
	if c.Transport == "stdio" {
		return c.serveStdio(ctx, p, settings, library, log)
	}
	return c.serveWeb(ctx, p, settings, library, log)
}

func (c *serveCommand) serveStdio(ctx context.Context, p *program, settings serverSettings, library *resources.Library, log *slog.Logger) error {
	settings.maxMessage = limit.StdioMaxAnswer
	settings.locator = resources.Locator{Path: c.StoreShownAs != "none", Folder: c.StoreShownAs}
	if links := resources.NewPresignedLinks(library, c.LinkLifetime); links != nil {
		if c.LinkLifetime <= 0 || c.LinkLifetime > bucket.MaxLifetime {
			return &usageError{"--link-lifetime must be positive and at most 168h with a bucket", seeHelp}
		}
		settings.locator = resources.Locator{Links: links}
	}
	dir, none := p.projectPlace(c.Project).find()
	if none == nil {
		settings.project = project.New(dir)
	} else {
		settings.noProject = none.reason
	}
	s, err := p.newServer(ctx, settings, library, log)
	if err != nil {
		return err
	}
	logProject(log, dir, none)
	warnOfRelative(log, c.libraryFlags)
	return s.ServeStdio(ctx, p.Stdin, p.Stdout)
}

// serveWeb serves MCP over HTTP. It listens on the address before it creates the
// MCP server.
func (c *serveCommand) serveWeb(ctx context.Context, p *program, settings serverSettings, library *resources.Library, log *slog.Logger) error {
	if c.LinkLifetime <= 0 {
		return &usageError{"--link-lifetime must be positive", seeHelp}
	}
	quotas, err := c.quotas()
	if err != nil {
		return err
	}
	endpoint, err := web.Listen(ctx, web.ListenConfig{
		Listen: c.Listen, PublicURL: c.PublicURL, AuthTokens: string(c.AuthTokens), Issuer: c.issuer(log), AllowOrigins: c.AllowOrigin, SSE: c.Transport == "sse",
	})
	if setting, ok := errors.AsType[*web.ConfigError](err); ok {
		return &usageError{setting.Error(), setting.Hint}
	}
	if err != nil {
		return err
	}
	links := resources.NewLinks(library, endpoint.Base(), c.LinkLifetime)
	settings.locator, settings.metrics, settings.noProject = resources.Locator{Links: links}, true, noProjectOverHTTP
	warnOfProject(c.Project, log)
	config := web.Config{
		Endpoint: endpoint, Links: links, Library: library, Limits: limit.Default(), Grace: settings.grace, Now: time.Now, Log: log,
	}
	if quotas != nil {
		config.Quotas, config.Refused = quotas, quotas.Refused
		settings.allowance = func(owner string) limit.Allowance { return quotas.Of(owner, float64(c.DailyBudget)) }
	}
	s, err := p.newServer(ctx, settings, library, log)
	if err != nil {
		return errors.Join(err, endpoint.Listener.Close())
	}
	if c.reloads() {
		signals, stop := hangUps()
		defer stop()
		config.Reload = signals
	}
	config.App, config.Telemetry = s.Server, s.telemetry
	return web.Serve(ctx, config)
}

// quotas reads the file of --quotas. It returns nil without one, and a *usageError if
// the file cannot be used.
func (c *serveCommand) quotas() (*limit.QuotaFile, error) {
	if c.Quotas == "" {
		return nil, nil //nolint:nilnil // no quotas
	}
	quotas, err := limit.LoadQuotaFile(string(c.Quotas))
	if err != nil {
		return nil, &usageError{"--quotas: " + err.Error(), "Name a file of lines like alice budget=5 pictures=50, with the names that images spend prints."}
	}
	return quotas, nil
}

// reloads reports whether SIGHUP makes the server reload tokens, keys and quotas and not
// exit.
func (c *serveCommand) reloads() bool {
	return c.Transport != "stdio" && (c.AuthTokens != "" || c.OIDCIssuer != "" || c.Quotas != "")
}
