package edge_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// The lines that there are at once: for a network that is told to wait, for the other requests of one network, and
// for those of all.
const (
	linesOfLimits  = 5
	linesOfNetwork = 300
	linesOfAll     = 3000
)

// TestFailedSignInsAreLogged: one shape at every door, the address first, with the code and the user.
func TestFailedSignInsAreLogged(t *testing.T) {
	const msg = "sign-in failed"
	h := house.New(t, house.Limits(house.NoLimit, matrixauth.Rate{Burst: 3, PerMinute: 1}))
	h.Add("alice", "locked", "gone")
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "locked"})
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "gone"}})
	doors := map[string]func(name, clear string){
		"login": func(name, clear string) {
			h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody(name, clear, nil)})
		},
		"sign_in": func(name, clear string) {
			v := h.Browser()
			v.Get("/account/login")
			v.Post("/account/login", "username", name, "password", clear)
		},
	}
	for door, try := range doors {
		t.Run(door, func(t *testing.T) {
			h.Clock.Move(time.Hour) // the counts have recovered
			// A password in the wrong field must not be in the log.
			for _, one := range []struct{ name, clear, code, user string }{
				{"alice", "wrong", "invalid_credentials", "@alice:" + house.ServerName},
				{"ALICE", "wrong", "invalid_credentials", "@alice:" + house.ServerName},
				{house.AlicesPassword, "wrong", "invalid_credentials", "unknown"},
				{"@alice:elsewhere.test", "wrong", "invalid_credentials", "unknown"},
				{strings.Repeat("x", 600), "wrong", "invalid_credentials", "unknown"},
				{"locked", house.AlicesPassword, "user_locked", "@locked:" + house.ServerName},
				{"gone", house.AlicesPassword, "user_deactivated", "@gone:" + house.ServerName},
				{"alice", "wrong", "invalid_credentials", "@alice:" + house.ServerName},
				{"alice", house.AlicesPassword, "rate_limited", "@alice:" + house.ServerName},
			} {
				mark := len(h.Log.String())
				try(one.name, one.clear)
				if len(one.name) > 512 && door == "login" {
					continue // a bad request there
				}
				line := h.LineWith(mark, msg)
				house.WantFields(t, line, map[string]any{"client_ip": house.OfficeIP, "code": one.code, "user": one.user, "level": "INFO", "route": door})
				if (line["user_id"] != nil) != (one.user != "unknown") {
					t.Errorf("ids: %v", line)
				}
				if want := `"msg":"` + msg + `","client_ip":"` + house.OfficeIP + `","code":"` + one.code + `","user":"`; !strings.Contains(h.Log.String()[mark:], want) {
					t.Errorf("the shape differs:\n%s", h.Log.String()[mark:])
				}
				if len(h.Logged(mark, `"request"`)) > 0 && door == "login" {
					t.Error("it has a second line")
				}
			}
		})
	}
	t.Run("the page that asks again", func(t *testing.T) {
		h.Clock.Move(time.Hour)
		v := h.Browser()
		v.SignIn("alice", "")
		h.Clock.Move(10 * time.Minute)
		v.Get("/account/?action=org.matrix.cross_signing_reset").WantPage(t, http.StatusOK, "Reset your digital identity?")
		mark := len(h.Log.String())
		v.Post("/account/cross-signing-reset", "password", "wrong")
		house.WantFields(t, h.LineWith(mark, msg), map[string]any{"code": "invalid_credentials", "user": "@alice:" + house.ServerName, "client_ip": house.OfficeIP})
	})
	t.Run("who gets in is in a request's line", func(t *testing.T) {
		h.Clock.Move(time.Hour)
		mark := len(h.Log.String())
		s := h.LoginOn("alice", "PHONE")
		house.WantFields(t, h.LineWith(mark, "request"), map[string]any{"user": "@alice:" + house.ServerName, "user_id": h.UserID("alice"), "device_id": "PHONE", "status": 200})
		mark = len(h.Log.String())
		h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
		house.WantFields(t, h.LineWith(mark, "request"), map[string]any{"user": "@alice:" + house.ServerName, "device_id": "PHONE"})
	})
}

// TestLinesAreBounded: nobody fills the log, and a flood hides no guesses.
func TestLinesAreBounded(t *testing.T) {
	tell := func(h *house.House, all bool) { h.Lines.Tell(h.Logger, house.ServerName, all) }
	t.Run("guesses beyond the limit are counted", func(t *testing.T) {
		h := house.New(t, house.Limits(house.NoLimit, matrixauth.Rate{Burst: 2, PerMinute: 1}))
		h.Add("alice")
		mark := len(h.Log.String())
		const times = 100
		for range times {
			h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody("alice", "wrong", nil)})
		}
		lines := h.Logged(mark, `"sign-in failed"`)
		if want := 2 + linesOfLimits; len(lines) != want {
			t.Errorf("%d lines, want %d", len(lines), want)
		}
		tell(h, false)
		if len(h.Logged(mark, "more requests had no line")) != 0 {
			t.Error("the count came too early")
		}
		h.Clock.Move(time.Minute)
		tell(h, false)
		house.WantFields(t, h.LineWith(mark, "more requests had no line"), map[string]any{"network": house.OfficeIP, "requests": times - len(lines)})
		tell(h, true)
		if len(h.Logged(mark, "more requests had no line")) != 1 {
			t.Error("it was told twice")
		}
	})
	t.Run("a flood of other requests hides no guess", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		for range linesOfNetwork + 50 {
			h.Do(house.Call{Path: house.LoginPath})
		}
		mark := len(h.Log.String())
		h.Do(house.Call{Path: house.LoginPath})
		if lines := h.Logged(mark, `"request"`); len(lines) != 0 {
			t.Errorf("it is not bounded: %v", lines)
		}
		h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody("alice", "wrong", nil)})
		h.LineWith(mark, "sign-in failed")
		h.Do(house.Call{Path: house.LoginPath, IP: "198.51.100.7"})
		h.LineWith(mark, "request")
	})
	t.Run("a flood of others hides nobody who is signed in", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		for i := range linesOfAll + 50 {
			h.Do(house.Call{Path: house.LoginPath, IP: fmt.Sprintf("10.%d.%d.1", i/200, i%200)})
		}
		mark := len(h.Log.String())
		h.Do(house.Call{Path: house.LoginPath, IP: "198.51.100.7"})
		if lines := h.Logged(mark, `"request"`); len(lines) != 0 {
			t.Errorf("all together are not bounded: %v", lines)
		}
		h.LoginOn("alice", "PHONE")
		h.LineWith(mark, "request")
	})
	t.Run("a user is counted by name", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		v := h.SignedInAs("alice")
		for range linesOfNetwork + 10 {
			v.Get("/account/")
		}
		mark := len(h.Log.String())
		tell(h, true)
		house.WantFields(t, h.LineWith(mark, "more requests had no line"), map[string]any{"user": "@alice:" + house.ServerName, "user_id": h.UserID("alice"), "requests": 10})
	})
}

// TestRefusedIntrospections: what happens all the time is no news, but a homeserver with another secret is.
func TestRefusedIntrospections(t *testing.T) {
	h := house.New(t, house.Unlimited)
	mark := len(h.Log.String())
	h.Introspect("nothing")
	house.WantFields(t, h.LineWith(mark, "request"), map[string]any{"route": "introspect", "level": "DEBUG"})
	mark = len(h.Log.String())
	h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", Inside: true, Bearer: "another", Body: house.Form("token", "nothing"), Header: house.FormType})
	house.WantFields(t, h.LineWith(mark, "request"), map[string]any{"route": "introspect", "level": "INFO", "status": 401, "code": "invalid_client"})
}
