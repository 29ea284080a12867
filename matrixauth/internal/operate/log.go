package operate

import (
	"context"
	"log/slog"
	"slices"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// trail collects what the log line of an operation says.
type trail struct {
	// given is the name of a user as the operator typed it, who the user of that name, or of that session.
	given   string
	who     model.User
	details []slog.Attr
}

type trailKey struct{}

func trailOf(ctx context.Context) *trail {
	if t, ok := ctx.Value(trailKey{}).(*trail); ok {
		return t
	}
	return new(trail)
}

// note notes whom an operation is about, and what else its line is to tell. What is noted again replaces what was:
// a transaction may run twice.
func note(ctx context.Context, who model.User, details ...slog.Attr) {
	t := trailOf(ctx)
	for _, detail := range details {
		t.details = slices.DeleteFunc(t.details, func(old slog.Attr) bool { return old.Key == detail.Key })
		t.details = append(t.details, detail)
	}
	if who.ID != "" {
		t.who = who
	}
}

// named are parameters that name a user, as it was typed.
type named interface{ typedUser() string }

// tell writes the line of an operation: who, what, whom, and what came of it.
func (t *Table) tell(ctx context.Context, by model.Actor, row Row, done *trail, err error) {
	level, e := slog.LevelInfo, model.AsError(err)
	switch {
	case e != nil && e.Kind() == model.Internal:
		level = slog.LevelError
	case e != nil && e.Kind() == model.Unavailable:
		level = slog.LevelWarn
	case row.traits&Reads != 0:
		level = slog.LevelDebug
	}
	line := t.lineOf(by, row.name, done, e)
	if level > slog.LevelDebug && t.Keep != nil {
		t.Keep(ctx, line)
		return
	}
	t.Logger.LogAttrs(ctx, level, "an operator's action", line...)
}

// lineOf returns the fields of a line, in the same order each time.
func (t *Table) lineOf(by model.Actor, name string, done *trail, e *model.Error) []slog.Attr {
	line := []slog.Attr{slog.String("action", name), slog.String("by", by.Name), slog.String("by_uid", by.ID)}
	switch {
	case done.who.ID != "":
		line = append(line, slog.String("user", model.MatrixID(done.who.Localpart, t.ServerName)), slog.String("user_id", done.who.ID))
	case done.given != "":
		line = append(line, slog.String("given", done.given))
	}
	line = append(line, done.details...)
	if e == nil {
		return append(line, slog.String("code", "ok"))
	}
	line = append(line, slog.String("code", string(e.Code)))
	switch {
	case e.Err != nil:
		line = append(line, slog.String("cause", e.Err.Error()))
	case e.Text != "":
		line = append(line, slog.String("cause", e.Text))
	}
	return line
}
