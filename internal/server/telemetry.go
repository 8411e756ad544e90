package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
	"zai-image-mcp/zai"
)

// Telemetry counts and traces what the server does. No label has a value from
// outside, so that there are never many of them.
type Telemetry struct {
	tracer   trace.Tracer
	meter    metric.Meter
	registry *prometheus.Registry
	end      []func(context.Context) error

	calls    metric.Int64Counter
	duration metric.Float64Histogram
	upstream metric.Float64Histogram
	retries  metric.Int64Counter
	pictures metric.Int64Counter
	bytes    metric.Int64Counter
	spent    metric.Float64Counter
}

// NewTelemetry counts when there will be somebody to ask for the counts, and
// sends traces when told so; the exporter reads where to from the variables
// that OpenTelemetry defines (OTEL_EXPORTER_OTLP_ENDPOINT and others).
func NewTelemetry(ctx context.Context, version string, counts, traces bool) (*Telemetry, error) {
	t := &Telemetry{tracer: tracenoop.NewTracerProvider().Tracer(Name), meter: metricnoop.NewMeterProvider().Meter(Name)}
	about := resource.NewSchemaless(attribute.String("service.name", Name), attribute.String("service.version", version))
	if counts {
		t.registry = prometheus.NewRegistry()
		t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(t.registry), otelprometheus.WithoutScopeInfo(), otelprometheus.WithoutTargetInfo())
		if err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(about))
		t.meter, t.end = provider.Meter(Name), append(t.end, provider.Shutdown)
	}
	if traces {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("traces: %w", err)
		}
		provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
		t.tracer, t.end = provider.Tracer(Name), append(t.end, provider.Shutdown)
	}
	return t, t.instruments()
}

func (t *Telemetry) instruments() error {
	// From an answer out of the catalog to the longest call.
	seconds := metric.WithExplicitBucketBoundaries(.005, .02, .1, .5, 1, 2, 5, 10, 20, 30, 45, 60, 120, 300)
	var errs [7]error
	t.calls, errs[0] = t.meter.Int64Counter("zai_image_tool_calls", metric.WithDescription("Tool calls by tool and outcome (ok, or the kind of error)."))
	t.duration, errs[1] = t.meter.Float64Histogram("zai_image_tool_duration", metric.WithUnit("s"), seconds, metric.WithDescription("Duration of tool calls."))
	t.upstream, errs[2] = t.meter.Float64Histogram("zai_image_upstream_duration", metric.WithUnit("s"), seconds,
		metric.WithDescription("Duration of requests to the image service by operation and class of status."))
	t.retries, errs[3] = t.meter.Int64Counter("zai_image_upstream_retries", metric.WithDescription("Requests to the image service that were made again."))
	t.pictures, errs[4] = t.meter.Int64Counter("zai_image_pictures_stored", metric.WithDescription("Images saved."))
	t.bytes, errs[5] = t.meter.Int64Counter("zai_image_stored", metric.WithUnit("By"), metric.WithDescription("Bytes of images saved."))
	t.spent, errs[6] = t.meter.Float64Counter("zai_image_spent_usd", metric.WithDescription("US dollars charged; the sandbox's are play money."))
	return errors.Join(errs[:]...)
}

// gauge shows a number that is looked up whenever somebody asks.
func (t *Telemetry) gauge(name, description string, value func() int) error {
	_, err := t.meter.Int64ObservableGauge(name, metric.WithDescription(description),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(value()))
			return nil
		}))
	return err
}

// Handler serves the counts to Prometheus; nil when nothing is counted.
func (t *Telemetry) Handler() http.Handler {
	if t.registry == nil {
		return nil
	}
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{})
}

// Close sends what is left to send.
func (t *Telemetry) Close(ctx context.Context) error {
	var errs []error
	for _, end := range t.end {
		errs = append(errs, end(ctx))
	}
	return errors.Join(errs...)
}

// Attempt counts a request to the image service.
func (t *Telemetry) Attempt(a zai.Attempt) {
	status := "none"
	if a.Status > 0 {
		status = fmt.Sprintf("%dxx", a.Status/100)
	}
	operation := attribute.String("operation", string(a.Operation))
	t.upstream.Record(context.Background(), a.Duration.Seconds(), metric.WithAttributes(operation, attribute.String("status", status)))
	if a.Number > 1 {
		t.retries.Add(context.Background(), 1, metric.WithAttributes(operation))
	}
}

// settled counts what became of an image; again is one that was charged
// before.
func (t *Telemetry) settled(i resources.Image, again bool) {
	ctx, sandbox := context.Background(), metric.WithAttributes(attribute.Bool("sandbox", i.Sandbox))
	if i.Charged && !again {
		t.spent.Add(ctx, i.CostUSD(), sandbox)
	}
	if i.State == resources.Saved {
		t.pictures.Add(ctx, 1, sandbox)
		t.bytes.Add(ctx, i.Bytes, sandbox)
	}
}

// observeCalls counts, traces and logs calls of tools.
func (s *Server) observeCalls(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		began := time.Now()
		tool := attribute.String("tool", request.Params.Name)
		ctx, span := s.telemetry.tracer.Start(traceOf(ctx, request), "tools/call "+request.Params.Name, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		result, err := next(ctx, request)
		outcome := tools.Outcome(result)
		if outcome != tools.OutcomeOK {
			span.SetStatus(codes.Error, outcome)
		}
		took := time.Since(began)
		s.telemetry.calls.Add(ctx, 1, metric.WithAttributes(tool, attribute.String("outcome", outcome)))
		s.telemetry.duration.Record(ctx, took.Seconds(), metric.WithAttributes(tool))
		s.log.InfoContext(ctx, "call", "tool", request.Params.Name, "outcome", outcome, "seconds", took.Seconds())
		return result, err
	}
}

// traceOf continues the caller's trace, as it names it in _meta.
// https://modelcontextprotocol.io/specification/2026-07-28/basic
func traceOf(ctx context.Context, request mcp.CallToolRequest) context.Context {
	meta := request.Params.Meta
	if meta == nil {
		return ctx
	}
	carrier := propagation.MapCarrier{}
	for _, field := range (propagation.TraceContext{}).Fields() {
		if value, ok := meta.AdditionalFields[field].(string); ok {
			carrier.Set(field, value)
		}
	}
	return propagation.TraceContext{}.Extract(ctx, carrier)
}
