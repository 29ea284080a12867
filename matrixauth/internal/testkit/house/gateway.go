package house

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// Refusing answers as Synapse does when a token is not active.
func Refusing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
	w.WriteHeader(http.StatusUnauthorized)
	if _, err := io.WriteString(w, HardRefusal); err != nil && r.Method != http.MethodHead {
		panic(err)
	}
}

// Reconcile asks the homeserver about everybody who is noted.
func (h *House) Reconcile() error { return h.ReconcileQueue.Pass(context.Background()) }

// State returns the state of an account as operators see it: active, locked or deactivated.
func (h *House) State(localpart string) string {
	h.T.Helper()
	return Act(h, matrixauth.ShowUser, matrixauth.Name{User: localpart}).State
}

// BehindSite has the fake homeserver answer what goes on through the site, as Synapse does.
func (h *House) BehindSite() { h.Answering(h.Fake.ServeHTTP) }

// List sends a client's request to the homeserver.
func (h *House) List(token string) Answer {
	h.T.Helper()
	return h.Do(Call{Path: DevicesPath, Bearer: token})
}

// Household is a server with people who signed in one after another, a minute apart.
func Household(t *testing.T, names ...string) (*House, map[string]SignedIn) {
	t.Helper()
	h := New(t, Unlimited)
	h.BehindSite()
	h.Add(names...)
	sessions := map[string]SignedIn{}
	for _, name := range names {
		sessions[name] = h.Login(name, Object{"device_id": strings.ToUpper(name), "refresh_token": true})
		h.Clock.Move(time.Minute)
	}
	return h, sessions
}

// Renewed refreshes everybody's tokens, as apps do.
func (h *House) Renewed(sessions map[string]SignedIn) {
	h.T.Helper()
	for name, s := range sessions {
		sessions[name] = h.SignedIn(h.Refresh(s.RefreshToken))
	}
}

// WantDeviceless checks that the homeserver would honour a token without a device.
func (h *House) WantDeviceless(token string) {
	h.T.Helper()
	if d := h.Introspect(token).Document(h.T); d["active"] != true || d["device_id"] != nil {
		h.T.Fatalf("got %v", d)
	}
}

// APIPaths are paths that go on to the homeserver, as clients ask for them.
var APIPaths = []string{
	"/_matrix/client/v3/sync", "/_matrix/client/v3/account/whoami", "/_matrix/client/r0/joined_rooms", "/_matrix/client/v3/keys/upload",
	"/_matrix/client/unstable/org.matrix.simplified_msc3575/sync", "/_matrix/client/v1/media/download/example.test/abc",
	"/_matrix/client/v1/media/config", "/_matrix/client/v3/devices/PHONE", "/_matrix/client/versions", "/_matrix/client/v3/unknown",
	"/_matrix/media/v3/upload", "/_matrix/media/v3/config", "/_matrix/media/v1/create",
	"/_synapse/admin/v1/rooms", "/_synapse/admin/v2/users/@a:b", "/_synapse/client/unsubscribe", "/_synapse/admin/v1/%2e%2e/rooms",
	// Where a handler behind ours takes a prefix off.
	"/proxy/_matrix/client/v3/sync", "/x_matrix/client/v3/sync", "//_synapse/admin/v1/rooms", "/x/%255fsynapse/admin/v1/rooms",
}

// What Synapse says of every token that is not active, and what it should have said of some.
const (
	// HardRefusal is what Synapse says of every token that is not active.
	HardRefusal = `{"errcode":"M_UNKNOWN_TOKEN","error":"Token is not active","soft_logout":false}`
	// SoftRefusal is what clients must be told of one whose session lives.
	SoftRefusal = `{"errcode":"M_UNKNOWN_TOKEN","error":"Token is not active","soft_logout":true}`
)

// DevicesPath is a path that goes on to the homeserver, and for which a token is needed.
const DevicesPath = "/_matrix/client/v3/devices"
