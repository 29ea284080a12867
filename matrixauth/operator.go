package matrixauth

import (
	"context"
	"io"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/control"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Operator reaches a database: through the server that has it, or directly.
type Operator struct {
	database string
	acting   string
	reached
}

// reached is a server at the other end of a socket, or one in this process that serves nobody.
type reached interface {
	Perform(ctx context.Context, name string, params []byte) ([]byte, error)
	Copy(ctx context.Context, w io.Writer) error
	Close() error
}

// direct is a database that this process has opened, for one command.
type direct struct {
	performer
	by model.Actor
}

// Perform performs an operation.
func (d direct) Perform(ctx context.Context, name string, params []byte) ([]byte, error) {
	return d.performer.Perform(ctx, d.by, name, params)
}

// Copy writes a consistent copy of the database.
func (d direct) Copy(ctx context.Context, w io.Writer) error {
	return d.performer.Copy(ctx, d.by, func(int64) io.Writer { return w })
}

// Close closes the database.
func (d direct) Close() error {
	d.core.detach(d.Server)
	return d.core.Close()
}

// Database returns the path of the database that the operator acts on.
func (o *Operator) Database() string { return o.database }

// Live reports whether a running server does the work, and so knows of it at once.
func (o *Operator) Live() bool {
	_, live := o.reached.(*control.Client)
	return live
}

// Aside reports whether the database is another one than the server's, so that Synapse is told nothing.
func (o *Operator) Aside() bool {
	d, ok := o.reached.(direct)
	return ok && d.core.aside
}

// Kept returns how many lines about what was done wait in the database for the log of a server; always 0 if the
// operator acts through one.
func (o *Operator) Kept() int64 {
	if d, ok := o.reached.(direct); ok {
		return d.kept.Load()
	}
	return 0
}

// ActingAs returns the user as whom the process goes on since it has opened the database; empty if that is who
// began it.
func (o *Operator) ActingAs() string { return o.acting }
