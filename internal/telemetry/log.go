package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Attrs returns the attributes that a record gets from its context.
type Attrs func(ctx context.Context) []slog.Attr

// NewLogger returns a logger that writes to out and replaces the secret in
// everything that is logged. attrs is optional.
func NewLogger(out io.Writer, level slog.Level, asJSON bool, secret string, attrs Attrs) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if secret != "" {
		options.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
			if text := attrText(a.Value); strings.Contains(text, secret) {
				a.Value = slog.StringValue(strings.ReplaceAll(text, secret, "***"))
			}
			return a
		}
	}
	var handler slog.Handler = slog.NewTextHandler(out, options)
	if asJSON {
		handler = slog.NewJSONHandler(out, options)
	}
	if attrs != nil {
		handler = contextHandler{handler, attrs}
	}
	return slog.New(handler)
}

// contextHandler adds attributes from the context to each record.
type contextHandler struct {
	slog.Handler
	attrs Attrs
}

// Handle implements slog.Handler.
func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(h.attrs(ctx)...)
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs), h.attrs}
}

// WithGroup implements slog.Handler.
func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name), h.attrs}
}

// attrText returns a value as it will be written, if it can contain text.
func attrText(v slog.Value) string {
	switch v.Kind() {
	case slog.KindString:
		return v.String()
	case slog.KindAny:
		return fmt.Sprint(v.Any())
	default:
		return ""
	}
}
