package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Tracer returns the tracer of the program; without traces it records nothing.
func (t *Telemetry) Tracer() trace.Tracer { return t.tracer }

func noTracer() trace.Tracer { return tracenoop.NewTracerProvider().Tracer(name) }

// newTracer returns a tracer that sends batches to a collector.
func newTracer(ctx context.Context, c Collector, about *resource.Resource) (trace.Tracer, func(context.Context) error, error) {
	exporter, err := otlptrace.New(ctx, newUploader(c))
	if err != nil {
		return nil, nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return provider.Tracer(name), provider.Shutdown, nil
}
