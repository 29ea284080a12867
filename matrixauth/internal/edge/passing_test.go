package edge_test

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
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
	h := house.New(t)
	for _, path := range []string{
		"/", "/_matrix/client/v3/sync", "/_matrix/client/v3/rooms/!a:b/messages", "/_matrix/media/v3/download/a/b", "/_matrix/federation/v1/send/1",
		"/_matrix/client/v3/rooms/%21a%3Ab/send/m.room.message/1", "/_synapse/admin/v1/rooms", "/account.html", "/authorized", "/oauth2", "/.well-known/matrix/client", "/_matrix/client/v3/sync?timeout=30000&since=s1", "/_matrix/client/v3/sync?access_token=abc",
		"/_matrix/client/v3/rooms/!a:b/state/x_y/z", "/app/100%25",
	} {
		method := http.MethodGet
		if strings.Contains(path, "/send/") {
			method = http.MethodPut
		}
		r := httptest.NewRequest(method, "https://"+house.IssuerHost+path, strings.NewReader("{}"))
		r.Header.Set("Authorization", "Bearer some-token")
		r.Header.Set("Cookie", "theme=dark; session=0123456789abcdef; matrix=auth")
		r.Header.Set("X-Matrix-User-Identity", "nobody's header")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		var w http.ResponseWriter = mute{http.Header{"Content-Type": {"application/json"}}}
		for _, next := range []matrixauth.Next{silent{}, &talking{[]byte(`{"next_batch":"s2"}`)}} {
			if allocated := testing.AllocsPerRun(100, func() {
				if err := h.Current().ServeHTTP(w, r, next); err != nil {
					t.Error(err)
				}
			}); allocated != 0 {
				t.Errorf("%s cost %v allocations by %T", path, allocated, next)
			}
		}
	}
}

// given is a next handler that keeps what it was given.
type given struct{ header http.Header }

func (s *given) ServeHTTP(_ http.ResponseWriter, r *http.Request) error {
	s.header = r.Header
	return nil
}

// TestWithheld: what is between browsers, us and the homeserver does not go on.
func TestWithheld(t *testing.T) {
	h := house.New(t)
	for _, path := range []string{"/", "/_matrix/client/v3/sync", "/app/"} {
		r := httptest.NewRequest(http.MethodGet, "https://"+house.IssuerHost+path, nil)
		r.Header["Cookie"] = []string{"theme=dark; __Host-matrix_auth=secret", "matrix_auth=secret", "lang=en"}
		r.Header.Set("Upgrade", "websocket")
		for _, name := range []string{"X-Matrix-User-Identifier", "x-matrix-user-identifier", "X_Matrix_User_Identifier", "X-MATRIX_USER-IDENTIFIER"} { // NEW-13
			r.Header[name] = []string{"@alice:example.test"}
		}
		got := &given{}
		h.Must(h.Current().ServeHTTP(httptest.NewRecorder(), r, got))
		if want := (http.Header{"Cookie": {"theme=dark", "lang=en"}, "Upgrade": {"websocket"}}); !reflect.DeepEqual(got.header, want) {
			t.Errorf("%s: got %v, want %v", path, got.header, want)
		}
	}
}

// TestWithheldUnready: nor does it before the database is open.
func TestWithheldUnready(t *testing.T) {
	h := house.New(t)
	r := httptest.NewRequest(http.MethodGet, "https://"+house.IssuerHost+"/app", nil)
	r.Header.Set("Cookie", "matrix_auth=secret")
	if h.Config.Unready(httptest.NewRecorder(), r) || len(r.Header) != 0 {
		t.Errorf("the next handler gets %v", r.Header)
	}
}
