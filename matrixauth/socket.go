package matrixauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// socket is the Unix socket beside the database on which a running server takes the orders of
// commands. Its file permissions are its whole access control: who can open the database can do
// all that the socket can.
type socket struct {
	core     *Core
	listener net.Listener
	server   *http.Server
}

// maxSocketPath is the longest path of a Unix socket that every system takes.
const maxSocketPath = 100

// socketPath is where the server of a database listens: beside it, or if that path is too long for a
// socket, in a private directory for temporary files.
func socketPath(database string) string {
	if path := database + ".sock"; len(path) <= maxSocketPath {
		return path
	}
	sum := sha256.Sum256([]byte(database))
	return filepath.Join(os.TempDir(), "matrix-auth-"+hex.EncodeToString(sum[:8]), "socket")
}

func listenSocket(c *Core) (*socket, error) {
	path := socketPath(c.Database())
	if err := prepareSocket(c.Database(), path); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("socket for commands: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("socket for commands: %w", err), listener.Close())
	}
	s := &socket{core: c, listener: listener}
	s.server = &http.Server{Handler: http.HandlerFunc(s.handle), ReadHeaderTimeout: 10 * time.Second}
	return s, nil
}

// prepareSocket removes what a server that was killed left: we hold the database's lock, so nobody
// listens there. A directory for temporary files must be ours alone.
func prepareSocket(database, path string) error {
	if dir := filepath.Dir(path); dir != filepath.Dir(database) {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("socket for commands: %w", err)
		}
		if err := private(dir, database); err != nil {
			return err
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("socket for commands: %w", err)
	}
	return nil
}

// private makes sure that a directory belongs to the owner of the database and is closed to others:
// a socket that somebody else put there would be told passwords.
func private(dir, database string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("socket for commands: %w", err)
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !sameOwner(dir, database) {
		return fmt.Errorf("socket for commands: %s is not a private directory of the database's owner; remove it", dir)
	}
	return nil
}

// serve answers until close.
func (s *socket) serve() {
	if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.core.logger().Error("the socket for commands failed", "error", err)
	}
}

const socketDrain = 5 * time.Second

func (s *socket) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), socketDrain)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("socket for commands: %w", err), s.server.Close())
	}
	return nil
}

// maxOrder bounds an order and its result, in bytes.
const maxOrder = 16 << 20

func (s *socket) handle(w http.ResponseWriter, r *http.Request) {
	params, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	if err != nil {
		writeOperatorError(w, err)
		return
	}
	server := s.core.current()
	if server == nil {
		writeOperatorError(w, &model.Error{Kind: model.Unavailable, Code: model.TemporarilyDown, Text: "the server is starting or stopping; try again"})
		return
	}
	result, err := server.perform(r.Context(), strings.TrimPrefix(r.URL.Path, "/"), params)
	if err != nil {
		writeOperatorError(w, err)
		return
	}
	_, _ = w.Write(result) // the command has gone if this fails
}

// errNoServer says that no server has a database at present.
var errNoServer = errors.New("no server is running")

// reachServer finds the server that has a database by its socket.
func reachServer(ctx context.Context, database string) (*Operator, error) {
	database, err := filepath.Abs(database)
	if err != nil {
		return nil, err
	}
	path := socketPath(database)
	if dir := filepath.Dir(path); dir != filepath.Dir(database) {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil, errNoServer
		}
		if err := private(dir, database); err != nil {
			return nil, err
		}
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("a server has the database %s, and this user may not talk to it; run the command as the server's user or as root", database)
	}
	if err != nil {
		return nil, errNoServer
	}
	if err := conn.Close(); err != nil {
		return nil, err
	}
	transport := &http.Transport{DialContext: dial}
	client := &http.Client{Transport: transport}
	return &Operator{
		database: database, live: true,
		do: func(ctx context.Context, action string, params []byte) ([]byte, error) {
			return order(ctx, client, action, params)
		},
		close: func() error { transport.CloseIdleConnections(); return nil },
	}, nil
}

func order(ctx context.Context, client *http.Client, action string, params []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://server/"+action, bytes.NewReader(params))
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the running server did not answer: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxOrder))
	if err != nil {
		return nil, fmt.Errorf("the running server did not answer: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return body, nil
	}
	var refusal operatorError
	if err := json.Unmarshal(body, &refusal); err != nil {
		return nil, fmt.Errorf("the running server answered with status %d", response.StatusCode)
	}
	return nil, &model.Error{Kind: refusal.Kind, Code: refusal.Code, Text: refusal.Text}
}
