package matrixauth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"

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
	// Users are ids of users whose server is believed too.
	Users []int
	// ServerName is the one that the server must serve; empty for any.
	ServerName string
}

// FileOwner is the user id of a file's owner, where the system has such.
func FileOwner(info fs.FileInfo) (uid int, known bool) { return place.Owner(info) }

// AsOwner has a process of root run f with the rights to files of who owns a file, and gives their name if it
// did. f must not leave its goroutine. Systems other than Linux run it as it is.
func AsOwner(info fs.FileInfo, f func()) (name string, err error) { return place.AsOwner(info, f) }

// ErrNoServer says that no server has a database at present.
var ErrNoServer = errors.New("no server is running")

// believes reports whether a process of a user may answer.
func (t Target) believes(uid int) bool {
	if uid == 0 || uid == os.Geteuid() || slices.Contains(t.Users, uid) {
		return true
	}
	if t.Learned {
		return false
	}
	owner, guarded := place.Guarded(t.Database)
	return guarded && owner == uid
}

// socket is the path of the socket of the server that has the database.
func (t Target) socket() (string, error) {
	path := socketPath(t.Database)
	if dir := filepath.Dir(path); dir != filepath.Dir(t.Database) {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return "", ErrNoServer
		}
		return path, private(dir, t.Database)
	}
	return path, nil
}

// dial connects to the server and sees who it is, on each connection anew.
func (t Target) dial(ctx context.Context) (net.Conn, error) {
	path, err := t.socket()
	if err != nil {
		return nil, err
	}
	found, err := place.OpenSocket(path)
	if err != nil {
		return nil, t.unreachable(err)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", found.Address)
	if err = errors.Join(err, found.Close()); err != nil {
		return nil, t.unreachable(err)
	}
	if err := t.judge(conn, path, found.Owner); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// unreachable tells a server that may not be reached from one that is not there.
func (t Target) unreachable(err error) error {
	var problem *place.Error
	switch {
	case errors.As(err, &problem):
		return fmt.Errorf("the socket for commands: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may neither talk to a server that has the database %s nor see whether one runs; run the command as the server's user or as root", t.Database)
	}
	return ErrNoServer
}

// judge looks at who answers. The socket must be theirs too: a directory's owner could have moved the
// socket of another program there.
func (t Target) judge(conn net.Conn, path string, owner int) error {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("%s is reached by %T", path, conn)
	}
	uid, known, err := place.Peer(socket)
	switch {
	case err != nil:
		return fmt.Errorf("%s: who answers cannot be told: %w", path, err)
	case !known && t.Learned:
		return fmt.Errorf("this system does not tell who answers at %s, which Caddy's admin endpoint named; name the database by --database, or in the configuration", path)
	case !known:
		uid = owner
	}
	if uid == owner && t.believes(uid) {
		return nil
	}
	name := place.UserName(uid)
	return fmt.Errorf("a process of user %s answers at %s, and is told nothing: only root, this user, caddy, and the owners of the configuration and of a well-guarded database are believed; if it is the server, name its user by --service-user %s", name, path, name)
}

// ReachServer reaches the server that has a database, by its socket. It is ErrNoServer if none runs.
func ReachServer(ctx context.Context, t Target) (*Operator, error) {
	var err error
	if t.Database, err = filepath.Abs(t.Database); err != nil {
		return nil, err
	}
	conn, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := conn.Close(); err != nil {
		return nil, err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return t.dial(ctx) }}
	client := &http.Client{Transport: transport}
	o := &Operator{
		database: t.Database, live: true,
		do: func(ctx context.Context, action string, params []byte) ([]byte, error) {
			response, err := order(ctx, client, action, params)
			if err != nil {
				return nil, err
			}
			defer response.Body.Close()
			body, err := io.ReadAll(io.LimitReader(response.Body, maxOrder))
			if err != nil {
				return nil, fmt.Errorf("the running server did not answer: %w", err)
			}
			return body, nil
		},
		backup: func(ctx context.Context, w io.Writer) error {
			response, err := order(ctx, client, copyOrder, nil)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if _, err := io.Copy(w, response.Body); err != nil {
				return fmt.Errorf("the copy is not whole: %w", err)
			}
			return nil
		},
		close: func() error { transport.CloseIdleConnections(); return nil },
	}
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
	found, err := TellInstance.Do(ctx, o, Nothing{})
	if err == nil && found.ServerName != t.ServerName {
		err = fmt.Errorf("the server that has the database %s serves %s, and the configuration says %s; reload Caddy if the configuration is newer, or name the right one by --config",
			t.Database, found.ServerName, t.ServerName)
	}
	return err
}

// order sends an order. Only an answer that is no refusal comes back, with its body to be closed.
func order(ctx context.Context, client *http.Client, action string, params []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://server/"+action, bytes.NewReader(params))
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the running server did not answer: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxOrder))
	if err != nil {
		return nil, fmt.Errorf("the running server did not answer: %w", err)
	}
	var refusal operatorError
	if err := json.Unmarshal(body, &refusal); err != nil {
		return nil, fmt.Errorf("the running server answered with status %d", response.StatusCode)
	}
	return nil, model.Errorf(refusal.Code, "%s", refusal.Text)
}

// Reach finds the server that has the database, or opens the database itself by config if no server runs.
// It never makes a database. A process of root that opens one goes on as the owner of the database for
// good, so whatever root alone may read or write is to be opened before.
func Reach(ctx context.Context, t Target, config Config, deps Deps) (*Operator, error) {
	if o, err := ReachServer(ctx, t); err == nil {
		return o, nil
	} else if t.Learned || !errors.Is(err, ErrNoServer) {
		return nil, err
	}
	by := self() // as whom the command was run, before it goes on as somebody else
	core, server, acting, err := t.open(ctx, config, deps)
	if err != nil {
		return nil, err
	}
	ctxOf := func(ctx context.Context) context.Context { return context.WithValue(ctx, personKey{}, by) }
	return &Operator{
		database: core.Database(), acting: acting, aside: core.aside,
		do: func(ctx context.Context, action string, params []byte) ([]byte, error) {
			return server.perform(ctxOf(ctx), action, params)
		},
		backup: func(ctx context.Context, w io.Writer) error {
			made, err := core.store.Copy(ctx)
			if err != nil {
				return err
			}
			_, err = io.Copy(w, made)
			err = errors.Join(err, made.Close())
			server.tell(ctxOf(ctx), backupAction, false, new(actionLog), err)
			return err
		},
		kept:  server.kept.Load,
		close: func() error { core.detach(server); return core.Close() },
	}, nil
}

// open opens the database for one command.
func (t Target) open(ctx context.Context, config Config, deps Deps) (core *Core, server *Server, acting string, err error) {
	path, err := filepath.Abs(t.Database)
	if err != nil {
		return nil, nil, "", err
	}
	if acting, err = place.BecomeOwner(path); err != nil {
		return nil, nil, "", err
	}
	if core, err = Open(ctx, OpenOptions{Database: path}); err != nil {
		return nil, nil, "", err
	}
	if core.aside = t.Aside; t.Aside {
		deps.HTTP, config.Secret = noSynapse(), cmp.Or(config.Secret, "unknown")
	}
	if server, err = New(core, config, deps); err != nil {
		return nil, nil, "", errors.Join(err, core.Close())
	}
	server.keepLines = true
	core.attach(server)
	return core, server, acting, nil
}
