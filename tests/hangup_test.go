package tests

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestClientsHangUp has clients of a real Caddy break their connections off, in the middle of a request and as soon as it
// is sent: nothing of that counts as a fault, their tokens keep their worth, and each device at a real Synapse has a
// session (REF-8, TOK-15).
func TestClientsHangUp(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	password := h.AddUser("alice")
	first := h.Login("alice", password, map[string]any{"device_id": "PHONE", "refresh_token": true}).Must(t, http.StatusOK)
	site, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	// hangUp sends what there is of a request whose body has a length, and goes.
	hangUp := func(path, body string, length int) {
		t.Helper()
		connection, err := net.Dial("tcp", site.Host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, site.Host, length, body); err != nil {
			t.Fatal(err)
		}
		if err := connection.Close(); err != nil {
			t.Fatal(err)
		}
	}
	const refresh, login = "/_matrix/client/v3/refresh", "/_matrix/client/v3/login"
	half := `{"refresh_token":"`
	for range 5 {
		hangUp(refresh, half, 200)
	}
	whole := fmt.Sprintf(`{"refresh_token":%q}`, first.Text("refresh_token"))
	hangUp(refresh, whole, len(whole))
	entry := fmt.Sprintf(`{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":%q,"device_id":"TABLET"}`, password)
	hangUp(login, entry, len(entry))

	var found exposed
	for end := time.Now().Add(rig.Deadline); ; time.Sleep(50 * time.Millisecond) {
		if found, _ = scrape(t, h.Caddy); found.value(t, "matrix_auth_refreshes_total", "client_gone") >= 5 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("half requests were not counted as clients that are gone")
		}
	}
	for _, outcome := range []string{"temporarily_unavailable", "server_error", "refresh_refused"} {
		if got := found.value(t, "matrix_auth_refreshes_total", outcome); got != 0 {
			t.Errorf("%v refreshes count as %s", got, outcome)
		}
	}
	// The token that was sent by who hung up works, whether it was used or not.
	again := h.Call(http.MethodPost, "/v3/refresh", "", map[string]any{"refresh_token": first.Text("refresh_token")}).Must(t, http.StatusOK)
	token := again.Text("access_token")
	for end := time.Now().Add(rig.Deadline); ; time.Sleep(50 * time.Millisecond) {
		sessions, _ := scrape(t, h.Caddy)
		devices := h.Devices(token)
		if float64(len(devices)) == sessions.value(t, "matrix_auth_sessions", "compat") && sessions.value(t, "matrix_auth_outbox_jobs", "delete_device") == 0 && devices["PHONE"] {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("Synapse has the devices %v, and we %v sessions", devices, sessions.value(t, "matrix_auth_sessions", "compat"))
		}
	}
}
