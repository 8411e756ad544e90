package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"time"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/mcpserver"
	"zai-image-mcp/internal/project"
	"zai-image-mcp/internal/telemetry"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/label"
	"zai-image-mcp/tools"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// localOwner is the owner of all images except those generated over HTTP with
// authentication.
const localOwner = auth.LocalOwner

// log returns the logger that the flags configure. It writes to stderr and
// removes the API key from messages.
func (p *program) log() *slog.Logger { return p.logAt(slog.LevelDebug) }

// errorLog returns the logger of commands with output for a person. It logs only
// errors.
func (p *program) errorLog() *slog.Logger { return p.logAt(slog.LevelError) }

func (p *program) logAt(least slog.Level) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(p.flags.LogLevel)) // kong has checked it
	key, _, _ := p.key()                              // the code that uses the key reports the error
	return telemetry.NewLogger(p.Stderr, max(level, least), p.flags.LogFormat == "json", key, transport.LogAttrs)
}

// library returns the library that the flags name, with a policy for the files that it
// makes from images. It does not open any file. The caller must close the library.
func (p *program) library(c libraryFlags, labels label.Policy, log *slog.Logger) (*resources.Library, error) {
	for flag, path := range map[string]filePath{"--store": c.Store, "--catalog": c.Catalog} {
		if path.hasVariable() {
			return nil, &usageError{fmt.Sprintf("%s %s: the path contains a variable that was not replaced by its value", flag, path), "Write the path in full, or begin it with ~/ for the home folder."}
		}
	}
	store, err := p.storeLocation(c.Store)
	if err != nil {
		return nil, err
	}
	catalog, err := p.catalogLocation(c.Catalog)
	if err != nil {
		return nil, err
	}
	return p.newLibrary(store, catalog, labels, log)
}

// newLibrary returns the library at a location: a folder or the URL of a bucket. catalog
// is a file, the URL of a database, or "" for a file in the folder.
func (p *program) newLibrary(location, catalog string, labels label.Policy, log *slog.Logger) (*resources.Library, error) {
	files, err := p.newStores(location, catalog)
	if err != nil {
		return nil, err
	}
	opened, err := newCatalog(cmp.Or(catalog, filepath.Join(location, catalogName)), log)
	if err != nil {
		return nil, err
	}
	return resources.New(resources.Options{
		Store: files.images, Previews: files.previews, Exports: files.exports, Redirect: files.redirect,
		Catalog: opened, Label: labels, Now: time.Now, Random: rand.Reader, Log: log,
	}), nil
}

// client returns a client of the API, nil if no key is set. It returns a
// *jobs.KeyError if the key cannot be used. A server starts in spite of that, and
// its tool calls fail with the reason.
func (p *program) client(ctx context.Context, region zai.Region, c upstreamFlags, log *slog.Logger, options ...zai.Option) (*zai.Client, error) {
	key, err := p.usableKey()
	if c.Sandbox {
		// Paid work finishes after ctx ends, so the sandbox must not end with it.
		lifetime, end := context.WithCancel(context.WithoutCancel(ctx))
		p.cleanup = append(p.cleanup, end)
		base, startErr := sandbox.Start(lifetime, "127.0.0.1:0", sandbox.Options{Delay: sandbox.Realistic(8)})
		if startErr != nil {
			return nil, startErr
		}
		key, err, c.BaseURL = "sandbox", nil, base
	}
	if c.Watermark == watermarkOff {
		options = append(options, zai.WithoutWatermark())
	}
	if c.BaseURL != "" {
		if err := zai.CheckBaseURL(c.BaseURL); err != nil {
			return nil, upstreamError("--base-url", err)
		}
	}
	if bad, ok := errors.AsType[*jobs.KeyError](err); ok {
		log.Warn("found no usable API key: images cannot be generated", "problem", bad.Problem)
		return nil, bad
	}
	if key == "" {
		log.Warn("found no API key: images cannot be generated until ZAI_API_KEY is set")
		return nil, nil //nolint:nilnil // without a key there is no client
	}
	return p.newClient(key, region, c.BaseURL, log, options...)
}

// newClient returns a client with a key. If baseURL is "", it uses that of the
// region.
func (p *program) newClient(key string, region zai.Region, baseURL string, log *slog.Logger, options ...zai.Option) (*zai.Client, error) {
	options = append(options, zai.WithRegion(region), zai.WithLogger(log), zai.WithUserAgent(programName+"/"+version))
	if baseURL != "" {
		options = append(options, zai.WithBaseURL(baseURL))
	}
	if p.NewClient != nil {
		return p.NewClient(key, options...)
	}
	return zai.NewClient(key, options...)
}

// serverSettings configures the MCP server of the commands serve and generate.
type serverSettings struct {
	upstream    upstreamFlags
	model       string // "" for the default
	inline      tools.Inline
	structured  mcpserver.Structured
	wait, grace time.Duration
	maxMessage  int // bytes, 0 for no limit
	metrics     bool
	atTerminal  bool // a person reads stderr
	locator     resources.Locator
	project     *project.Folder                    // nil if there is none
	noProject   string                             // why there is none and what to do, as a clause
	allowance   func(owner string) limit.Allowance // nil if all owners may do the same
}

// check returns a *usageError if the server cannot start with these settings. It
// also sets the default model if none is set.
func (s *serverSettings) check() error {
	region, err := zai.ParseRegion(string(s.upstream.Region))
	if err != nil {
		return err
	}
	if s.model == "" {
		s.model = zai.DefaultModel
	}
	if _, err := zai.FindModel(region, s.model); err != nil {
		return upstreamError("--model", err)
	}
	if budget := float64(s.upstream.DailyBudget); math.IsNaN(budget) || budget > 1e9 || budget > 0 && budget < 1e-6 {
		return &usageError{"--daily-budget: not an amount of dollars", "Give dollars like 5 or 0.50, or 0 for no limit."}
	}
	if s.upstream.DailyBudget < 0 || s.wait <= 0 || s.grace < 0 {
		return &usageError{"--wait must be positive, --daily-budget and --shutdown-grace must not be negative", seeHelp}
	}
	return nil
}

// mcpServer is an MCP server with its telemetry.
type mcpServer struct {
	*mcpserver.Server
	telemetry *telemetry.Telemetry
}

// newServer returns the MCP server of a library.
func (p *program) newServer(ctx context.Context, s serverSettings, library *resources.Library, log *slog.Logger) (*mcpServer, error) {
	region, err := zai.ParseRegion(string(s.upstream.Region))
	if err != nil {
		return nil, err
	}
	metrics, err := telemetry.New(ctx, telemetry.Config{Version: version, Metrics: s.metrics, Traces: p.collector(log)})
	if err != nil {
		return nil, err
	}
	client, err := p.client(ctx, region, s.upstream, log, zai.WithObserver(metrics.Attempt))
	badKey, isBadKey := errors.AsType[*jobs.KeyError](err)
	if err != nil && !isBadKey {
		return nil, err
	}
	p.warnOfProxy(client, s.atTerminal, log)
	pipeline := jobs.New(jobs.Config{
		Client: client, BadKey: badKey, Library: library, Process: rand.Text(), MaxConcurrent: int(s.upstream.MaxConcurrent),
		BudgetUSD: float64(s.upstream.DailyBudget), Allowance: s.allowance, Sandbox: s.upstream.Sandbox, Now: time.Now, Log: log,
		Tracer: metrics.Tracer(),
	})
	server, err := mcpserver.New(mcpserver.Config{
		Version: version, Pipeline: pipeline, Library: library, Telemetry: metrics, Region: region, DefaultModel: s.model,
		Wait: s.wait, Inline: s.inline, Structured: s.structured, Sandbox: s.upstream.Sandbox, Grace: s.grace, MaxMessage: s.maxMessage,
		Locator: s.locator, Project: s.project, NoProject: s.noProject, Now: time.Now, Log: log,
	})
	if err != nil {
		return nil, err
	}
	return &mcpServer{server, metrics}, nil
}

// newPipeline returns a pipeline that only fetches images that are already paid
// for. client may be nil; then it cannot fetch any.
func newPipeline(client *zai.Client, library *resources.Library, log *slog.Logger) *jobs.Pipeline {
	return jobs.New(jobs.Config{Client: client, Library: library, Process: rand.Text(), Now: time.Now, Log: log})
}

// upstreamError returns the *usageError for a flag that package zai rejects.
func upstreamError(flag string, err error) error {
	if service, ok := errors.AsType[*zai.Error](err); ok {
		message, hint := service.Explain()
		return &usageError{flag + ": " + message, hint}
	}
	return &usageError{flag + ": " + err.Error(), seeHelp}
}
