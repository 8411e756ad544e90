package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"zai-image-mcp/internal/hostconfig"
	"zai-image-mcp/internal/plaintext"
)

type configCommand struct {
	Client  string   `arg:"" help:"claude-desktop, claude-code, vscode, cursor, codex, gemini, opencode, zcode or copilot-cli."`
	Write   bool     `help:"Write the entry to the host's file. Nothing else in the file changes, and a copy of the old file is kept."`
	Yes     bool     `help:"Replace a different entry of the same name without asking."`
	KeyFile filePath `help:"File that contains the key; without it, the entry has a placeholder for the key." placeholder:"FILE"`
	Sandbox bool     `help:"Start the server with --sandbox."`
}

// errDeclined reports that the user did not agree to replace an entry.
var errDeclined = errors.New("nothing was changed")

// Run prints the entry, or writes it to the host's file.
func (c *configCommand) Run(ctx context.Context, p *program) error {
	host, err := hostconfig.Find(c.Client)
	if err != nil {
		return &usageError{"config: " + err.Error(), "Use one of: " + strings.Join(hostconfig.Names(), ", ") + "."}
	}
	machine, err := p.machine()
	if err != nil {
		return err
	}
	server, err := c.server(p)
	if err != nil {
		return err
	}
	if c.Write {
		return c.write(ctx, p, host, host.File(machine), server)
	}
	entry, err := host.Entry(server)
	if err != nil {
		return err
	}
	if file := host.File(machine); host.ProjectFile == "" {
		fmt.Fprintf(p.Stderr, "For %s:\n", file)
	} else {
		fmt.Fprintf(p.Stderr, "For a project's %s (--write changes %s, which applies to all projects):\n", host.ProjectFile, file)
	}
	_, err = io.WriteString(p.Stdout, entry)
	return err
}

// machine returns a description of this machine for package hostconfig. It fails
// if the home folder is unknown.
func (p *program) machine() (hostconfig.Machine, error) {
	if p.Home == "" {
		return hostconfig.Machine{}, errors.New("the home folder is unknown: HOME (on Windows USERPROFILE) is not set")
	}
	return hostconfig.Machine{OS: runtime.GOOS, Home: p.Home, Env: p.Env, Glob: filepath.Glob}, nil
}

// server returns the settings with which a host starts this program. It fails if
// the key file does not exist or the program is one built by go run.
func (c *configCommand) server(p *program) (hostconfig.Server, error) {
	if p.Executable == "" {
		return hostconfig.Server{}, errors.New("the path of this program is unknown")
	}
	if strings.Contains(p.Executable, "go-build") && filepath.Base(filepath.Dir(p.Executable)) == "exe" {
		return hostconfig.Server{}, &usageError{
			"config: go run builds a temporary binary that is deleted on exit",
			"Build it with go build, install it where it will stay, and run that.",
		}
	}
	keyFile, err := c.KeyFile.absolute()
	if err == nil && keyFile != "" {
		_, err = os.Stat(keyFile)
	}
	if err != nil {
		return hostconfig.Server{}, &usageError{"--key-file: " + err.Error(), "Name a file that contains only the key."}
	}
	return hostconfig.Server{Command: p.Executable, KeyFile: keyFile, Sandbox: c.Sandbox}, nil
}

// write merges the entry into the host's file and keeps a copy of the old file.
// It asks the user before it changes an existing entry.
func (c *configCommand) write(ctx context.Context, p *program, host hostconfig.Host, file string, server hostconfig.Server) error {
	path, err := followLink(file)
	if err != nil {
		return err
	}
	before, err := readIfExists(path)
	if err != nil {
		return err
	}
	merged, err := host.Merge(before, server)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if !merged.Changed {
		fmt.Fprintf(p.Stdout, "%s already has this entry.\n", path)
		return p.printAdvice(host, merged.Text)
	}
	if merged.Replaces && !c.Yes && !p.confirm(ctx, path, merged.Changes) {
		return errDeclined
	}
	if before != nil {
		copied, err := backUp(path, before, time.Now())
		if err != nil {
			return err
		}
		fmt.Fprintf(p.Stdout, "Copy of the old file: %s\n", copied)
	}
	// The host may have written its file while the user was answering.
	if now, err := readIfExists(path); err != nil || !bytes.Equal(now, before) {
		return errors.Join(err, fmt.Errorf("%s has changed since it was read; close the host and try again", path))
	}
	if err := replaceFile(path, merged.Text, newFileMode); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(p.Stdout, "Written: %s\n", path); err != nil {
		return err
	}
	return p.printAdvice(host, merged.Text)
}

// printAdvice prints what the user still has to do in the host's file.
func (p *program) printAdvice(host hostconfig.Host, config []byte) error {
	state, err := host.Inspect(config)
	if err != nil {
		return nil //nolint:nilerr // the file is written, and Merge has parsed it
	}
	if state.Off {
		fmt.Fprintln(p.Stdout, "The entry is still switched off; switch it on in the host.")
	}
	project := state.Setting(projectFlag, projectVariable)
	if host.ProjectFile != "" && (project == "" || strings.Contains(project, hostconfig.Workspace)) {
		fmt.Fprintf(p.Stdout, "To let save_as write into the folder that is open, put the entry that zai-image-mcp config %s prints into %s.\n", host.Name, host.ProjectFile)
	}
	if state.NoKey {
		_, err = fmt.Fprintf(p.Stdout, "Put your key in place of %q in that file, and restart the host.\n", hostconfig.Placeholder)
	}
	return err
}

// confirm asks the user whether to replace an entry. It returns false if standard
// input is not a terminal or ctx ends first. The goroutine that reads the answer
// may then never return, because a blocked read from a terminal cannot be
// interrupted.
func (p *program) confirm(ctx context.Context, path string, changes []string) bool {
	fmt.Fprintf(p.Stderr, "%s has a different entry %q. These fields would change: %s.\nReplace it? [y/N] ",
		path, hostconfig.ServerName, plaintext.Line(strings.Join(changes, ", "), 0))
	if !isTerminal(p.Stdin) {
		fmt.Fprintln(p.Stderr, "\nStandard input is not a terminal; use --yes to replace it.")
		return false
	}
	answers := make(chan bool, 1)
	go func() {
		answer, err := bufio.NewReader(p.Stdin).ReadString('\n')
		answers <- (err == nil || errors.Is(err, io.EOF)) && strings.EqualFold(strings.TrimSpace(answer), "y")
	}()
	select {
	case yes := <-answers:
		return yes
	case <-ctx.Done():
		fmt.Fprintln(p.Stderr)
		return false
	}
}
