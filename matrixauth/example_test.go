package matrixauth_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// synapse stands for the proxy to the homeserver that comes next: httputil.ReverseProxy, for one.
type synapse struct{}

// ServeHTTP answers whatever is not the Server's.
func (synapse) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	_, err := fmt.Fprintf(w, "Synapse answers %s", r.URL.Path)
	return err
}

// A Server is embedded in any server of net/http: what is its own it answers, and everything else it hands on.
func Example() {
	if err := example(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// GET /_matrix/client/versions: Synapse answers /_matrix/client/versions
	// GET /_matrix/client/v3/login: {"flows":[{"type":"m.login.password"}]}
	// GET /_synapse/mas/query_user: {"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}
}

func example() error {
	folder, err := os.MkdirTemp("", "matrixauth")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)

	// The Core holds the database and outlives configurations; one process has a database at a time.
	core, err := matrixauth.Open(context.Background(), matrixauth.OpenOptions{Database: filepath.Join(folder, "matrix_auth.db"), Create: true})
	if err != nil {
		return err
	}
	defer core.Close()
	if err := core.Run(); err != nil {
		return err
	}

	// A Server answers by one configuration. A new configuration is a new Server on the same Core.
	config := matrixauth.Config{ServerName: "example.com", Issuer: "https://matrix.example.com", Secret: "shared-with-synapse"}
	server, err := matrixauth.New(core, config.WithDefaults(), matrixauth.Deps{Logger: slog.New(slog.DiscardHandler), ClientIP: peer})
	if err != nil {
		return err
	}
	server.Start()
	defer server.Stop()

	// The public site. server.Internal() is for a listener that Synapse alone reaches.
	site := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := server.ServeHTTP(w, r, synapse{}); err != nil {
			http.Error(w, "the homeserver does not answer", http.StatusBadGateway)
		}
	})
	for _, path := range []string{"/_matrix/client/versions", "/_matrix/client/v3/login", "/_synapse/mas/query_user"} {
		answer := httptest.NewRecorder()
		site.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "https://matrix.example.com"+path, nil))
		fmt.Printf("GET %s: %s\n", path, answer.Body)
	}
	return nil
}

// peer is the address of whoever speaks to us. Behind proxies it must be found through those that are trusted.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
