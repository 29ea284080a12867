package matrixauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Action is something that an operator can have done: by the running server, through its socket, or
// by this process if no server runs. P and R travel as JSON, so both ways are one.
type Action[P, R any] struct {
	name string
	run  func(*Server, context.Context, P) (R, error)
	look bool
}

// performer is what the table of actions needs of an Action.
type performer interface {
	perform(ctx context.Context, s *Server, params []byte) ([]byte, error)
	// looks reports whether nothing is changed or handed out, so that the action is no news.
	looks() bool
}

// actions finds an action by its name.
var actions = map[string]performer{}

// newAction makes an action that changes something, or hands out what others must not have.
func newAction[P, R any](name string, run func(*Server, context.Context, P) (R, error)) Action[P, R] {
	a := Action[P, R]{name: name, run: run}
	actions[name] = a
	return a
}

// newQuery makes an action that only reads.
func newQuery[P, R any](name string, run func(*Server, context.Context, P) (R, error)) Action[P, R] {
	a := Action[P, R]{name: name, run: run, look: true}
	actions[name] = a
	return a
}

func (a Action[P, R]) looks() bool { return a.look }

func (a Action[P, R]) perform(ctx context.Context, s *Server, params []byte) ([]byte, error) {
	var p P
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fmt.Errorf("%s: %w", a.name, err)
	}
	if n, ok := any(p).(names); ok {
		actionLogOf(ctx).given = n.given()
	}
	result, err := a.run(s, ctx, p)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

// Do has the action done. Errors for which the operator can do something are sentences; others say
// that the server's log has more.
func (a Action[P, R]) Do(ctx context.Context, o *Operator, p P) (r R, err error) {
	params, err := json.Marshal(p)
	if err != nil {
		return r, fmt.Errorf("%s: %w", a.name, err)
	}
	result, err := o.do(ctx, a.name, params)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(result, &r); err != nil {
		return r, fmt.Errorf("%s: %w", a.name, err)
	}
	return r, nil
}

// Operator reaches a database: through the server that has it, or directly.
type Operator struct {
	database string
	live     bool
	aside    bool
	acting   string
	do       func(ctx context.Context, action string, params []byte) ([]byte, error)
	backup   func(ctx context.Context, w io.Writer) error
	kept     func() int64
	close    func() error
}

// Database is the path of the database that the operator acts on.
func (o *Operator) Database() string { return o.database }

// Live reports whether a running server does the work, and so knows of it at once.
func (o *Operator) Live() bool { return o.live }

// Aside reports whether the database is another one than the server's, so that Synapse is told nothing.
func (o *Operator) Aside() bool { return o.aside }

// Kept is how many lines about what was done wait in the database for the log of a server; always 0 if the
// operator acts through one.
func (o *Operator) Kept() int64 {
	if o.kept == nil {
		return 0
	}
	return o.kept()
}

// Close ends the reach. It is to be called once.
func (o *Operator) Close() error { return o.close() }

// Backup writes a consistent copy of the database to w while everything goes on.
func (o *Operator) Backup(ctx context.Context, w io.Writer) error { return o.backup(ctx, w) }

// ActingAs is the user as whom the process goes on since it has opened the database; empty if that is who
// began it.
func (o *Operator) ActingAs() string { return o.acting }

func (s *Server) perform(ctx context.Context, name string, params []byte) ([]byte, error) {
	action, ok := actions[name]
	if !ok {
		return nil, model.Errorf(model.NotRecognized, "the running server does not know the action %q; it may be of another version", name)
	}
	var done actionLog
	err := s.core.mayPerform(name)
	var result []byte
	if err == nil {
		result, err = action.perform(context.WithValue(ctx, actionLogKey{}, &done), s, params)
	}
	s.tell(ctx, name, action.looks(), &done, err)
	if err == nil {
		return result, nil
	}
	e := *model.AsError(err)
	switch {
	case e.Kind() == model.Internal:
		e.Text = "the server could not do it; its log says why"
	case e.Text == "":
		e.Text = web.TextOf(e.Code)
	}
	return nil, &e
}

// operatorError is an error on its way through the socket.
type operatorError struct {
	Code model.Code `json:"code"`
	Text string     `json:"text"`
}

// Refused reports whether an action was refused for a reason that the operator can mend, as opposed to
// a failure.
func Refused(err error) bool {
	var e *model.Error
	return errors.As(err, &e) && e.Kind() != model.Internal && e.Kind() != model.Unavailable
}

func writeOperatorError(w http.ResponseWriter, err error) {
	e := model.AsError(err)
	body, err := json.Marshal(operatorError{e.Code, e.Text})
	if err != nil {
		panic(err) // two plain fields always marshal
	}
	w.WriteHeader(http.StatusUnprocessableEntity)
	_, _ = w.Write(body) // the command has gone if this fails
}
