package fake

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
)

// Server is a Synapse that listens on a loopback port of its own.
type Server struct {
	*Synapse
	// URL is where it listens, also after Stop and Resume.
	URL *url.URL

	t      testing.TB
	server *httptest.Server
	http   *http.Client
}

// Start makes a Synapse and lets it listen until the test ends.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	s := &Server{Synapse: New(c), t: t, http: &http.Client{Transport: &http.Transport{}}}
	s.listen("127.0.0.1:0")
	s.URL = &url.URL{Scheme: "http", Host: s.server.Listener.Addr().String()}
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) listen(address string) {
	s.t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		s.t.Fatalf("fake homeserver: %v", err)
	}
	s.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: s.Synapse}}
	s.server.Start()
}

// Stop closes the port and all connections, calls that wait at a gate among them: connections are
// refused from now on. Users and devices stay.
func (s *Server) Stop() {
	if s.server == nil {
		return
	}
	s.server.CloseClientConnections()
	s.server.Close()
	s.server = nil
	s.http.CloseIdleConnections()
}

// Resume listens again on the same port after Stop. It must be called by the test's own goroutine.
func (s *Server) Resume() {
	s.t.Helper()
	if s.server == nil {
		s.listen(s.URL.Host)
	}
}

// CloseIdle closes the server's side of all connections, as a homeserver does with those that are idle.
func (s *Server) CloseIdle() { s.server.CloseClientConnections() }

// Client makes a client of this homeserver, with the right secret and server name. It leaves no
// connection behind the test.
func (s *Server) Client() *homeserver.Client {
	return homeserver.New(homeserver.Config{Endpoint: s.URL, Secret: s.config.Secret, ServerName: s.config.ServerName, HTTP: s.http})
}

// HTTP returns the HTTP client whose connections Stop closes.
func (s *Server) HTTP() *http.Client { return s.http }

// Secret returns the shared secret.
func (s *Server) Secret() string { return s.config.Secret }
