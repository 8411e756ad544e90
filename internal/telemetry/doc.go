// Package telemetry holds the program's metrics (Prometheus), traces
// (OpenTelemetry) and log (slog).
package telemetry
