// Package tools holds the MCP tools: what agents can ask for, in which words
// they are told about it, and in which form they get it.
package tools

import (
	"context"
	"log/slog"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// Inline says what a result carries of an image itself.
type Inline string

// The choices for Inline.
const (
	InlinePreview Inline = "preview"
	InlineFull    Inline = "full"
	InlineNone    Inline = "none"
)

// Config is what the tools need.
type Config struct {
	Pipeline      *jobs.Pipeline
	Library       *resources.Library
	Region        zai.Region
	DefaultModel  string // one of the region's
	Wait          time.Duration
	PreviewWait   time.Duration // how long a result waits for what it shows of its images; 5 s when zero
	Inline        Inline
	InlineFor     func(context.Context) Inline // what a caller wants instead, "" for nothing else; may be nil
	Sandbox       bool
	Reach         resources.Locator
	Owner         func(context.Context) string            // whose images a call makes and sees
	Client        func(context.Context) string            // who takes turns with others when calls have to wait
	BeginDelivery func(ctx context.Context, ids []string) // told of the images in a result that is about to be given
	StopWaiting   <-chan struct{}                         // closed when calls shall not wait any longer; may be nil
	Now           func() time.Time
	Log           *slog.Logger
}

type tools struct{ Config }

// New makes the three tools.
func New(c Config) ([]server.ServerTool, error) {
	t := &tools{c}
	model, err := zai.FindModel(c.Region, c.DefaultModel)
	if err != nil {
		return nil, err
	}
	t.DefaultModel = model.ID
	if t.PreviewWait <= 0 {
		t.PreviewWait = previewWait
	}
	var list []server.ServerTool
	for _, build := range []func() (server.ServerTool, error){t.generateImage, t.getImage, t.listImages} {
		tool, err := build()
		if err != nil {
			return nil, err
		}
		list = append(list, tool)
	}
	return list, nil
}
