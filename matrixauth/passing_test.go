package matrixauth

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// silent is a next handler that does nothing.
type silent struct{}

func (silent) ServeHTTP(http.ResponseWriter, *http.Request) error { return nil }

// talking is a next handler that answers, in parts.
type talking struct{ body []byte }

func (n talking) ServeHTTP(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusOK)
	for range 2 {
		if _, err := w.Write(n.body); err != nil {
			return err
		}
	}
	return http.NewResponseController(w).Flush()
}

// mute is a writer that costs nothing.
type mute struct{ header http.Header }

func (m mute) Header() http.Header       { return m.header }
func (mute) WriteHeader(int)             {}
func (mute) Write(b []byte) (int, error) { return len(b), nil }
func (mute) FlushError() error           { return nil }

// TestForeignRequestsCostNothing: what is not ours passes without an allocation of ours, and so does the
// answer, if it refuses no token.
func TestForeignRequestsCostNothing(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{
		"/", "/_matrix/client/v3/sync", "/_matrix/client/v3/rooms/!a:b/messages", "/_matrix/media/v3/download/a/b", "/_matrix/federation/v1/send/1",
		"/_synapse/admin/v1/rooms", "/account.html", "/authorized", "/oauth2", "/.well-known/matrix/client", "/_matrix/client/v3/sync?timeout=30000&since=s1", "/_matrix/client/v3/sync?access_token=abc",
	} {
		r := httptest.NewRequest(http.MethodGet, "https://"+issuerHost+path, nil)
		r.Header.Set("Authorization", "Bearer some-token")
		var w http.ResponseWriter = mute{http.Header{"Content-Type": {"application/json"}}}
		for _, next := range []Next{silent{}, &talking{[]byte(`{"next_batch":"s2"}`)}} {
			if allocated := testing.AllocsPerRun(100, func() {
				if err := h.current().ServeHTTP(w, r, next); err != nil {
					t.Error(err)
				}
			}); allocated != 0 {
				t.Errorf("%s cost %v allocations by %T", path, allocated, next)
			}
		}
	}
}
