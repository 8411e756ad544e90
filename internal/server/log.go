package server

import (
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
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
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
