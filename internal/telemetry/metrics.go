package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"

	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// name identifies the program in metrics and traces.
const name = "zai-image-mcp"

// Telemetry counts and traces what the server does. No label has a value from a
// client, so the number of time series stays small.
type Telemetry struct {
	tracer   trace.Tracer
	meter    metric.Meter
	registry *prometheus.Registry // nil without metrics
	shutdown []func(context.Context) error

	calls    metric.Int64Counter
	duration metric.Float64Histogram
	upstream metric.Float64Histogram
	retries  metric.Int64Counter
	pictures metric.Int64Counter
	bytes    metric.Int64Counter
	spent    metric.Float64Counter
}

// Config selects what is recorded.
type Config struct {
	Version string
	Metrics bool       // for Prometheus
	Traces  *Collector // nil for no traces
}

// New sets up metrics and traces. Close ends them.
func New(ctx context.Context, c Config) (*Telemetry, error) {
	t := &Telemetry{tracer: noTracer(), meter: metricnoop.NewMeterProvider().Meter(name)}
	about := resource.NewSchemaless(attribute.String("service.name", name), attribute.String("service.version", c.Version))
	if c.Metrics {
		t.registry = prometheus.NewRegistry()
		t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(t.registry), otelprometheus.WithoutScopeInfo(), otelprometheus.WithoutTargetInfo())
		if err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(about))
		t.meter, t.shutdown = provider.Meter(name), append(t.shutdown, provider.Shutdown)
	}
	if c.Traces != nil {
		tracer, shutdown, err := newTracer(ctx, *c.Traces, about)
		if err != nil {
			return nil, fmt.Errorf("traces: %w", err)
		}
		t.tracer, t.shutdown = tracer, append(t.shutdown, shutdown)
	}
	return t, t.instruments()
}

func (t *Telemetry) instruments() error {
	// From a call that only reads the catalog to the longest call.
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

// Gauge registers a number that is read whenever metrics are collected.
func (t *Telemetry) Gauge(name, description string, value func() int) error {
	_, err := t.meter.Int64ObservableGauge(name, metric.WithDescription(description),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(value()))
			return nil
		}))
	return err
}

// Handler serves the metrics to Prometheus; it is nil without metrics.
func (t *Telemetry) Handler() http.Handler {
	if t.registry == nil {
		return nil
	}
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{})
}

// Close sends what was not sent yet.
func (t *Telemetry) Close(ctx context.Context) error {
	var errs []error
	for _, shutdown := range t.shutdown {
		errs = append(errs, shutdown(ctx))
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

// ImageDone counts an image that is saved or failed. One that an earlier
// process started was charged then and is not charged again.
func (t *Telemetry) ImageDone(i resources.Image, resumed bool) {
	ctx, sandbox := context.Background(), metric.WithAttributes(attribute.Bool("sandbox", i.Sandbox))
	if i.Charged && !resumed {
		t.spent.Add(ctx, i.CostUSD(), sandbox)
	}
	if i.State == resources.Saved {
		t.pictures.Add(ctx, 1, sandbox)
		t.bytes.Add(ctx, i.Bytes, sandbox)
	}
}

// ToolCall counts a call of a tool. outcome is "ok" or the kind of error.
func (t *Telemetry) ToolCall(ctx context.Context, tool, outcome string, took time.Duration) {
	name := attribute.String("tool", tool)
	t.calls.Add(ctx, 1, metric.WithAttributes(name, attribute.String("outcome", outcome)))
	t.duration.Record(ctx, took.Seconds(), metric.WithAttributes(name))
}
