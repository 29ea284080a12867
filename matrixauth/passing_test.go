package matrixauth

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// silent is a next handler that does nothing.
type silent struct{}

func (silent) ServeHTTP(http.ResponseWriter, *http.Request) error { return nil }

// TestForeignRequestsCostNothing: what is not ours passes without an allocation of ours.
func TestForeignRequestsCostNothing(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{
		"/", "/_matrix/client/v3/sync", "/_matrix/client/v3/rooms/!a:b/messages", "/_matrix/media/v3/download/a/b", "/_matrix/federation/v1/send/1",
		"/_synapse/admin/v1/rooms", "/.well-known/matrix/client",
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "https://"+issuerHost+path, nil)
		r.Header.Set("Authorization", "Bearer some-token")
		var next Next = silent{}
		if allocated := testing.AllocsPerRun(100, func() {
			if err := h.current().ServeHTTP(w, r, next); err != nil {
				t.Error(err)
			}
		}); allocated != 0 {
			t.Errorf("%s cost %v allocations", path, allocated)
		}
	}
}
