package matrixauth

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Each action of an operator is one line of the server's log: who, what, whom, and what came of it. Where no
// server runs there is no such log. The line is kept in the database then, and the server writes it at its
// next start.

// person is who gives an order: the user of the process at the other end of the socket, or of this one.
type person struct {
	// uid is empty where the system does not tell it.
	uid, name string
}

type personKey struct{}

// withPeer attaches to the context of a connection who is at its other end.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	uid, known, err := place.Peer(unix)
	if err != nil || !known {
		return ctx
	}
	return context.WithValue(ctx, personKey{}, person{strconv.Itoa(uid), place.UserName(uid)})
}

// self is who runs this process. It is to be asked before the process goes on as somebody else.
func self() person {
	return person{strconv.Itoa(os.Getuid()), place.UserName(os.Getuid())}
}

// actionLog is what an action tells of itself for its line.
type actionLog struct {
	// given is the name of a user as the operator typed it, who the user of that name, or of that session.
	given   string
	who     model.User
	details []slog.Attr
}

type actionLogKey struct{}

// backupAction names a backup in the log. It is no Action, as its result is no JSON.
const backupAction = "backup"

func actionLogOf(ctx context.Context) *actionLog {
	if d, ok := ctx.Value(actionLogKey{}).(*actionLog); ok {
		return d
	}
	return new(actionLog)
}

// noteSubject notes whom an action is about, and what else its line is to tell.
func noteSubject(ctx context.Context, who model.User, details ...slog.Attr) {
	d := actionLogOf(ctx)
	d.details = append(d.details, details...)
	if who.ID != "" {
		d.who = who
	}
}

// names are parameters that name a user as typed.
type names interface{ given() string }

func (n Name) given() string       { return n.User }
func (n NewUser) given() string    { return n.Localpart }
func (k Kill) given() string       { return k.User }
func (d Difference) given() string { return d.User }

// tell writes the line of an action.
func (s *Server) tell(ctx context.Context, name string, looks bool, d *actionLog, err error) {
	level, e := slog.LevelInfo, model.AsError(err)
	switch {
	case e != nil && e.Kind() == model.Internal:
		level = slog.LevelError
	case e != nil && e.Kind() == model.Unavailable:
		level = slog.LevelWarn
	case looks:
		level = slog.LevelDebug
	}
	line := s.lineOf(ctx, name, d, e)
	if level > slog.LevelDebug && s.keepLines {
		s.keep(ctx, line)
		return
	}
	s.deps.Logger.LogAttrs(ctx, level, "an operator's action", line...)
}

// lineOf are the fields of an action's line, in the same order each time.
func (s *Server) lineOf(ctx context.Context, name string, d *actionLog, e *model.Error) []slog.Attr {
	by, ok := ctx.Value(personKey{}).(person)
	if !ok {
		by.name = "unknown"
	}
	line := []slog.Attr{slog.String("action", name), slog.String("by", by.name), slog.String("by_uid", by.uid)}
	switch {
	case d.who.ID != "":
		line = append(line, slog.String("user", model.MatrixID(d.who.Localpart, s.config.ServerName)), slog.String("user_id", d.who.ID))
	case d.given != "":
		line = append(line, slog.String("given", d.given))
	}
	line = append(line, d.details...)
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

// keep keeps a line until a server starts.
func (s *Server) keep(ctx context.Context, line []slog.Attr) {
	fields := make([][2]string, 0, len(line))
	for _, a := range line {
		fields = append(fields, [2]string{a.Key, a.Value.String()})
	}
	text, err := json.Marshal(fields)
	if err == nil {
		err = s.core.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.KeepActionLine(string(text)) })
	}
	if err != nil {
		s.deps.Logger.Error("an operator's action could not be kept for the server's log", "error", err)
		return
	}
	s.kept.Add(1)
}

// tellKept writes the lines of what was done while no server ran.
func (s *Server) tellKept(ctx context.Context) {
	const atOnce = 100
	for ctx.Err() == nil {
		var kept []store.ActionLine
		err := s.core.store.Update(ctx, func(tx *store.Tx) (err error) {
			kept, err = tx.TakeActionLines(atOnce)
			return err
		})
		if err != nil && ctx.Err() == nil {
			s.deps.Logger.Error("operators' actions from before the start could not be read", "error", err)
			return
		}
		for _, d := range kept {
			s.deps.Logger.LogAttrs(ctx, slog.LevelInfo, "an operator's action while no server ran", keptLine(d)...)
		}
		if len(kept) < atOnce {
			return
		}
	}
}

func keptLine(d store.ActionLine) []slog.Attr {
	line := []slog.Attr{slog.Time("at", d.At)}
	var fields [][2]string
	if err := json.Unmarshal([]byte(d.Line), &fields); err != nil {
		return append(line, slog.String("cause", fmt.Sprintf("the line of action %d cannot be read: %v", d.Position, err)))
	}
	for _, f := range fields {
		line = append(line, slog.String(f[0], f[1]))
	}
	return line
}
