package caddymodule

import (
	"context"
	"fmt"
	"log/slog"
)

// logHandler makes strangers' words in log lines visible before Caddy's encoders get them. These escape C0
// alone, and the console encoder not even that in messages; logs are read in terminals (HTTP-9).
type logHandler struct{ slog.Handler }

// Handle hands on the record with its words visible.
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	shown := slog.NewRecord(r.Time, r.Level, visible(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		shown.AddAttrs(visibleAttr(a))
		return true
	})
	return h.Handler.Handle(ctx, shown)
}

// WithAttrs keeps the handler around one with attributes.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	shown := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		shown[i] = visibleAttr(a)
	}
	return logHandler{h.Handler.WithAttrs(shown)}
}

// WithGroup keeps the handler around one with a group.
func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name)}
}

func visibleAttr(a slog.Attr) slog.Attr {
	switch value := a.Value.Resolve(); value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, visible(value.String()))
	case slog.KindGroup:
		var inner []slog.Attr
		for _, one := range value.Group() {
			inner = append(inner, visibleAttr(one))
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(inner...)}
	case slog.KindAny:
		return slog.Attr{Key: a.Key, Value: visibleValue(value.Any())}
	default:
		return slog.Attr{Key: a.Key, Value: value}
	}
}

func visibleValue(value any) slog.Value {
	switch value := value.(type) {
	case error:
		return slog.StringValue(visible(value.Error()))
	case fmt.Stringer:
		return slog.StringValue(visible(value.String()))
	case []string:
		shown := make([]string, len(value))
		for i, one := range value {
			shown[i] = visible(one)
		}
		return slog.AnyValue(shown)
	default:
		return slog.StringValue(visible(fmt.Sprint(value)))
	}
}
