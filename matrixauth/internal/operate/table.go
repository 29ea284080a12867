package operate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Operation is the name of an operation, with the types of its parameters and its result. Both travel as JSON.
type Operation[P, R any] string

// Caller performs operations by their names: a Table, or what reaches one.
type Caller interface {
	Perform(ctx context.Context, name string, params []byte) ([]byte, error)
}

// Do has the operation performed. Errors for which the operator can do something are sentences; others say that
// the server's log has more.
func (op Operation[P, R]) Do(ctx context.Context, c Caller, p P) (r R, err error) {
	params, err := json.Marshal(p)
	if err != nil {
		return r, fmt.Errorf("%s: %w", op, err)
	}
	result, err := c.Perform(ctx, string(op), params)
	if err != nil {
		return r, err
	}
	if json.Unmarshal(result, &r) != nil {
		// What could not be read may be a secret.
		return r, fmt.Errorf("the running server's answer to %q cannot be read; it may be of another version than this program", string(op))
	}
	return r, nil
}

// Traits are what the table says of an operation beside its name. An operation without any changes something, or
// hands out what others must not have, and does without Synapse.
type Traits uint8

const (
	// Reads is an operation that changes nothing and hands out no secret, so that it is no news.
	Reads Traits = 1 << iota
	// AsksSynapse is an operation that asks Synapse or changes something there before it is done. Others leave what
	// Synapse is to know to the outbox.
	AsksSynapse
	// OwnFiles is an operation that changes a file beside the server's database, which another database has not.
	OwnFiles
	// OwnPages is an operation whose result only the pages of the server honour, such as a link to one.
	OwnPages
)

// Row is an operation in a Table.
type Row struct {
	name    string
	traits  Traits
	perform func(ctx context.Context, by model.Actor, params []byte) ([]byte, error)
}

// Bind makes the row of an operation.
func Bind[P, R any](op Operation[P, R], traits Traits, run func(context.Context, model.Actor, P) (R, error)) Row {
	return Row{name: string(op), traits: traits, perform: func(ctx context.Context, by model.Actor, params []byte) ([]byte, error) {
		// A parameter that is not known may be what keeps the operation from doing the rest, such as a dry run.
		decoder := json.NewDecoder(bytes.NewReader(params))
		decoder.DisallowUnknownFields()
		var p P
		if err := decoder.Decode(&p); err != nil {
			// What it says of a value may be a secret.
			return nil, model.Errorf(model.NotRecognized, "the running server does not understand what is asked of the action %q; it may be of another version", string(op))
		}
		if n, ok := any(p).(named); ok {
			trailOf(ctx).given = n.typedUser()
		}
		result, err := run(ctx, by, p)
		if err != nil {
			return nil, err
		}
		return json.Marshal(result)
	}}
}

// Table finds operations by their names, and writes a line of the log for each that is performed.
type Table struct {
	TableConfig
	rows map[string]Row
}

// TableConfig is what a table needs beside its rows.
type TableConfig struct {
	// Aside says that the database is another one than the server's, as a backup is: what asks Synapse would be true
	// for neither, and is refused.
	Aside bool
	// Keep keeps a line for the log of the next server, where none runs; nil writes it to Logger.
	Keep func(ctx context.Context, line []slog.Attr)
	// ServerName is the homeserver's name in Matrix ids.
	ServerName string
	Logger     *slog.Logger
}

// NewTable makes a table. It panics if two rows have one name.
func NewTable(c TableConfig, rows ...Row) *Table {
	t := &Table{c, make(map[string]Row, len(rows))}
	for _, row := range rows {
		if _, twice := t.rows[row.name]; twice {
			panic("operate: two operations are called " + row.name)
		}
		t.rows[row.name] = row
	}
	return t
}

// Names returns the names of the operations that have all of some traits, in no order.
func (t *Table) Names(traits Traits) (names []string) {
	for name, row := range t.rows {
		if row.traits&traits == traits {
			names = append(names, name)
		}
	}
	return names
}

// errAside says that a database is not the one that Synapse belongs to.
var errAside = model.Errorf(model.InvalidParam, "this is not the database of the server but another file, such as a backup: what needs Synapse is not done on it; leave --database out, or put the file in the place of the database first")

// errNoPages says that no server would honour what an operation makes.
var errNoPages = model.Errorf(model.InvalidParam, "this is not the database of the server but another file, such as a backup: no page of the server would honour the link; leave --database out")

// Perform performs an operation by its name. Its errors have a text that may be shown to who asks.
func (t *Table) Perform(ctx context.Context, by model.Actor, name string, params []byte) ([]byte, error) {
	row, ok := t.rows[name]
	if !ok {
		return nil, model.Errorf(model.NotRecognized, "the running server does not know the action %q; it may be of another version", name)
	}
	var done trail
	var result []byte
	var err error
	switch {
	case t.Aside && row.traits&(AsksSynapse|OwnFiles) != 0:
		err = errAside
	case t.Aside && row.traits&OwnPages != 0:
		err = errNoPages
	default:
		result, err = row.perform(context.WithValue(ctx, trailKey{}, &done), by, params)
	}
	t.tell(ctx, by, row, &done, err)
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

// Tell writes the line of something that was done without a row, such as a backup, whose result is not JSON.
func (t *Table) Tell(ctx context.Context, by model.Actor, name string, err error) {
	t.tell(ctx, by, Row{name: name}, new(trail), err)
}
