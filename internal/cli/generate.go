package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/internal/terminal"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/label"
	"zai-image-mcp/tools"
)

type generateCommand struct {
	libraryFlags
	upstreamFlags
	showFlags
	Model   string   `help:"Model (default cogview-4-250304)." env:"ZAI_IMAGE_MODEL" placeholder:"NAME"`
	Size    string   `help:"WIDTHxHEIGHT in pixels." placeholder:"SIZE"`
	Quality string   `help:"standard or hd." placeholder:"NAME"`
	N       int      `short:"n" help:"Number of images, 1 to 4; each is billed." placeholder:"N"`
	Output  filePath `short:"o" help:"Write a copy of the image to this file; - is standard output." placeholder:"FILE"`
	Prompt  string   `arg:"" help:"Description of the image."`
}

// toStdout is the value of -o for standard output.
const toStdout = "-"

// Run generates images with the tool that agents use. It prints the path and the
// URI of each image on a line of their own, and progress to stderr.
func (c *generateCommand) Run(ctx context.Context, p *program) error {
	output, err := c.output(isTerminal(p.Stdout))
	if err != nil {
		return err
	}
	settings := serverSettings{
		upstream: c.upstreamFlags, model: c.Model, inline: tools.InlineNone,
		wait: 15 * time.Minute, grace: time.Minute, atTerminal: true, locator: resources.Locator{Path: true},
	}
	if err := settings.check(); err != nil {
		return err
	}
	log := p.errorLog()
	library, err := p.library(c.libraryFlags, label.Policy{}, log)
	if err != nil {
		return err
	}
	defer library.Close()
	server, err := p.newServer(ctx, settings, library, log)
	if err != nil {
		return err
	}
	defer server.Close()
	session, err := server.Client(context.WithoutCancel(ctx), programName+"-generate", version)
	if err != nil {
		return err
	}
	defer session.Close()
	if err := server.Recover(ctx); err != nil { // the call below reports what is wrong with the library
		log.WarnContext(ctx, "failed to resume images of earlier processes", "error", err)
	}
	// After a signal, requests that are not sent yet are cancelled. The command
	// waits for images that are paid for, and prints them.
	defer context.AfterFunc(ctx, func() {
		fmt.Fprintln(p.Stderr, "Finishing images that are paid for; a second signal ends the program at once.")
		server.Close()
	})()
	result, err := c.call(context.WithoutCancel(ctx), session, newCallProgress(p.Stderr))
	if err != nil {
		return err
	}
	return p.printImages(context.WithoutCancel(ctx), library, result, output, c.protocol(p))
}

// output returns the absolute path for the copy, toStdout, or "" for no copy. It
// fails if the copy could not be written, so that the user learns of it before
// an image is paid for.
func (c *generateCommand) output(stdoutIsTerminal bool) (string, error) {
	if c.Output == toStdout {
		switch {
		case c.N > 1:
			return "", &usageError{"-o -: only one image can be written to standard output, not several", "Leave -n out, or name a file."}
		case stdoutIsTerminal:
			return "", outputToTerminal()
		}
		return toStdout, nil
	}
	output, err := c.Output.absolute()
	if err == nil && output != "" {
		err = checkWritable(output)
	}
	if err != nil {
		return "", &usageError{"-o: " + err.Error(), "Name a file in an existing folder that can be written to."}
	}
	return output, nil
}

// call calls generate_image over a session.
func (c *generateCommand) call(ctx context.Context, session *client.Client, progress *callProgress) (*mcp.CallToolResult, error) {
	request := mcp.CallToolRequest{}
	request.Params.Name = "generate_image"
	request.Params.Arguments = c.arguments()
	request.Params.Meta = &mcp.Meta{ProgressToken: "terminal"}
	session.OnNotification(progress.handle)
	defer progress.end()
	return session.CallTool(ctx, request)
}

func (c *generateCommand) arguments() map[string]any {
	arguments := map[string]any{"prompt": c.Prompt}
	for name, value := range map[string]string{"model": c.Model, "size": c.Size, "quality": c.Quality} {
		if value != "" {
			arguments[name] = value
		}
	}
	if c.N != 0 {
		arguments["n"] = c.N
	}
	return arguments
}

// printImages prints a result, writes the copies and draws the images. Unless every image was saved
// and copied, it prints the reason and returns errFailed.
func (p *program) printImages(ctx context.Context, library *resources.Library, result *mcp.CallToolResult, output string, protocol terminal.Protocol) error {
	text := firstText(result)
	if result.IsError {
		fmt.Fprintln(p.Stderr, text)
		return errFailed
	}
	images, err := structuredImages(result)
	if err != nil {
		return err
	}
	failed := false
	for i, image := range images {
		if image.Status != resources.StatusSaved {
			failed = true
			continue
		}
		saved, err := library.Image(ctx, localOwner, image.ID)
		if err != nil {
			return err
		}
		path, lines := location(library, saved), p.Stdout
		switch output {
		case "":
		case toStdout:
			lines = p.Stderr
			err = writeFile(ctx, p.Stdout, library, saved)
		default:
			path = numbered(output, i, len(images))
			err = copyFile(ctx, path, library, saved)
		}
		if err != nil {
			fmt.Fprintf(p.Stderr, "failed to write the copy for -o: %v\n", err)
			path, failed = location(library, saved), true
		}
		fmt.Fprintf(lines, "%s\n%s\n", path, image.URI)
		p.draw(ctx, protocol, library, saved)
	}
	summary, rest, _ := strings.Cut(text, "\n")
	fmt.Fprintln(p.Stderr, summary)
	if failed {
		fmt.Fprintln(p.Stderr, rest)
		return errFailed
	}
	return nil
}

// firstText returns the first text of a result, escaped for printing.
func firstText(result *mcp.CallToolResult) string {
	for _, content := range result.Content {
		if text, ok := content.(mcp.TextContent); ok {
			return plaintext.Text(text.Text)
		}
	}
	return ""
}

func structuredImages(result *mcp.CallToolResult) ([]resources.Entry, error) {
	var structured struct {
		Images []resources.Entry `json:"images"`
	}
	raw, err := json.Marshal(result.StructuredContent)
	if err == nil {
		err = json.Unmarshal(raw, &structured)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to read the tool's result: %w", err)
	}
	return structured.Images, nil
}

// numbered returns the path of the i-th copy (from 0) of count: kitten.png,
// kitten-2.png.
func numbered(path string, i, count int) string {
	if count == 1 || i == 0 {
		return path
	}
	extension := filepath.Ext(path)
	return fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, extension), i+1, extension)
}
