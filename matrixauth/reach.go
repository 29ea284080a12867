package matrixauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/control"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// Target is a database to reach, with those who may answer for it. Passwords go to whoever answers, so a
// server is believed only if it runs as root, as the caller, or as one of Users; and, unless the path is
// Learned, as the owner of the database, if nobody else could have put that there.
type Target struct {
	// Database is the path of the database.
	Database string
	// Learned says that the path was told over the network, by anybody who could listen at the address that
	// was asked. It is dialled only, never opened.
	Learned bool
	// Aside says that this is not the database of the server whose configuration is at hand, but another
	// file, such as a backup. If no server has it, Synapse is neither asked nor told anything on its behalf:
	// jobs stay in its outbox, and what needs Synapse is refused.
	Aside bool
	// Create has the database made if it is not there, unless there are keys of tokens already: see ClosedError.
	Create bool
	// Users are ids of users whose server is believed too.
	Users []int
	// ServerName is the one that the server must serve; empty for any.
	ServerName string
}

// FileOwner returns the user id of a file's owner, where the system has such.
func FileOwner(info fs.FileInfo) (uid int, known bool) { return place.Owner(info) }

// AsOwner has a process of root run f with the rights to files of who owns a file, and returns their name if it
// did. f must not leave its goroutine. Systems other than Linux run it as it is.
func AsOwner(info fs.FileInfo, f func()) (name string, err error) { return place.AsOwner(info, f) }

// ErrNoServer says that no server has a database at present.
var ErrNoServer = control.ErrNoServer

// ReachServer reaches the server that has a database, by its socket. It is ErrNoServer if none runs.
func ReachServer(ctx context.Context, t Target) (*Operator, error) {
	path, err := filepath.Abs(t.Database)
	if err != nil {
		return nil, err
	}
	client, err := control.Dial(ctx, control.Target{Database: path, Learned: t.Learned, Users: t.Users})
	if err != nil {
		return nil, err
	}
	o := &Operator{database: path, reached: client}
	if err := t.recognize(ctx, o); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// recognize refuses a server of another server name than the one that is meant: its accounts are other people.
func (t Target) recognize(ctx context.Context, o *Operator) error {
	if t.ServerName == "" {
		return nil
	}
	found, err := TellInstance.Do(ctx, o, struct{}{})
	if err == nil && found.ServerName != t.ServerName {
		err = fmt.Errorf("the server that has the database %s serves %s, and the configuration says %s; reload Caddy if the configuration is newer, or name the right one by --config",
			o.database, found.ServerName, t.ServerName)
	}
	return err
}

// Reach finds the server that has the database, or opens the database itself by config if no server runs.
// It makes no database unless t says so. A process of root that opens one goes on as the owner of the database for
// good, or of the directory of one that it makes, so whatever root alone may read or write is to be opened before.
func Reach(ctx context.Context, t Target, config Config, deps Deps) (*Operator, error) {
	if o, err := ReachServer(ctx, t); err == nil {
		return o, nil
	} else if t.Learned || !errors.Is(err, ErrNoServer) {
		return nil, err
	}
	by := control.Self() // as whom the command was run, before it goes on as somebody else
	server, acting, err := t.open(ctx, config, deps)
	if err != nil {
		return nil, err
	}
	return server.operator(by, acting), nil
}

// operator reaches the database of a server in this process.
func (s *Server) operator(by model.Actor, acting string) *Operator {
	return &Operator{database: s.core.Database(), acting: acting, reached: direct{performer{s}, by}}
}

// open opens the database for one command.
func (t Target) open(ctx context.Context, config Config, deps Deps) (server *Server, acting string, err error) {
	path, err := filepath.Abs(t.Database)
	if err != nil {
		return nil, "", err
	}
	if acting, err = place.BecomeOwner(path); err == nil && acting == "" && t.Create {
		acting, err = place.BecomeOwnerOfMissing(path)
	}
	if err != nil {
		return nil, "", err
	}
	core, err := Open(ctx, OpenOptions{Database: path, KeyFile: config.KeyFile, Aside: t.Aside, Create: t.Create})
	if err != nil {
		return nil, "", err
	}
	if core.aside = t.Aside; t.Aside {
		deps.HTTP, config.Secret = noSynapse(), cmp.Or(config.Secret, "unknown")
	}
	if server, err = New(core, config, deps); err != nil {
		return nil, "", errors.Join(err, core.Close())
	}
	if !t.Aside { // what is wrong with it, who needs it says
		if err := server.seal.Load(ctx, t.Create); err != nil && server.seal.Problem() == nil {
			return nil, "", errors.Join(err, core.Close())
		}
		if err := server.keys.Load(ctx); err != nil && server.keys.State().Problem == nil {
			return nil, "", errors.Join(err, core.Close())
		}
	}
	server.table.Keep = server.keepLine // this process serves nobody, and has no log
	core.attach(server)
	return server, acting, nil
}
