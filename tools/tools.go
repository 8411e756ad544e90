package tools

import (
	"log/slog"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// Inline selects what a result carries of an image itself.
type Inline string

// The values of Inline.
const (
	InlinePreview Inline = "preview"
	InlineFull    Inline = "full"
	InlineNone    Inline = "none"
)

// Config configures the tools.
type Config struct {
	Pipeline     *jobs.Pipeline
	Library      *resources.Library
	Region       zai.Region
	DefaultModel string        // one of the region's models
	Wait         time.Duration // longest time a call waits for an image
	PreviewWait  time.Duration // longest time a result waits for its previews; 5 s if zero
	Inline       Inline        // for callers that choose nothing else
	Sandbox      bool
	Locator      resources.Locator // how callers reach files outside MCP
	Now          func() time.Time
	Log          *slog.Logger
}

// tools has the handlers as methods.
type tools struct{ Config }

// New returns the three tools.
func New(c Config) ([]server.ServerTool, error) {
	model, err := zai.FindModel(c.Region, c.DefaultModel)
	if err != nil {
		return nil, err
	}
	c.DefaultModel = model.ID
	if c.PreviewWait <= 0 {
		c.PreviewWait = defaultPreviewWait
	}
	t := &tools{c}
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
