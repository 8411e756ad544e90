package tools

import (
	"log/slog"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/project"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// Inline selects the form in which a result contains an image.
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
	DefaultModel string            // one of the region's models
	Wait         time.Duration     // longest time that a call waits for its images
	PreviewWait  time.Duration     // longest time that a result waits for its previews; 5 s if zero
	Inline       Inline            // for callers without their own
	Sandbox      bool              // the pipeline uses the sandbox
	Locator      resources.Locator // how callers access files outside MCP
	Project      *project.Folder   // where save_as writes files; nil without a project
	NoProject    string            // why there is no project and what to do, as a clause; see defaultNoProject
	Now          func() time.Time
	Log          *slog.Logger
}

// tools is the configuration of the tools, with their handlers as methods.
type tools struct{ Config }

// New returns the four tools. It fails if the region does not have the default
// model.
func New(c Config) ([]server.ServerTool, error) {
	model, err := zai.FindModel(c.Region, c.DefaultModel)
	if err != nil {
		return nil, err
	}
	c.DefaultModel = model.ID
	if c.PreviewWait <= 0 {
		c.PreviewWait = defaultPreviewWait
	}
	if c.NoProject == "" {
		c.NoProject = defaultNoProject
	}
	t := &tools{c}
	var list []server.ServerTool
	for _, build := range []func() (server.ServerTool, error){t.generateImage, t.getImage, t.listImages, t.exportImage} {
		tool, err := build()
		if err != nil {
			return nil, err
		}
		list = append(list, tool)
	}
	return list, nil
}
