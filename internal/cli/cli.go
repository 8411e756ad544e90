// Package cli is the command line: commands, flags, and how the program is put
// together from them. It alone reads flags and environment.
package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/adrg/xdg"
	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/hostconfig"
	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/mcpserver"
	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/internal/telemetry"
	"zai-image-mcp/internal/terminal"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/internal/web"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

const version = "0.1.0"

// Main runs the program and ends the process with its exit status.
func Main() {
	// stdout belongs to the protocol: a stray print must not reach it.
	program := &program{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv}
	os.Stdout = os.Stderr
	forgetEmptyVariables()
	// When the host exits, our stdout closes; that must not kill paid work.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(program.run(ctx, os.Args[1:]))
}

// forgetEmptyVariables treats a setting without a value as none: desktop hosts
// pass one for every field that their user left blank, as nothing, as their own
// placeholder, or as what their language calls nothing. Who may come in is not
// among those fields: a file of tokens that is not filled in has to be missed.
func forgetEmptyVariables() {
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		blank := value == "null" || value == "undefined" || strings.HasPrefix(value, "${user_config.")
		if strings.HasPrefix(name, "ZAI_") && (value == "" || blank && name != "ZAI_IMAGE_AUTH_TOKENS") {
			_ = os.Unsetenv(name)
		}
	}
}

// program is what commands get from outside.
type program struct {
	ctx context.Context //nolint:containedctx // kong binds values, not arguments
	in  io.Reader
	out *os.File
	err *os.File
	env func(string) string
}

// commands is the command line. Flags of the contract have an environment
// variable each; a flag wins.
type commands struct {
	LogLevel  choice `help:"What is logged to stderr: debug, info, warn, error." enum:"debug,info,warn,error" default:"info" env:"ZAI_IMAGE_LOG_LEVEL"`
	LogFormat choice `help:"Form of the log: text or json." enum:"text,json" default:"text" env:"ZAI_IMAGE_LOG_FORMAT"`

	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`

	Serve    serveCommand    `cmd:"" default:"withargs" help:"Serve MCP (the default command)."`
	Generate generateCommand `cmd:"" help:"Make pictures from the terminal."`
	Images   imagesCommand   `cmd:"" help:"Look after the library."`
	Config   configCommand   `cmd:"" help:"Print the entry for a host's configuration, or put it there."`
	Doctor   doctorCommand   `cmd:"" help:"Look whether key, folder, catalog and hosts are set up. Costs nothing. Exit status 3 when something is not."`
	Health   healthCommand   `cmd:"" help:"Ask the server on this machine whether it serves, for containers and supervisors. Exit status 1 when not."`
	Sandbox  sandboxCommand  `cmd:"" help:"Serve the sandbox API alone, for other programs to try."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

// libraryFlags say where the images are.
type libraryFlags struct {
	Store   filePath `help:"Folder for images (default: the user's pictures folder + zai-images)." env:"ZAI_IMAGE_STORE" placeholder:"FOLDER"`
	Catalog filePath `help:"SQLite file (default: .catalog.db in the folder)." env:"ZAI_IMAGE_CATALOG" placeholder:"FILE"`
}

// upstreamFlags say how images are made.
type upstreamFlags struct {
	Region        choice      `help:"Platform that issued the key: global (api.z.ai) or china (open.bigmodel.cn)." enum:"global,china" default:"global" env:"ZAI_IMAGE_REGION"`
	BaseURL       string      `name:"base-url" help:"Another endpoint with the same API; its own origin is trusted for picture downloads." env:"ZAI_BASE_URL" placeholder:"URL"`
	Sandbox       bool        `help:"Use the built-in sandbox instead of Z.AI: no key, no cost; every result says so." env:"ZAI_IMAGE_SANDBOX"`
	MaxConcurrent concurrency `help:"Requests in flight for the API key; more wait in order. auto = the limits of the models (cogview-4-250304 5, glm-image 1), or one number for each model." default:"auto" env:"ZAI_IMAGE_MAX_CONCURRENT"`
	DailyBudget   dollars     `help:"US dollars per UTC day; 0 = no limit." default:"5" env:"ZAI_IMAGE_DAILY_BUDGET"`
}

// webFlags are those of the transports http and sse.
type webFlags struct {
	Listen       string        `help:"Address for http and sse; port 0 takes a free one, which the log names." default:"127.0.0.1:8787" env:"ZAI_IMAGE_LISTEN"`
	PublicURL    string        `name:"public-url" help:"Base of download links, and a Host and Origin of this server (default: from --listen)." env:"ZAI_IMAGE_PUBLIC_URL" placeholder:"URL"`
	AuthTokens   filePath      `help:"File of name:token lines for http and sse; the name is the owner of the pictures." env:"ZAI_IMAGE_AUTH_TOKENS" placeholder:"FILE"`
	AllowOrigin  []string      `help:"Further browser origin that may use the server; repeatable." env:"ZAI_IMAGE_ALLOW_ORIGIN" placeholder:"ORIGIN"`
	LinkLifetime time.Duration `help:"How long download links are valid." default:"24h" env:"ZAI_IMAGE_LINK_LIFETIME"`
}

type serveCommand struct {
	libraryFlags
	upstreamFlags
	webFlags
	Transport     choice        `help:"stdio; http = Streamable HTTP at /mcp; sse = the same plus HTTP+SSE at /sse and /message." enum:"stdio,http,sse" default:"stdio" env:"ZAI_IMAGE_TRANSPORT"`
	Model         string        `help:"Model used when a call names none." default:"cogview-4-250304" env:"ZAI_IMAGE_MODEL"`
	Inline        choice        `help:"What a result carries of a picture itself: preview, full or none." enum:"preview,full,none" default:"preview" env:"ZAI_IMAGE_INLINE"`
	Structured    choice        `help:"Whether results have structured content: auto (not for hosts that would drop the rest), always or never." enum:"auto,always,never" default:"auto" env:"ZAI_IMAGE_STRUCTURED"`
	StoreShownAs  string        `help:"What the folder is called where the host runs, for a server in a container over stdio; none tells no files." env:"ZAI_IMAGE_STORE_SHOWN_AS" placeholder:"FOLDER"`
	Wait          time.Duration `help:"Longest time a call waits before it hands over an id." default:"45s" env:"ZAI_IMAGE_WAIT"`
	ShutdownGrace time.Duration `help:"Time paid work gets to finish at SIGTERM, a closed terminal (SIGHUP) or end of input." default:"60s" env:"ZAI_IMAGE_SHUTDOWN_GRACE"`
}

// reloadsTokens reports whether SIGHUP means "read the tokens again".
func (c *serveCommand) reloadsTokens() bool {
	return c.Transport != "stdio" && c.AuthTokens != ""
}

// Run serves MCP until the host closes stdin or a signal comes.
func (c *serveCommand) Run(p *program, all *commands) error {
	s := setup{
		library: c.libraryFlags, upstream: c.upstreamFlags, model: c.Model, inline: c.Inline, structured: c.Structured, wait: c.Wait, grace: c.ShutdownGrace,
	}
	if c.Transport != "stdio" {
		return p.serveWeb(all, c.webFlags, c.Transport == "sse", s)
	}
	s.maxMessage, s.reach = limit.StdioMaxAnswer, resources.Locator{Path: c.StoreShownAs != "none", Folder: c.StoreShownAs}
	srv, library, err := p.server(all, s)
	if err != nil {
		return err
	}
	defer library.Close()
	warnOfRelative(p.log(all, false), c.libraryFlags)
	return srv.ServeStdio(p.ctx, p.in, p.out)
}

// serveWeb serves MCP over HTTP.
func (p *program) serveWeb(all *commands, c webFlags, sse bool, s setup) error {
	if c.LinkLifetime <= 0 {
		return &usageError{"--link-lifetime must be positive", seeHelp}
	}
	endpoint, err := web.Listen(p.ctx, web.ListenConfig{
		Listen: c.Listen, PublicURL: c.PublicURL, AuthTokens: string(c.AuthTokens), AllowOrigins: c.AllowOrigin, SSE: sse,
	})
	if setting, ok := errors.AsType[*web.ConfigError](err); ok {
		return &usageError{setting.Error(), setting.Hint}
	}
	if err != nil {
		return err
	}
	links := &resources.Links{Base: endpoint.Base(), Lifetime: c.LinkLifetime}
	s.reach, s.counts = resources.Locator{Links: links}, true
	srv, library, err := p.server(all, s)
	if err != nil {
		return errors.Join(err, endpoint.Listener.Close())
	}
	defer library.Close()
	var hangUp chan os.Signal
	if c.AuthTokens != "" {
		hangUp = make(chan os.Signal, 1)
		signal.Notify(hangUp, syscall.SIGHUP)
		defer signal.Stop(hangUp)
	}
	return web.Serve(p.ctx, web.Config{
		Endpoint: endpoint, App: srv.Server, Links: links, Telemetry: srv.telemetry, Limits: limit.Default(), Grace: s.grace, Reload: hangUp,
		Now: time.Now, Log: p.log(all, false),
	})
}

type generateCommand struct {
	libraryFlags
	upstreamFlags
	Model   string   `help:"Model (default cogview-4-250304)." env:"ZAI_IMAGE_MODEL" placeholder:"NAME"`
	Size    string   `help:"WIDTHxHEIGHT in pixels." placeholder:"SIZE"`
	Quality string   `help:"standard or hd." placeholder:"NAME"`
	N       int      `short:"n" help:"Number of pictures, 1 to 4; each is billed." placeholder:"N"`
	Output  filePath `short:"o" help:"Write a copy of the image to this file; - is standard output." placeholder:"FILE"`
	Prompt  string   `arg:"" help:"What to show."`
}

// Run makes images through the tool that agents use, and prints where they are.
func (c *generateCommand) Run(p *program, all *commands) error {
	output, err := c.output(isTerminal(p.out))
	if err != nil {
		return err
	}
	s, library, err := p.server(all, setup{
		library: c.libraryFlags, upstream: c.upstreamFlags, model: c.Model, inline: "none",
		wait: 15 * time.Minute, grace: time.Minute, quiet: true, reach: resources.Locator{Path: true},
	})
	if err != nil {
		return err
	}
	defer library.Close()
	defer s.Close()
	session, err := s.Client(context.WithoutCancel(p.ctx), mcpserver.Name+"-generate", version)
	if err != nil {
		return err
	}
	defer session.Close()
	if err := s.Recover(p.ctx); err != nil { // the call below says what is wrong with the library
		p.log(all, true).WarnContext(p.ctx, "failed to resume images of earlier processes", "error", err)
	}
	order := terminal.GenerateOptions{Prompt: c.Prompt, Model: c.Model, Size: c.Size, Quality: c.Quality, N: c.N, Output: output}
	// A signal gives up what was not sent yet; what is paid for is waited for and printed.
	defer context.AfterFunc(p.ctx, func() {
		fmt.Fprintln(p.err, "Finishing what is paid for; a second signal ends the program at once.")
		s.Close()
	})()
	return terminal.Generate(context.WithoutCancel(p.ctx), session, order, p.out, p.err, isTerminal(p.err))
}

// output returns where the copy goes, after it looked whether it can be written
// there: afterwards the image is paid for.
func (c *generateCommand) output(toTerminal bool) (string, error) {
	if c.Output == terminal.Stdout {
		switch {
		case c.N > 1:
			return "", &usageError{"-o -: standard output takes one image, not several", "Leave -n out, or name a file."}
		case toTerminal:
			return "", &usageError{"-o -: a terminal cannot show the image's bytes", "Send standard output to a file or a program, or name a file with -o."}
		}
		return terminal.Stdout, nil
	}
	output, err := absolute(c.Output)
	if err == nil && output != "" {
		err = terminal.CheckOutput(output)
	}
	if err != nil {
		return "", &usageError{"-o: " + err.Error(), "Name a file in a folder that is there and can be written to."}
	}
	return output, nil
}

type imagesCommand struct {
	libraryFlags
	Owner string `help:"Whose pictures; over HTTP the name of the token (default: local; spend: everybody's)." placeholder:"NAME"`
	List  struct {
		Query string `help:"Only pictures whose prompt holds this."`
		Limit int    `help:"At most so many; 0 for all." default:"20"`
		JSON  bool   `name:"json" help:"One JSON object a line."`
	} `cmd:"" help:"List pictures, newest first."`
	Show struct {
		ID string `arg:"" help:"Id or zai-image:// URI."`
	} `cmd:"" help:"Print all that is known of a picture, as JSON."`
	Path struct {
		ID string `arg:"" help:"Id or zai-image:// URI."`
	} `cmd:"" help:"Print where the picture's file is."`
	Rm struct {
		ID []string `arg:"" help:"Ids or zai-image:// URIs."`
	} `cmd:"" help:"Delete pictures with their files; what they cost still counts."`
	Spend struct {
		Days int  `help:"How many UTC days back." default:"30"`
		JSON bool `name:"json" help:"As JSON."`
	} `cmd:"" help:"Print what was spent, by day, owner and model."`
	Check struct {
		ReadData bool `help:"Read every file and compare it with what was saved."`
		JSON     bool `name:"json" help:"As JSON."`
	} `cmd:"" help:"Compare catalog and folder. Exit status 3 when something is wrong."`
	Repair struct {
		Region   choice `help:"As for serve." enum:"global,china" default:"global" env:"ZAI_IMAGE_REGION"`
		BaseURL  string `name:"base-url" help:"As for serve." env:"ZAI_BASE_URL" placeholder:"URL"`
		ReadData bool   `help:"Read every file and compare it with what was saved."`
		JSON     bool   `name:"json" help:"As JSON."`
	} `cmd:"" help:"Put damaged files aside, delete leftovers, and fetch again what is paid for. Exit status 3 when something remains."`
	Reindex struct {
		JSON bool `name:"json" help:"As JSON."`
	} `cmd:"" help:"Take files into the catalog that it does not know. Exit status 3 when one of them is no picture."`
}

// Run does what the subcommand says.
func (c *imagesCommand) Run(p *program, all *commands, parsed *kong.Context) error {
	library, err := p.library(c.libraryFlags, p.log(all, false))
	if err != nil {
		return err
	}
	defer library.Close()
	selected := parsed.Selected().Name
	if found, err := c.find(library, selected); err != nil || !found {
		return err
	}
	owner := cmp.Or(c.Owner, auth.LocalOwner)
	images := terminal.Images{Library: library, Owner: owner, Out: p.out}
	care := terminal.Maintenance{Library: library, Out: p.out, Messages: p.err, IsTerminal: isTerminal(p.err), JSON: c.Spend.JSON || c.Check.JSON || c.Repair.JSON || c.Reindex.JSON}
	switch selected {
	case "list":
		return images.List(p.ctx, c.List.Query, c.List.Limit, c.List.JSON)
	case "show":
		return images.Show(p.ctx, c.Show.ID)
	case "path":
		return images.Path(p.ctx, c.Path.ID)
	case "rm":
		return images.Remove(p.ctx, c.Rm.ID)
	case "spend":
		return care.Spend(p.ctx, c.Owner, time.Now().AddDate(0, 0, 1-max(c.Spend.Days, 1)))
	case "check":
		return care.Check(p.ctx, c.Check.ReadData)
	case "repair":
		return c.repair(p, all, care)
	case "reindex":
		return care.Reindex(p.ctx, owner)
	default:
		return &usageError{"images: say what to do, as in images list", seeHelp}
	}
}

// find reports whether there is a library. To look at one makes none: a name
// that is misspelled has to be noticed.
func (c *imagesCommand) find(library *resources.Library, selected string) (bool, error) {
	const hint = "Name the library with --store (ZAI_IMAGE_STORE) and --catalog (ZAI_IMAGE_CATALOG); the first image makes a new one."
	if info, err := os.Stat(library.Folder()); c.Store != "" && (err != nil || !info.IsDir()) {
		return false, &usageError{"--store: there is no folder " + library.Folder(), hint}
	}
	switch {
	case library.Exists() || slices.Contains([]string{"images", "check", "repair", "reindex"}, selected):
		return true, nil // these say by themselves what is missing
	case c.Store != "" || c.Catalog != "":
		return false, fmt.Errorf("there is no catalog for %s; images reindex makes one of the files there", library.Folder())
	case selected == "list" || selected == "spend":
		return false, nil // nothing was made yet
	default:
		return false, resources.ErrNotFound
	}
}

// repair needs the API as well: images are fetched again.
func (c *imagesCommand) repair(p *program, all *commands, care terminal.Maintenance) error {
	log := p.log(all, true)
	region, err := zai.ParseRegion(string(c.Repair.Region))
	if err != nil {
		return err
	}
	client, err := p.client(region, upstreamFlags{BaseURL: c.Repair.BaseURL}, log)
	badKey, isBadKey := errors.AsType[*jobs.KeyError](err)
	if err != nil && !isBadKey {
		return err
	}
	pipeline := jobs.New(jobs.Config{Client: client, Library: care.Library, Process: rand.Text(), Now: time.Now, Log: log})
	defer pipeline.Drain(p.ctx) //nolint:errcheck // nothing is under way but what the user interrupted
	switch {
	case isBadKey:
		fmt.Fprintf(p.err, "%s Without a key nothing is fetched, only the folder is mended.\n", badKey.Problem)
	case client == nil:
		fmt.Fprintln(p.err, "Without ZAI_API_KEY nothing is fetched, only the folder is mended.")
	}
	return care.Repair(p.ctx, pipeline, c.Repair.ReadData)
}

type configCommand struct {
	Client  string   `arg:"" help:"claude-desktop, claude-code, vscode, cursor, codex, gemini or opencode."`
	Write   bool     `help:"Put the entry into the host's file; a copy of the file is kept and nothing else in it changes."`
	Yes     bool     `help:"Replace another entry of the same name without asking."`
	KeyFile filePath `help:"File that holds the key; without it the entry has a place for the key itself." placeholder:"FILE"`
	Sandbox bool     `help:"Start the server with --sandbox."`
}

// Run prints or writes the entry.
func (c *configCommand) Run(p *program) error {
	client, err := hostconfig.Find(c.Client)
	if err != nil {
		return &usageError{"config: " + err.Error(), "Use one of: " + strings.Join(hostconfig.Names(), ", ") + "."}
	}
	machine, err := p.machine()
	if err != nil {
		return err
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	if strings.Contains(binary, "go-build") && filepath.Base(filepath.Dir(binary)) == "exe" {
		return &usageError{"config: with go run the program is a file that is gone afterwards", "Build it with go build, put it where it shall stay, and run that."}
	}
	keyFile, err := absolute(c.KeyFile)
	if err == nil && keyFile != "" {
		_, err = os.Stat(keyFile)
	}
	if err != nil {
		return &usageError{"--key-file: " + err.Error(), "Name a file that holds the key alone."}
	}
	h := terminal.HostConfig{
		Client: client, Machine: machine, Server: hostconfig.Server{Command: binary, KeyFile: keyFile, Sandbox: c.Sandbox}, Now: time.Now, Out: p.out, Ask: p.err,
	}
	if in, ok := p.in.(*os.File); ok && isTerminal(in) {
		h.In = in
	}
	if c.Write {
		return h.Write(p.ctx, c.Yes)
	}
	return h.Print()
}

func (p *program) machine() (hostconfig.Machine, error) {
	home, err := os.UserHomeDir()
	return hostconfig.Machine{OS: runtime.GOOS, Home: home, Env: p.env, Glob: filepath.Glob}, err
}

type doctorCommand struct {
	libraryFlags
	Region  choice `help:"As for serve." enum:"global,china" default:"global" env:"ZAI_IMAGE_REGION"`
	BaseURL string `name:"base-url" help:"As for serve." env:"ZAI_BASE_URL" placeholder:"URL"`
}

// Run looks at everything that can be looked at for nothing.
func (c *doctorCommand) Run(p *program, all *commands) error {
	log := p.log(all, true)
	library, err := p.library(c.libraryFlags, log)
	if err != nil {
		return err
	}
	defer library.Close()
	machine, err := p.machine()
	if err != nil {
		return err
	}
	region, err := zai.ParseRegion(string(c.Region))
	if err != nil {
		return err
	}
	catalog, err := absolute(c.Catalog)
	if err != nil {
		return err
	}
	d := terminal.Doctor{
		Library: library, Catalog: cmp.Or(catalog, filepath.Join(library.Folder(), ".catalog.db")), Machine: machine, Out: p.out,
		Proxy: proxyFor(cmp.Or(c.BaseURL, region.BaseURL())), NetworkFileSystem: resources.NetworkFileSystem,
		Open: func(folder, catalog string) *resources.Library {
			return resources.New(resources.Options{Folder: folder, Catalog: catalog, Now: time.Now, Random: rand.Reader, Log: log})
		},
		Connect: func(key, region, baseURL string) (*zai.Client, error) {
			r, err := zai.ParseRegion(cmp.Or(region, string(zai.Global)))
			if err != nil {
				return nil, err
			}
			options := []zai.Option{zai.WithRegion(r), zai.WithLogger(log), zai.WithUserAgent(mcpserver.Name + "/" + version)}
			if baseURL != "" {
				options = append(options, zai.WithBaseURL(baseURL))
			}
			return zai.NewClient(key, options...)
		},
	}
	d.Client, d.BadKey = p.client(region, upstreamFlags{BaseURL: c.BaseURL}, log)
	if d.BadKey == nil && c.BaseURL == "" {
		d.Other, d.BadKey = p.client(region.Other(), upstreamFlags{}, log)
	}
	return d.Run(p.ctx)
}

type healthCommand struct {
	Transport choice `help:"As for serve; with stdio there is nothing to ask." enum:"stdio,http,sse" default:"stdio" env:"ZAI_IMAGE_TRANSPORT"`
	Listen    string `help:"As for serve." default:"127.0.0.1:8787" env:"ZAI_IMAGE_LISTEN"`
}

// Run fails when the server does not answer.
func (c *healthCommand) Run(p *program) error {
	if c.Transport == "stdio" {
		_, err := fmt.Fprintln(p.out, "stdio: the host talks to it")
		return err
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return &usageError{"--listen: " + err.Error(), seeHelp}
	}
	return terminal.Health(p.ctx, c.Listen, p.out)
}

type sandboxCommand struct {
	Listen string        `help:"Address to serve on; port 0 takes a free one." default:"127.0.0.1:8788"`
	Key    string        `help:"Key that callers must send (default: any)." env:"ZAI_SANDBOX_KEY"`
	Delay  time.Duration `help:"Time a picture takes."`
	JPEG   bool          `name:"jpeg" help:"Serve JPEG files under .png names, as the service was seen to do."`
	Fault  string        `help:"A fault for every request, like no_balance or rate_limited*2."`
	Seed   uint64        `help:"Varies the pictures."`
}

// Run serves until a signal comes.
func (c *sandboxCommand) Run(p *program, all *commands) error {
	return p.serveSandbox(c, p.log(all, false))
}

type versionCommand struct{}

// Run prints the version alone on a line.
func (versionCommand) Run(p *program) error {
	_, err := fmt.Fprintln(p.out, version)
	return err
}

// usageError is a wrong use of the command line: what is wrong, what to do.
type usageError struct{ what, hint string }

func (e *usageError) Error() string { return e.what }

// run is the whole program; it gives the exit status.
func (p *program) run(ctx context.Context, args []string) int {
	p.ctx = ctx
	var c commands
	parser, err := kong.New(&c, kong.Name(mcpserver.Name), kong.Writers(p.out, p.err), kong.Bind(p, &c), kong.Vars{"version": version},
		kong.Description("An MCP server that makes images with Z.AI (CogView-4, GLM-Image) and keeps them."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(p.err, err)
		return 1
	}
	parsed, err := parser.Parse(args)
	if err == nil {
		if parsed.Command() != "serve" || !c.Serve.reloadsTokens() {
			var stop context.CancelFunc
			p.ctx, stop = endOnHangUp(ctx)
			defer stop()
		}
		err = parsed.Run()
	}
	var usage *usageError
	var parse *kong.ParseError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(p.err, "%s: %s\n%s\n", mcpserver.Name, plaintext.Text(usage.what), usage.hint)
		return 2
	case errors.As(err, &parse):
		fmt.Fprintf(p.err, "%s: %s\nSee %s --help.\n", mcpserver.Name, plaintext.Text(parse.Error()), mcpserver.Name)
		return 2
	case errors.Is(err, terminal.ErrProblems):
		return 3
	case !errors.Is(err, terminal.ErrFailed):
		fmt.Fprintf(p.err, "%s: %s\n", mcpserver.Name, plaintext.Text(err.Error()))
	}
	return 1
}

// setup is what the commands that make images have in common.
type setup struct {
	library     libraryFlags
	upstream    upstreamFlags
	model       string
	inline      choice
	structured  choice
	wait, grace time.Duration
	maxMessage  int
	quiet       bool // log warnings only
	counts      bool // for Prometheus
	reach       resources.Locator
}

// mcpServer is the MCP server with the telemetry that it reports to.
type mcpServer struct {
	*mcpserver.Server
	telemetry *telemetry.Telemetry
}

// server puts the program together: library, client, pipeline, MCP server.
func (p *program) server(all *commands, c setup) (*mcpServer, *resources.Library, error) {
	log := p.log(all, c.quiet)
	region, err := zai.ParseRegion(string(c.upstream.Region))
	if err != nil {
		return nil, nil, err
	}
	if c.model == "" {
		c.model = zai.DefaultModel
	}
	if _, err := zai.FindModel(region, c.model); err != nil {
		return nil, nil, usageOf("--model", err)
	}
	if budget := float64(c.upstream.DailyBudget); math.IsNaN(budget) || budget > 1e9 || budget > 0 && budget < 1e-6 {
		return nil, nil, &usageError{"--daily-budget: not an amount of dollars", "Give dollars like 5 or 0.50, or 0 for no limit."}
	}
	if c.upstream.DailyBudget < 0 || c.wait <= 0 || c.grace < 0 {
		return nil, nil, &usageError{"--wait must be positive, --daily-budget and --shutdown-grace not negative", seeHelp}
	}
	library, err := p.library(c.library, log)
	if err != nil {
		return nil, nil, err
	}
	if c.reach.Links != nil {
		c.reach.Links.Library = library
	}
	metrics, err := telemetry.New(p.ctx, telemetry.Config{Version: version, Metrics: c.counts, Traces: p.env("OTEL_EXPORTER_OTLP_ENDPOINT") != ""})
	if err != nil {
		return nil, nil, err
	}
	client, err := p.client(region, c.upstream, log, zai.WithObserver(metrics.Attempt))
	badKey, isBadKey := errors.AsType[*jobs.KeyError](err)
	if err != nil && !isBadKey {
		return nil, nil, err
	}
	p.warnOfProxy(client, c.quiet, log)
	pipeline := jobs.New(jobs.Config{
		Client: client, BadKey: badKey, Library: library, Process: rand.Text(), MaxConcurrent: int(c.upstream.MaxConcurrent), BudgetUSD: float64(c.upstream.DailyBudget),
		Sandbox: c.upstream.Sandbox, Now: time.Now, Log: log, Tracer: metrics.Tracer(),
	})
	s, err := mcpserver.New(mcpserver.Config{
		Version: version, Pipeline: pipeline, Library: library, Telemetry: metrics, Region: region, DefaultModel: c.model, Wait: c.wait,
		Inline: tools.Inline(c.inline), Structured: mcpserver.Structured(c.structured), Sandbox: c.upstream.Sandbox, Grace: c.grace, MaxMessage: c.maxMessage,
		Locator: c.reach, Now: time.Now, Log: log,
	})
	return &mcpServer{s, metrics}, library, err
}

const seeHelp = "See " + mcpserver.Name + " --help."

func usageOf(flag string, err error) error {
	if service, ok := errors.AsType[*zai.Error](err); ok {
		message, hint := service.Explain()
		return &usageError{flag + ": " + message, hint}
	}
	return &usageError{flag + ": " + err.Error(), seeHelp}
}

func (p *program) library(c libraryFlags, log *slog.Logger) (*resources.Library, error) {
	for flag, value := range map[string]filePath{"--store": c.Store, "--catalog": c.Catalog} {
		if strings.Contains(string(value), "://") {
			return nil, &usageError{fmt.Sprintf("%s %s: only local files are supported", flag, value), "Name a folder with --store and a file with --catalog."}
		}
		if value.notFilledIn() {
			return nil, &usageError{fmt.Sprintf("%s %s: nobody has put the variable's value there", flag, value), "Write the path out, or begin it with ~/ for the home folder."}
		}
	}
	folder, err := absolute(c.Store)
	catalog, catalogErr := absolute(c.Catalog)
	if err := errors.Join(err, catalogErr); err != nil {
		return nil, &usageError{"--store: " + err.Error(), "Name an absolute folder."}
	}
	if folder == "" {
		folder = filepath.Join(xdg.UserDirs.Pictures, "zai-images")
	}
	return resources.New(resources.Options{Folder: folder, Catalog: catalog, Now: time.Now, Random: rand.Reader, Log: log}), nil
}

func (p *program) log(all *commands, quiet bool) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(all.LogLevel)) // kong has checked it
	if quiet {
		level = max(level, slog.LevelError)
	}
	key, _, _ := p.key() // what is wrong with it is told by whoever needs it
	return telemetry.NewLogger(p.err, level, all.LogFormat == "json", key, transport.LogAttrs)
}

func (p *program) serveSandbox(c *sandboxCommand, log *slog.Logger) error {
	o := sandbox.Options{Key: c.Key, JPEG: c.JPEG, Fault: c.Fault, Seed: c.Seed, Log: log}
	if c.Delay > 0 {
		o.Delay = func(string, string) time.Duration { return c.Delay }
	}
	base, err := sandbox.Start(p.ctx, c.Listen, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "The sandbox serves at %s\n", base)
	<-p.ctx.Done()
	return nil
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
