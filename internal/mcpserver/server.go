package mcpserver

import (
	"context"
	_ "embed" // instructions.md
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/project"
	"zai-image-mcp/internal/telemetry"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
	"zai-image-mcp/tools/prompts"
	"zai-image-mcp/tools/viewer"
	"zai-image-mcp/zai"
)

//go:embed instructions.md
var instructions string

// Name identifies the server to clients.
const Name = "zai-image-mcp"

const title = "Z.AI images"

// Config configures a Server.
type Config struct {
	Version      string
	Pipeline     *jobs.Pipeline
	Library      *resources.Library
	Telemetry    *telemetry.Telemetry
	Region       zai.Region
	DefaultModel string
	Wait         time.Duration // longest time a call waits for an image
	Inline       tools.Inline
	Structured   Structured        // StructuredAuto if empty
	Sandbox      bool              // images are made by the sandbox
	Grace        time.Duration     // time for paid work at the end
	MaxMessage   int               // bytes of the largest message to a client; 0 for no limit
	Locator      resources.Locator // how clients reach files outside MCP
	Project      *project.Folder   // where save_as writes; nil without a project
	NoProject    string            // why there is no project and what to do, as a clause
	Now          func() time.Time
	Log          *slog.Logger
}

// Server is one MCP server over one library. It is a transport.Handler.
type Server struct {
	mcp        *server.MCPServer
	about      mcp.Implementation
	pipeline   *jobs.Pipeline
	library    *resources.Library
	resources  resourceServer
	prompts    map[string]server.PromptHandlerFunc
	completion server.PromptCompletionProvider
	telemetry  *telemetry.Telemetry
	grace      time.Duration
	structured Structured
	hasProject bool
	viewed     []string // names of the tools whose results the viewer shows
	log        *slog.Logger
	calls      *limit.Quota // tool calls in flight

	mu       sync.Mutex
	sessions map[string]subscriber
}

// resourceServer answers requests for resources; *resources.MCP is one.
type resourceServer interface {
	ListPage(ctx context.Context, owner, cursor string) (mcp.ListResourcesResult, error)
	Read(ctx context.Context, owner, uri string) ([]mcp.ResourceContents, error)
	Complete(ctx context.Context, owner, uri string, argument mcp.CompleteArgument) (mcp.Completion, error)
}

// New returns a Server and subscribes it to the pipeline.
func New(c Config) (*Server, error) {
	list, err := tools.New(tools.Config{
		Pipeline: c.Pipeline, Library: c.Library, Region: c.Region, DefaultModel: c.DefaultModel, Wait: c.Wait,
		Inline: c.Inline, Sandbox: c.Sandbox, Locator: c.Locator, Project: c.Project, NoProject: c.NoProject, Now: c.Now, Log: c.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("tools: %w", err)
	}
	models, err := tools.ModelsDocument(c.Region, c.DefaultModel)
	if err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	if err := c.Telemetry.Gauge("zai_image_queue_length", "Images that wait for a slot.", c.Pipeline.Waiting); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	library := &resources.MCP{Library: c.Library, Models: models, MaxMessage: c.MaxMessage, Locator: c.Locator}
	s := &Server{
		about:    mcp.Implementation{Name: Name, Version: c.Version, Title: title},
		pipeline: c.Pipeline, library: c.Library, resources: library, telemetry: c.Telemetry,
		prompts: map[string]server.PromptHandlerFunc{}, completion: prompts.Completion{Region: c.Region, Model: c.DefaultModel},
		grace: c.Grace, structured: c.Structured, hasProject: c.Project != nil, log: c.Log,
		calls: limit.NewQuota(limit.MaxCalls, limit.MaxClientCalls), sessions: map[string]subscriber{},
	}
	s.mcp = s.newMCP()
	s.mcp.AddTools(list...)
	for _, tool := range list {
		s.viewed = append(s.viewed, tool.Tool.Name)
	}
	for _, template := range library.Templates() {
		s.mcp.AddResourceTemplate(template, readByDispatch)
	}
	for _, p := range prompts.All(c.Region, c.DefaultModel) {
		s.mcp.AddPrompt(p.Prompt, p.Handler)
		s.prompts[p.Prompt.Name] = p.Handler
	}
	c.Pipeline.Subscribe(s.imageDone)
	return s, nil
}

// newMCP returns mcp-go's server with our capabilities and middleware.
func (s *Server) newMCP() *server.MCPServer {
	return server.NewMCPServer(s.about.Name, s.about.Version,
		server.WithTitle(s.about.Title),
		server.WithInstructions(instructions),
		server.WithToolCapabilities(false),
		server.WithResourceCapabilities(true, true),
		server.WithPromptCapabilities(false),
		server.WithCompletions(),
		server.WithExtensions(map[string]any{viewer.Extension: map[string]any{}}),
		server.WithHooks(s.viewerHooks()),
		// Lists depend on host and owner, so they must not be shared.
		server.WithMethodCacheHints(mcp.MethodToolsList, listsTTL, mcp.CacheScopePrivate),
		server.WithMethodCacheHints(mcp.MethodPromptsList, listsTTL, mcp.CacheScopePrivate),
		server.WithMethodCacheHints(mcp.MethodResourcesTemplatesList, listsTTL, mcp.CacheScopePrivate),
		server.WithToolHandlerMiddleware(restoreProgressToken),
		server.WithToolHandlerMiddleware(s.adaptResult),
		server.WithToolHandlerMiddleware(s.observe),
		server.WithToolHandlerMiddleware(s.recoverTool),
		server.WithToolHandlerMiddleware(s.limitCalls),
	)
}

// Client opens a session in the same process under a client's name.
func (s *Server) Client(ctx context.Context, name, version string) (*client.Client, error) {
	c := client.NewClient(transport.NewInProcess(s, s.log))
	if err := c.Start(ctx); err != nil {
		return nil, err
	}
	request := mcp.InitializeRequest{}
	request.Params.ProtocolVersion = mcp.LATEST_LEGACY_PROTOCOL_VERSION
	request.Params.ClientInfo = mcp.Implementation{Name: name, Version: version}
	if _, err := c.Initialize(ctx, request); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
