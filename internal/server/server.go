// Package server is the MCP server: it puts tools and library together, and
// carries messages between them and the hosts.
package server

import (
	"context"
	_ "embed" // instructions.md
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
	"zai-image-mcp/zai"
)

//go:embed instructions.md
var instructions string

// Name is how the server introduces itself.
const Name = "zai-image-mcp"

// LocalOwner owns all pictures where callers are not told apart.
const LocalOwner = "local"

// Config is what a Server needs.
type Config struct {
	Version      string
	Jobs         jobs.Config // Saved is set by New
	Region       zai.Region
	DefaultModel string
	Wait         time.Duration // longest time a call waits for a picture
	Inline       tools.Inline
	Grace        time.Duration // for paid work when the program ends
	MaxMessage   int           // bytes; 0 for no limit
}

// StdioMaxMessage is the largest message for stdio: the official TypeScript
// client closes the connection over a line of 10 MiB.
const StdioMaxMessage = 9 << 20

// Server is one MCP server over one library.
type Server struct {
	mcp      *server.MCPServer
	pipeline *jobs.Pipeline
	grace    time.Duration
	log      *slog.Logger
	sessions sync.Map // session id -> server.SessionWithResourceSubscriptions
}

// New puts a server together. It opens neither files nor connections.
func New(c Config) (*Server, error) {
	s := &Server{grace: c.Grace, log: c.Jobs.Log}
	c.Jobs.Saved = s.saved
	s.pipeline = jobs.New(c.Jobs)
	owner := func(context.Context) string { return LocalOwner }
	list, err := tools.New(tools.Config{
		Pipeline: s.pipeline, Library: c.Jobs.Library, Region: c.Region, DefaultModel: c.DefaultModel, Wait: c.Wait,
		Inline: c.Inline, Sandbox: c.Jobs.Sandbox, ShowPath: true, Owner: owner, Now: c.Jobs.Now, Log: c.Jobs.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("tools: %w", err)
	}
	models, err := tools.ModelsDocument(c.Region, c.DefaultModel)
	if err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	library := &resources.MCP{Library: c.Jobs.Library, Owner: owner, Models: models, MaxMessage: c.MaxMessage, ShowPath: true}
	hooks := &server.Hooks{}
	s.mcp = server.NewMCPServer(Name, c.Version,
		server.WithTitle("Z.AI images"),
		server.WithInstructions(instructions),
		server.WithToolCapabilities(false),
		server.WithResourceCapabilities(true, true),
		server.WithCompletions(),
		server.WithResourceCompletionProvider(library),
		server.WithHooks(hooks),
		server.WithToolHandlerMiddleware(s.suitHost),
		server.WithToolHandlerMiddleware(s.recoverTool),
		server.WithResourceHandlerMiddleware(s.recoverResource),
	)
	library.Register(s.mcp, hooks)
	hooks.AddAfterListTools(suitToolList)
	hooks.AddOnRegisterSession(s.remember)
	hooks.AddOnUnregisterSession(func(_ context.Context, session server.ClientSession) { s.sessions.Delete(session.SessionID()) })
	s.mcp.AddTools(list...)
	return s, nil
}

func (s *Server) remember(_ context.Context, session server.ClientSession) {
	if subscriber, ok := session.(server.SessionWithResourceSubscriptions); ok {
		s.sessions.Store(session.SessionID(), subscriber)
	}
}

// saved tells clients of a new picture.
func (s *Server) saved(i resources.Image) {
	s.mcp.SendNotificationToAllClients(mcp.MethodNotificationResourcesListChanged, nil)
	s.sessions.Range(func(id, value any) bool {
		subscriber, ok := value.(server.SessionWithResourceSubscriptions)
		if !ok {
			return true
		}
		for _, view := range []resources.View{resources.Original, resources.Preview, resources.Metadata} {
			uri := resources.URI(i.ID, view)
			if !subscriber.IsSubscribedToResource(uri) {
				continue
			}
			if err := s.mcp.SendNotificationToSpecificClient(subscriber.SessionID(), mcp.MethodNotificationResourceUpdated, map[string]any{"uri": uri}); err != nil {
				s.log.Warn("subscriber not told", "session", id, "uri", uri, "error", err)
			}
		}
		return true
	})
}

// Client opens a session inside the process and introduces itself by name.
func (s *Server) Client(ctx context.Context, name, version string) (*client.Client, error) {
	c, err := client.NewInProcessClient(s.mcp)
	if err != nil {
		return nil, err
	}
	if err := c.Start(ctx); err != nil {
		return nil, err
	}
	request := mcp.InitializeRequest{}
	request.Params.ProtocolVersion = mcp.LATEST_LEGACY_PROTOCOL_VERSION
	request.Params.ClientInfo = mcp.Implementation{Name: name, Version: version}
	if _, err := c.Initialize(ctx, request); err != nil {
		return nil, err
	}
	return c, nil
}

// Close takes no new work and lets paid work end within the grace.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), s.grace)
	defer cancel()
	s.drain(ctx)
}

func (s *Server) drain(ctx context.Context) {
	if err := s.pipeline.Drain(ctx); err != nil {
		s.log.Error("the program ended before paid work did", "error", err)
	}
}
