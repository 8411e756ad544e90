package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// NewLogger logs to out and takes the secret out of whatever is logged.
func NewLogger(out io.Writer, level slog.Level, asJSON bool, secret string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if secret != "" {
		options.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
			if text := attrText(a.Value); strings.Contains(text, secret) {
				a.Value = slog.StringValue(strings.ReplaceAll(text, secret, "***"))
			}
			return a
		}
	}
	if asJSON {
		return slog.New(callerHandler{slog.NewJSONHandler(out, options)})
	}
	return slog.New(callerHandler{slog.NewTextHandler(out, options)})
}

// callerHandler adds to each record whose request it is about.
type callerHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h callerHandler) Handle(ctx context.Context, r slog.Record) error {
	if c := callerOf(ctx); c.request != "" {
		r.AddAttrs(slog.String("request", c.request))
		if c.owner != "" {
			r.AddAttrs(slog.String("owner", c.owner))
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h callerHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return callerHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h callerHandler) WithGroup(name string) slog.Handler {
	return callerHandler{h.Handler.WithGroup(name)}
}

// attrText is how a value will be written, for those that can hold text.
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
