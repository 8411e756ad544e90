// Package terminal is what the program does for a person at a terminal:
// making images and looking after the library.
package terminal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/schollz/progressbar/v3"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
)

// Order is what a person asks for.
type GenerateOptions struct {
	Prompt, Model, Size, Quality string
	N                            int
	Output                       string // file for a copy, or Stdout; several images get numbers
}

// Stdout as the output stands for standard output.
const Stdout = "-"

// ErrFailed says that an image was not made; the reason is already told.
var ErrFailed = errors.New("failed")

// Generate makes images through the real tool over an MCP session and prints
// path and URI of each on its own line to out. Progress goes to messages: as a
// bar when it is a terminal, as lines otherwise.
func Generate(ctx context.Context, session *client.Client, order GenerateOptions, out, messages io.Writer, isTerminal bool) error {
	request := mcp.CallToolRequest{}
	request.Params.Name = "generate_image"
	request.Params.Arguments = order.arguments()
	request.Params.Meta = &mcp.Meta{ProgressToken: "terminal"}
	show := newProgress(messages, isTerminal)
	session.OnNotification(show.notified)
	result, err := session.CallTool(ctx, request)
	show.end()
	if err != nil {
		return err
	}
	return order.print(result, out, messages)
}

func (o GenerateOptions) arguments() map[string]any {
	arguments := map[string]any{"prompt": o.Prompt}
	for name, value := range map[string]string{"model": o.Model, "size": o.Size, "quality": o.Quality} {
		if value != "" {
			arguments[name] = value
		}
	}
	if o.N != 0 {
		arguments["n"] = o.N
	}
	return arguments
}

func (o GenerateOptions) print(result *mcp.CallToolResult, out, messages io.Writer) error {
	text := ""
	for _, content := range result.Content {
		if t, ok := content.(mcp.TextContent); ok {
			text = plaintext.Text(t.Text)
			break
		}
	}
	if result.IsError {
		fmt.Fprintln(messages, text)
		return ErrFailed
	}
	var structured struct {
		Images []resources.Entry `json:"images"`
	}
	raw, err := json.Marshal(result.StructuredContent)
	if err == nil {
		err = json.Unmarshal(raw, &structured)
	}
	if err != nil {
		return fmt.Errorf("the tool's result: %w", err)
	}
	failed := false
	for i, image := range structured.Images {
		if image.Status != resources.StatusSaved {
			failed = true
			continue
		}
		path, lines := image.Path, out
		switch o.Output {
		case "":
		case Stdout:
			lines = messages
			err = writeFile(out, image.Path)
		default:
			path = numbered(o.Output, i, len(structured.Images))
			err = copyFile(path, image.Path)
		}
		if err != nil {
			fmt.Fprintf(messages, "copy for -o: %v\n", err)
			path, failed, err = image.Path, true, nil
		}
		fmt.Fprintf(lines, "%s\n%s\n", path, image.URI)
	}
	summary, rest, _ := strings.Cut(text, "\n")
	fmt.Fprintln(messages, summary)
	if failed {
		fmt.Fprintln(messages, rest)
		return ErrFailed
	}
	return nil
}

// numbered gives each of several copies its own name: kitten.png, kitten-2.png.
func numbered(path string, i, of int) string {
	if of == 1 || i == 0 {
		return path
	}
	extension := filepath.Ext(path)
	return fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, extension), i+1, extension)
}

// progress shows progress notifications.
type progress struct {
	out io.Writer
	bar *progressbar.ProgressBar // nil when out is no terminal
}

func newProgress(out io.Writer, isTerminal bool) *progress {
	p := &progress{out: out}
	if isTerminal {
		p.bar = progressbar.NewOptions(100, progressbar.OptionSetWriter(out), progressbar.OptionSetWidth(24),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(false), progressbar.OptionSetDescription("queued"))
	}
	return p
}

func (p *progress) notified(n mcp.JSONRPCNotification) {
	if n.Method != string(mcp.MethodNotificationProgress) {
		return
	}
	message, _ := n.Params.AdditionalFields["message"].(string)
	message = plaintext.Line(message, 0)
	if p.bar == nil {
		fmt.Fprintln(p.out, message)
		return
	}
	done, _ := n.Params.AdditionalFields["progress"].(float64)
	total, _ := n.Params.AdditionalFields["total"].(float64)
	p.bar.Describe(message)
	_ = p.bar.Set(int(100 * done / max(total, 1)))
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
