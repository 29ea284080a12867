package contract

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Introspector answers a homeserver about access tokens, in the place of its authentication service. It
// knows those that a case grants.
type Introspector struct {
	// URL is what the homeserver has for an endpoint.
	URL    string
	mu     sync.Mutex
	tokens map[string]map[string]any
}

// StartIntrospector listens on an address until the test ends.
func StartIntrospector(t testing.TB, address string) *Introspector {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	i := &Introspector{URL: "http://" + listener.Addr().String() + "/", tokens: map[string]map[string]any{}}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: i}}
	server.Start()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return i
}

// grant makes a token that the introspector calls active, with these members of the answer.
func (i *Introspector) grant(token string, answer map[string]any) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tokens[token] = answer
	return token
}

// ServeHTTP answers every request as one for introspection.
func (i *Introspector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	answer, ok := i.tokens[r.FormValue("token")]
	i.mu.Unlock()
	if !ok {
		answer = map[string]any{"active": false}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the homeserver has gone if this fails
}
