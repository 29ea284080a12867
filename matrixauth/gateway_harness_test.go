package matrixauth

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// refusing answers as Synapse does when a token is not active.
func refusing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
	w.WriteHeader(http.StatusUnauthorized)
	if _, err := io.WriteString(w, hardRefusal); err != nil && r.Method != http.MethodHead {
		panic(err)
	}
}

// reconcile asks the homeserver about everybody who is noted.
func (h *house) reconcile() error { return h.reconcileQueue.Pass(context.Background()) }

func (h *house) state(localpart string) string {
	h.t.Helper()
	return act(h, ShowUser, Name{User: localpart}).State
}

// behind has the fake homeserver answer what goes on through the site, as Synapse does.
func (h *house) behindSite() { h.answering(h.fake.ServeHTTP) }

// list sends a client's request to the homeserver.
func (h *house) list(token string) answer {
	h.t.Helper()
	return h.do(call{path: devicesPath, bearer: token})
}

// household is a server with people who signed in one after another, a minute apart.
func household(t *testing.T, names ...string) (*house, map[string]signedIn) {
	t.Helper()
	h := newHouse(t, unlimited)
	h.behindSite()
	h.add(names...)
	sessions := map[string]signedIn{}
	for _, name := range names {
		sessions[name] = h.login(name, object{"device_id": strings.ToUpper(name), "refresh_token": true})
		h.clock.Move(time.Minute)
	}
	return h, sessions
}

// renewed refreshes everybody's tokens, as apps do.
func (h *house) renewed(sessions map[string]signedIn) {
	h.t.Helper()
	for name, s := range sessions {
		sessions[name] = h.signedIn(h.refresh(s.RefreshToken))
	}
}

// wantDeviceless checks that the homeserver would honour a token without a device.
func (h *house) wantDeviceless(token string) {
	h.t.Helper()
	if d := h.introspect(token).document(h.t); d["active"] != true || d["device_id"] != nil {
		h.t.Fatalf("got %v", d)
	}
}

// apiPaths are paths that go on to the homeserver, as clients ask for them.
var apiPaths = []string{
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
	hardRefusal = `{"errcode":"M_UNKNOWN_TOKEN","error":"Token is not active","soft_logout":false}`
	softRefusal = `{"errcode":"M_UNKNOWN_TOKEN","error":"Token is not active","soft_logout":true}`
)

const devicesPath = "/_matrix/client/v3/devices"
