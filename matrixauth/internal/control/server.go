package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// Server listens on the socket of a database.
type Server struct {
	operations func() Operations
	listener   net.Listener
	http       *http.Server
}

// Listen opens the socket of a database, whose lock the caller holds. operations is asked at each call; it
// returns nil while there is nobody who could perform one.
func Listen(database string, operations func() Operations) (*Server, error) {
	path := SocketPath(database)
	if err := prepare(database, path); err != nil {
		return nil, err
	}
	listener, err := place.Listen(path)
	if err != nil {
		return nil, fmt.Errorf("socket for commands: %w", err)
	}
	s := &Server{operations: operations, listener: listener}
	s.http = &http.Server{Handler: http.HandlerFunc(s.handle), ReadHeaderTimeout: 10 * time.Second, ConnContext: withPeer}
	return s, nil
}

// Serve answers until Close. Its error says that it cannot go on.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// drain bounds how long Close waits for calls under way.
const drain = 5 * time.Second

// Close ends Serve, and waits for calls under way.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("socket for commands: %w", err), s.http.Close())
	}
	return nil
}

func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	params, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		writeRefusal(w, err)
		return
	}
	operations := s.operations()
	if operations == nil {
		writeRefusal(w, model.Errorf(model.TemporarilyDown, "the server is starting or stopping; try again"))
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == copyPath {
		sendCopy(w, r, operations)
		return
	}
	result, err := operations.Perform(r.Context(), peer(r.Context()), name, params)
	if err != nil {
		writeRefusal(w, err)
		return
	}
	_, _ = w.Write(result) // the command has gone if this fails
}

func sendCopy(w http.ResponseWriter, r *http.Request, operations Operations) {
	begun := false
	err := operations.Copy(r.Context(), peer(r.Context()), func(size int64) io.Writer {
		begun = true
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		return w
	})
	switch {
	case err == nil:
	case begun:
		panic(http.ErrAbortHandler) // so that the command sees that the copy is not whole
	default:
		writeRefusal(w, err)
	}
}
