package matrixauth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// socket is the Unix socket beside the database on which a running server takes the orders of
// commands. Its file permissions are its whole access control: who can open the database can do
// all that the socket can.
type socket struct {
	core     *Core
	listener net.Listener
	server   *http.Server
}

// socketPath is where the server of a database listens: beside it. Where that path is too long for a socket it
// is a private directory for temporary files, which a service may have to itself, so that its commands do not
// find it; Linux has a way around.
func socketPath(database string) string {
	if path := database + ".sock"; len(path) <= place.MaxSocketPath || place.LongSockets() {
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
	listener, err := place.Listen(path)
	if err != nil {
		return nil, fmt.Errorf("socket for commands: %w", err)
	}
	s := &socket{core: c, listener: listener}
	s.server = &http.Server{Handler: http.HandlerFunc(s.handle), ReadHeaderTimeout: 10 * time.Second, ConnContext: withPeer}
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
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !place.SameOwner(dir, database) {
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
		writeOperatorError(w, model.Errorf(model.TemporarilyDown, "the server is starting or stopping; try again"))
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == copyOrder {
		s.sendCopy(w, r, server)
		return
	}
	result, err := server.perform(r.Context(), name, params)
	if err != nil {
		writeOperatorError(w, err)
		return
	}
	_, _ = w.Write(result) // the command has gone if this fails
}

// copyOrder is the order whose result is no JSON: a copy of the database. The command that asked for it
// writes it down, so that a backup belongs to who made it and the server writes nowhere but beside its
// database.
const copyOrder = "copy"

func (s *socket) sendCopy(w http.ResponseWriter, r *http.Request, server *Server) {
	made, err := s.core.store.Copy(r.Context())
	if err != nil {
		server.tell(r.Context(), backupAction, false, new(actionLog), err)
		writeOperatorError(w, model.Errorf(model.ServerError, "the server could not copy the database; its log says why"))
		return
	}
	info, err := made.Stat()
	if err == nil {
		w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
		_, err = io.Copy(w, made)
	}
	err = errors.Join(err, made.Close())
	server.tell(r.Context(), backupAction, false, new(actionLog), err)
	if err != nil {
		panic(http.ErrAbortHandler) // so that the command sees that the copy is not whole
	}
}
