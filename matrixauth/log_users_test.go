package matrixauth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestLinesNameTheirUser: what the server tells of its own accord about somebody names them by both ids, at the level and
// with the fields that docs/logs.md promises.
func TestLinesNameTheirUser(t *testing.T) {
	down := func(h *house.House) { h.Fake.Fail(http.StatusInternalServerError, "M_UNKNOWN") }
	for msg, c := range map[string]struct {
		level string
		do    func(h *house.House)
		more  []string
	}{
		"a job failed and is tried again later": {"WARN", func(h *house.House) {
			s := h.LoginOn("alice", "PHONE")
			down(h)
			h.Logout(s.AccessToken)
		}, []string{"device_id", "job", "position", "attempts", "error"}},
		"a job was refused for good; it is set aside": {"WARN", func(h *house.House) {
			s := h.LoginOn("alice", "PHONE")
			h.Tap.RefuseAll("delete_device")
			h.Logout(s.AccessToken)
		}, []string{"device_id", "job", "position", "error"}},
		"a device could not be made at the homeserver": {"WARN", func(h *house.House) {
			h.Tap.RefuseAll("upsert_device")
			h.TryLogin("alice", nil)
		}, []string{"error"}},
		"the homeserver has deactivated an account; it is deactivated here too, and its sessions are ended": {"WARN", func(h *house.House) {
			h.Fake.Deactivate("alice")
			h.TryLogin("alice", nil)
		}, nil},
		"a consumed refresh token was presented again; its session is ended": {"WARN", func(h *house.House) {
			first := h.Login("alice", house.Object{"refresh_token": true})
			second := h.SignedIn(h.Refresh(first.RefreshToken))
			third := h.SignedIn(h.Refresh(second.RefreshToken))
			h.SignedIn(h.Refresh(third.RefreshToken))
			h.Clock.Move(time.Hour)
			h.Refresh(first.RefreshToken)
		}, []string{"session_id", "client_ip"}},
		"a code was presented again; its session is ended": {"WARN", func(h *house.House) {
			code := h.SignedInAs("alice").Consent(house.Params("app"))
			h.Tokens(h.Exchange("app", code))
			h.Clock.Move(time.Hour)
			h.Exchange("app", code)
		}, []string{"session_id", "client_ip"}},
		"a logout did not wait for its device's deletion": {"INFO", func(h *house.House) {
			s := h.LoginOn("alice", "PHONE")
			down(h)
			h.Logout(s.AccessToken)
		}, []string{"error"}},
		"request": {"WARN", func(h *house.House) { // 5xx is a warning
			s := h.LoginOn("alice", "PHONE")
			h.SQL("ALTER TABLE outbox RENAME TO elsewhere")
			h.Logout(s.AccessToken)
			h.SQL("ALTER TABLE elsewhere RENAME TO outbox")
		}, []string{"route", "method", "status", "client_ip", "took", "code", "cause"}},
	} {
		t.Run(msg, func(t *testing.T) {
			h := house.WithApp(t)
			mark := len(h.Log.String())
			c.do(h)
			var line map[string]any
			for _, found := range h.Logged(mark, msg) {
				if found["msg"] == msg && found["level"] == c.level {
					line = found
				}
			}
			if line == nil {
				t.Fatalf("there is no such line at level %s:\n%s", c.level, h.Log.String()[mark:])
			}
			if msg != "request" && (line["user"] != "@alice:"+house.ServerName || line["user_id"] != h.UserID("alice")) {
				t.Errorf("it names %v, %v", line["user"], line["user_id"])
			}
			for _, field := range c.more {
				if line[field] == nil || line[field] == "" {
					t.Errorf("it has no %s: %v", field, line)
				}
			}
		})
	}
}
