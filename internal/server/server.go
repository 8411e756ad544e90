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
	"zai-image-mcp/tools/prompts"
	"zai-image-mcp/zai"
)

//go:embed instructions.md
var instructions string

// Name is how the server introduces itself.
const Name = "zai-image-mcp"

// Config is what a Server needs.
type Config struct {
	Version      string
	Jobs         jobs.Config // Tracer is set by New
	Region       zai.Region
	DefaultModel string
	Wait         time.Duration // longest time a call waits for an image
	Inline       tools.Inline
	Structured   Structured    // "" for StructuredAuto
	Grace        time.Duration // for paid work when the program ends
	MaxMessage   int           // bytes; 0 for no limit
	Reach        resources.Locator
	Telemetry    *Telemetry // nil for none
}

// How long clients may keep what they got, in milliseconds.
const (
	listsLive    = 5 * 60 * 1000
	picturesLive = 60 * 60 * 1000
)

// StdioMaxMessage is the largest message for stdio: the official TypeScript
// client closes the connection over a line of 10 MiB.
const StdioMaxMessage = 9 << 20

// Server is one MCP server over one library.
type Server struct {
	mcp        *server.MCPServer
	pipeline   *jobs.Pipeline
	library    *resources.Library
	grace      time.Duration
	structured Structured
	log        *slog.Logger
	now        func() time.Time
	reads      *turns // large answers being made or written
	telemetry  *Telemetry
	calls      *share   // tool calls under way
	listeners  sync.Map // session id -> listener
}

// listener is a session that wants to hear of new images.
type listener struct {
	server.ClientSession
	owner string
}

// New puts a server together. It opens neither files nor connections.
func New(c Config) (*Server, error) {
	if c.Telemetry == nil {
		var err error
		if c.Telemetry, err = NewTelemetry(context.Background(), c.Version, false, false); err != nil {
			return nil, err
		}
	}
	s := &Server{
		grace: c.Grace, structured: c.Structured, log: c.Jobs.Log, now: c.Jobs.Now, library: c.Jobs.Library,
		telemetry: c.Telemetry, calls: newShare(maxCalls, maxClientCalls), reads: newTurns(maxReads, maxReads),
	}
	c.Jobs.Tracer = c.Telemetry.tracer
	s.pipeline = jobs.New(c.Jobs)
	s.pipeline.Subscribe(s.imageDone)
	if err := c.Telemetry.gauge("zai_image_queue_length", "Images that wait for a slot.", s.pipeline.Waiting); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	list, err := tools.New(tools.Config{
		Pipeline: s.pipeline, Library: c.Jobs.Library, Region: c.Region, DefaultModel: c.DefaultModel, Wait: c.Wait,
		Inline: c.Inline, Sandbox: c.Jobs.Sandbox, Locator: c.Reach, Now: c.Jobs.Now, Log: c.Jobs.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("tools: %w", err)
	}
	models, err := tools.ModelsDocument(c.Region, c.DefaultModel)
	if err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	library := &resources.MCP{Library: c.Jobs.Library, Owner: ownerOf, Models: models, MaxMessage: c.MaxMessage, Reach: c.Reach}
	hooks := &server.Hooks{}
	s.mcp = server.NewMCPServer(Name, c.Version,
		server.WithTitle("Z.AI images"),
		server.WithInstructions(instructions),
		server.WithToolCapabilities(false),
		server.WithResourceCapabilities(true, true),
		server.WithPromptCapabilities(false),
		server.WithPromptHandlerMiddleware(s.checkPrompt),
		server.WithCompletions(),
		server.WithPromptCompletionProvider(prompts.Completion{Region: c.Region, Model: c.DefaultModel}),
		server.WithResourceCompletionProvider(library),
		server.WithHooks(hooks),
		// Lists depend on host and owner, so nobody may share them. Images never change.
		server.WithMethodCacheHints(mcp.MethodToolsList, listsLive, mcp.CacheScopePrivate),
		server.WithMethodCacheHints(mcp.MethodPromptsList, listsLive, mcp.CacheScopePrivate),
		server.WithMethodCacheHints(mcp.MethodResourcesTemplatesList, listsLive, mcp.CacheScopePrivate),
		server.WithMethodCacheHints(mcp.MethodResourcesRead, picturesLive, mcp.CacheScopePrivate),
		server.WithToolHandlerMiddleware(keepToken),
		server.WithToolHandlerMiddleware(s.suitHost),
		server.WithToolHandlerMiddleware(s.observeCalls),
		server.WithToolHandlerMiddleware(s.recoverTool),
		server.WithToolHandlerMiddleware(s.limitCalls),
		server.WithToolHandlerMiddleware(s.identifyCaller),
		server.WithResourceHandlerMiddleware(s.recoverResource),
	)
	library.Register(s.mcp, hooks)
	hooks.AddAfterListTools(s.suitToolList)
	hooks.AddAfterSubscriptionsListen(nameSubscription)
	hooks.AddOnError(explainSubscribe)
	hooks.AddOnRegisterSession(s.remember)
	hooks.AddOnUnregisterSession(func(_ context.Context, session server.ClientSession) { s.listeners.Delete(session.SessionID()) })
	s.mcp.AddTools(list...)
	s.mcp.AddPrompts(prompts.All(c.Region, c.DefaultModel)...)
	return s, nil
}

func (s *Server) remember(ctx context.Context, session server.ClientSession) {
	s.listeners.Store(session.SessionID(), listener{session, ownerOf(ctx)})
}

// imageDone counts an image that this process made, and notifies its owner's
// clients.
func (s *Server) imageDone(e jobs.Event) {
	if !e.Remote {
		s.telemetry.settled(e.Image, e.Resumed)
	}
	s.announce(e.Image)
}

// announce goes to the owner's clients and to nobody else.
func (s *Server) announce(i resources.Image) {
	s.listeners.Range(func(_, value any) bool {
		if l, ok := value.(listener); ok && l.owner == i.Owner && l.Initialized() {
			s.tell(l, i)
		}
		return true
	})
}

func (s *Server) tell(l listener, i resources.Image) {
	filter, active := mcp.SubscriptionFilter{}, false
	if filtered, ok := l.ClientSession.(server.SessionWithSubscriptionFilter); ok {
		filter, active = filtered.SubscriptionFilter()
	}
	if i.State == resources.Saved && (!active || filter.ResourcesListChanged) {
		s.send(l, mcp.MethodNotificationResourcesListChanged, nil)
	}
	subscriber, ok := l.ClientSession.(server.SessionWithResourceSubscriptions)
	if !ok {
		return
	}
	for _, view := range []resources.View{resources.Original, resources.Preview, resources.Metadata} {
		if uri := resources.URI(i.ID, view); subscriber.IsSubscribedToResource(uri) {
			s.send(l, mcp.MethodNotificationResourceUpdated, map[string]any{"uri": uri})
		}
	}
}

// send does not wait for clients that do not read.
func (s *Server) send(l listener, method string, params map[string]any) {
	n := mcp.JSONRPCNotification{JSONRPC: mcp.JSONRPC_VERSION, Notification: mcp.Notification{
		Method: method, Params: mcp.NotificationParams{AdditionalFields: params},
	}}
	select {
	case l.NotificationChannel() <- n:
	default:
		s.log.Debug("client not told", "session", l.SessionID(), "method", method)
	}
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

// Recover resumes once what processes that died left behind, and does not wait
// for it. The transports do so by themselves.
func (s *Server) Recover(ctx context.Context) error {
	if !s.library.Exists() {
		return nil
	}
	_, err := s.pipeline.Recover(ctx, false)
	return err
}

// Close takes no new work and lets paid work end within the grace.
func (s *Server) Close() {
	ctx, cancel := s.ending(context.Background())
	defer cancel()
	s.drain(ctx)
}

// ending gives the time that is left when the program ends. Shortly before it
// is over, calls that still wait answer with the ids of their images.
func (s *Server) ending(ctx context.Context) (context.Context, context.CancelFunc) {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	timer := time.AfterFunc(s.grace-min(s.grace/10, time.Second), s.pipeline.Detach)
	return end, func() {
		timer.Stop()
		cancel()
	}
}

func (s *Server) drain(ctx context.Context) {
	if err := s.pipeline.Drain(ctx); err != nil {
		s.log.Error("the program ended before paid work did", "error", err)
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err := s.telemetry.Close(flush); err != nil {
		s.log.Warn("telemetry is not sent", "error", err)
	}
}
