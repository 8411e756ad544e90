package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/zai"
)

const (
	programName = "zai-image-mcp"
	version     = "0.1.0"
	seeHelp     = "See " + programName + " --help."
)

// Process holds what the program gets from the operating system. A stream is
// recognized as a terminal only if it is an *os.File.
type Process struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Env            func(name string) string // "" for a variable that is not set

	Home       string // the user's home folder, "" if unknown
	Dir        string // the working directory, "" if unknown
	Pictures   string // the user's Pictures folder
	Executable string // path of this program, "" if unknown

	// NewClient returns a client of the API. If it is nil, zai.NewClient is used.
	NewClient func(key string, options ...zai.Option) (*zai.Client, error)
	// NetworkFileSystem reports whether a folder is on a network file system,
	// and the name of that file system. If it is nil,
	// sqlite.NetworkFileSystem is used.
	NetworkFileSystem func(folder string) (name string, network bool)
}

// commands is the command line. Each flag of serve has an environment variable;
// a flag overrides its variable.
type commands struct {
	defaultCommand

	Generate generateCommand `cmd:"" help:"Generate images from the terminal."`
	Export   exportCommand   `cmd:"" help:"Make a file from an image of the library: another size, format or background, or a set of icons. Free."`
	Images   imagesCommand   `cmd:"" help:"Manage the image library."`
	Gallery  galleryCommand  `cmd:"" help:"Show the images in the browser, on this machine only."`
	Config   configCommand   `cmd:"" help:"Print the entry for a host's configuration, or write it to the host's file."`
	Doctor   doctorCommand   `cmd:"" help:"Check the key, folder, catalog and host configuration. Free. Exits 3 if a check fails."`
	Health   healthCommand   `cmd:"" help:"Check that the server on this machine responds, for containers and supervisors. Exits 1 if it does not."`
	Sandbox  sandboxCommand  `cmd:"" help:"Serve only the sandbox API, for other programs."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

// defaultCommand is the part of the command line that can be used without naming a
// command.
type defaultCommand struct {
	logFlags

	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`

	Serve serveCommand `cmd:"" default:"withargs" help:"Serve MCP (the default command)."`
}

// program is one run: the process, with blank settings removed from its
// environment, and the flags that all commands share.
type program struct {
	Process
	flags   *logFlags
	cleanup []func() // called when the command has returned
}

// usageError reports wrong usage of the command line.
type usageError struct {
	problem string
	hint    string // what to do
}

func (e *usageError) Error() string { return e.problem }

var (
	// errProblems reports that a check failed; the command has printed why.
	errProblems = errors.New("problems found")
	// errFailed reports that a command failed and has printed why.
	errFailed = errors.New("failed")
)

// Run runs the program and returns its exit status: 0 for success, 1 for a
// failure, 2 for wrong usage, 3 if a check found problems. Once ctx ends,
// commands finish paid work and return.
func Run(ctx context.Context, process Process, args []string) int {
	process.Env = withoutBlanks(process.Env)
	var c commands
	p := &program{Process: process, flags: &c.logFlags}
	shown := false // the help or the version was printed
	var model any = &c
	if len(args) == 0 { // as hosts start the server: the other commands would only delay it
		model = &c.defaultCommand
	}
	parser, err := newParser(model, p.Env, kong.Name(programName), kong.Writers(p.Stdout, p.Stderr), kong.Bind(p), kong.Vars{"version": version},
		kong.Description("An MCP server that generates images with Z.AI (CogView-4, GLM-Image) and keeps them."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Exit(func(int) { shown = true }),
		kong.TypeMapper(reflect.TypeFor[filePath](), pathMapper(p.Home)))
	if err != nil {
		fmt.Fprintln(p.Stderr, err)
		return 1
	}
	parsed, err := parser.Parse(args)
	if shown {
		return 0
	}
	if err == nil {
		if parsed.Command() != "serve" || !c.Serve.reloads() {
			var stop context.CancelFunc
			ctx, stop = endOnHangUp(ctx)
			defer stop()
		}
		parsed.BindTo(ctx, (*context.Context)(nil))
		err = parsed.Run()
	}
	for _, clean := range p.cleanup {
		clean()
	}
	return p.exitStatus(err)
}

// exitStatus prints an error, unless the command has printed it, and returns the
// exit status for it.
func (p *program) exitStatus(err error) int {
	var usage *usageError
	var parse *kong.ParseError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(p.Stderr, "%s: %s\n%s\n", programName, plaintext.Text(usage.problem), usage.hint)
		return 2
	case errors.As(err, &parse):
		fmt.Fprintf(p.Stderr, "%s: %s\n%s\n", programName, plaintext.Text(parse.Error()), helpFor(parse.Context))
		return 2
	case errors.Is(err, errProblems):
		return 3
	case !errors.Is(err, errFailed):
		fmt.Fprintf(p.Stderr, "%s: %s\n", programName, plaintext.Text(withHint(err, "\n").Error()))
	}
	return 1
}

// helpFor returns a hint that refers to the help of the selected command. For the
// default command it refers to the help of the program.
func helpFor(parsed *kong.Context) string {
	if parsed == nil {
		return seeHelp
	}
	command := parsed.Selected()
	if command == nil || command == parsed.Model.DefaultCmd {
		return seeHelp
	}
	return "See " + command.FullPath() + " --help."
}

// isTerminal reports whether a stream of the process is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
