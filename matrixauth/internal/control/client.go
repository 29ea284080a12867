package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// ErrNoServer says that no server has a database at present.
var ErrNoServer = errors.New("no server is running")

// Target is the database whose server is meant, and who may answer for it. Passwords go to whoever answers, so a
// server is believed only if it runs as root, as the caller, or as one of Users; and, unless the path is Learned,
// as the owner of the database, if nobody else could have put that there.
type Target struct {
	// Database is the absolute path of the database.
	Database string
	// Learned says that the path was told over the network, by anybody who could listen at the address that
	// was asked.
	Learned bool
	// Users are ids of users whose server is believed too.
	Users []int
}

// Client reaches the server of a Target. It looks at who answers on each connection anew.
type Client struct {
	transport *http.Transport
	http      *http.Client
}

// Dial connects to the server of a target. It is ErrNoServer if none runs.
func Dial(ctx context.Context, t Target) (*Client, error) {
	conn, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := conn.Close(); err != nil {
		return nil, err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return t.dial(ctx) }}
	return &Client{transport: transport, http: &http.Client{Transport: transport}}, nil
}

// Perform has the server perform an operation. A refusal is a *model.Error.
func (c *Client) Perform(ctx context.Context, name string, params []byte) ([]byte, error) {
	response, err := c.send(ctx, name, params)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return readAnswer(response)
}

// Copy writes a consistent copy of the database to w.
func (c *Client) Copy(ctx context.Context, w io.Writer) error {
	response, err := c.send(ctx, copyPath, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("the copy is not whole: %w", err)
	}
	return nil
}

// Close lets go of the server.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

// send sends an operation. Only an answer that is no refusal comes back, with its body to be closed.
func (c *Client) send(ctx context.Context, name string, params []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://server/"+name, bytes.NewReader(params))
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, noAnswer(err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	body, err := readAnswer(response)
	if err != nil {
		return nil, err
	}
	refused, err := readRefusal(body)
	if err != nil {
		return nil, fmt.Errorf("the running server answered with status %d", response.StatusCode)
	}
	return nil, refused
}

func readAnswer(response *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMessage))
	if err != nil {
		return nil, noAnswer(err)
	}
	return body, nil
}

func noAnswer(err error) error { return fmt.Errorf("the running server did not answer: %w", err) }

// dial connects to the server and sees who it is.
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
	if err := t.check(conn, path, found.Owner); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// socket returns the path of the socket of the server that has the database.
func (t Target) socket() (string, error) {
	path := SocketPath(t.Database)
	if dir := filepath.Dir(path); dir != filepath.Dir(t.Database) {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return "", ErrNoServer
		}
		return path, private(dir, t.Database)
	}
	return path, nil
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

// check looks at who answers. The socket must be theirs too: a directory's owner could have moved the
// socket of another program there.
func (t Target) check(conn net.Conn, path string, owner int) error {
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
