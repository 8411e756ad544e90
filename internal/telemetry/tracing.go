package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Tracer returns the tracer of the program; without traces it records nothing.
func (t *Telemetry) Tracer() trace.Tracer { return t.tracer }

func noTracer() trace.Tracer { return tracenoop.NewTracerProvider().Tracer(name) }

// newTracer returns a tracer that sends batches over OTLP.
func newTracer(ctx context.Context, about *resource.Resource) (trace.Tracer, func(context.Context) error, error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return provider.Tracer(name), provider.Shutdown, nil
}
