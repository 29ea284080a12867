package compat_test

import (
	"net/http"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestCapabilities: apps of the legacy API are told that they can change the password, and nobody else is (ACCT-14).
func TestCapabilities(t *testing.T) {
	const path = "/_matrix/client/v3/capabilities"
	const denied = `{"capabilities":{"m.change_password":{"enabled":false},"m.room_versions":{"default":"12"}},"more":[1, 2]}`
	const allowed = `{"capabilities":{"m.change_password":{"enabled":true},"m.room_versions":{"default":"12"}},"more":[1,2]}`
	answering := func(h *house.House, body string) {
		h.Answering(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
		})
	}
	ask := func(h *house.House, method, path, token string) string {
		h.T.Helper()
		a := h.Do(house.Call{Method: method, Path: path, Bearer: token})
		a.WantStatus(h.T, http.StatusOK)
		return a.Body
	}
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	h.Register("app", "")
	phone, modern := h.LoginOn("alice", "PHONE"), h.OauthSession("alice", "app", "LAPTOP")
	dead := h.LoginOn("alice", "GONE")
	answering(h, denied)
	h.Logout(dead.AccessToken)
	house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "carol"})
	without := h.Issue("carol", "BOT").Token
	for name, c := range map[string]struct{ path, token, want string }{
		"a legacy session":                {path, phone.AccessToken, allowed},
		"by the query":                    {path + "?access_token=" + phone.AccessToken, "", allowed},
		"an old version":                  {"/_matrix/client/r0/capabilities", phone.AccessToken, allowed},
		"a session of OAuth":              {path, modern.AccessToken, denied},
		"a token of a bridge":             {path, "syt_bridge", denied},
		"an account without a password":   {path, without, denied},
		"nobody":                          {path, "", denied},
		"another question of the session": {"/_matrix/client/v3/sync", phone.AccessToken, denied},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ask(h, http.MethodGet, c.path, c.token); got != c.want {
				t.Errorf("got %s", got)
			}
		})
	}
	t.Run("what is no capabilities passes", func(t *testing.T) {
		for _, body := range []string{`{}`, `[]`, `{`, ``, `{"capabilities":1}`, `{"capabilities":null}`} {
			answering(h, body)
			if got := ask(h, http.MethodGet, path, phone.AccessToken); got != body {
				t.Errorf("%q became %q", body, got)
			}
		}
	})
	t.Run("turned off", func(t *testing.T) {
		h := house.New(t, house.Unlimited, func(c *matrixauth.Config) { c.LegacyAccount = matrixauth.LegacyAccountOff })
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		answering(h, denied)
		if got := ask(h, http.MethodGet, path, phone.AccessToken); got != denied {
			t.Errorf("got %s", got)
		}
	})
	t.Run("a confirmation by who has no password", func(t *testing.T) {
		for _, d := range []deed{passwordDeed, deactivateDeed, deviceDeed, devicesDeed} {
			send(h, without, d).Want(t, http.StatusForbidden, "M_FORBIDDEN")
		}
	})
}
