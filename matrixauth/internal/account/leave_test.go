package account_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

const (
	leavePath    = "/account/leave"
	leaveHeading = "Deactivate your account?"
	leftHeading  = "Your account is deactivated"
	alicesID     = "@alice:" + house.ServerName
)

// leaveHouse has alice at the page on which an account is deactivated, signed in so long ago, with an app and another browser.
func leaveHouse(t *testing.T, before time.Duration, changes ...house.Change) (h *house.House, v, other *house.Browser, app house.SignedIn) {
	t.Helper()
	h = house.New(t, append([]house.Change{house.Unlimited}, changes...)...)
	h.Add("alice", "bob")
	app, other, v = h.LoginOn("alice", "PHONE"), h.SignedInAs("alice"), h.Browser()
	v.SignIn("alice", "")
	h.Clock.Move(before)
	v.Get(leavePath).WantPage(t, http.StatusOK, leaveHeading)
	return h, v, other, app
}

// deactivated reports whether the homeserver has deactivated alice.
func deactivated(h *house.House) bool {
	h.T.Helper()
	u, ok := h.Fake.User("alice")
	return ok && u.Deactivated
}

// TestLeavePage: who leaves is told what is lost and what stays, types the whole Matrix id, and is out everywhere (ACCT-2,
// ACCT-5, ACCT-6, SESS-5). No script runs here (ACCT-11).
func TestLeavePage(t *testing.T) {
	t.Run("it says what is lost and what stays", func(t *testing.T) {
		h, v, _, _ := leaveHouse(t, 0)
		for _, part := range []string{alicesID, "not even you", "You leave all rooms", "What stays", "keep their copies", "Hide my messages", "cannot be undone", "Cancel"} {
			if !strings.Contains(house.Shown(v.At), part) {
				t.Errorf("the page lacks %q: %s", part, house.Shown(v.At))
			}
		}
		if strings.Contains(v.At.Body, "email addresses are removed") || deactivated(h) {
			t.Error("alice has no addresses, and did nothing yet")
		}
	})
	for _, erase := range []string{"", "1"} {
		t.Run("erase "+erase, func(t *testing.T) {
			h, v, other, app := leaveHouse(t, 0)
			before := v.Value()
			v.Post(leavePath, "account", alicesID, "erase", erase)
			there, _ := h.Fake.User("alice")
			if !there.Deactivated || there.Erased != (erase != "") || len(there.Devices) != 0 {
				t.Errorf("the homeserver has %+v", there)
			}
			v.Follow().WantPage(t, http.StatusOK, leftHeading)
			if v.Value() == before {
				t.Error("the cookie is the old one")
			}
			h.WantInactive(app.AccessToken)
			for _, b := range []*house.Browser{v, other, h.BrowserWith(before)} {
				b.Get("/account/").WantTo(t, "/account/login")
			}
			v.Get("/account/login")
			page := v.At
			v.Post("/account/login", "username", "alice", "password", "wrong").WantPage(t, http.StatusForbidden, "Sign in")
			v.At = page
			v.Post("/account/login", "username", "alice", "password", house.AlicesPassword).WantPage(t, http.StatusForbidden, "This account is deactivated")
			for _, e := range house.Act(h, matrixauth.ListEvents, matrixauth.EventQuery{User: "alice"}).Events {
				if e.Action == "user.deactivate" && (e.By.Kind != "user" || e.Details["erase"] != (erase != "")) {
					t.Errorf("the event is %+v", e)
				}
			}
			if who, _ := h.Fake.User("bob"); who.Deactivated {
				t.Error("bob left too")
			}
		})
	}
	t.Run("another Matrix id is refused, and what was typed and ticked stays", func(t *testing.T) {
		h, v, _, _ := leaveHouse(t, 0)
		for _, typed := range []string{"", "alice", "@alice", "@bob:" + house.ServerName, "@alice:elsewhere.test", alicesID + "x"} {
			v.Post(leavePath, "account", typed, "erase", "1").WantPage(t, http.StatusBadRequest, leaveHeading)
			if !strings.Contains(house.Shown(v.At), "not the Matrix ID of your account") || !strings.Contains(v.At.Body, `value="`+typed+`"`) || !strings.Contains(v.At.Body, " checked") {
				t.Errorf("%q: the page is %s", typed, v.At.Body)
			}
		}
		if deactivated(h) {
			t.Error("it is deactivated")
		}
		v.Post(leavePath, "account", " "+strings.ToUpper(alicesID)+" ")
		v.Follow().WantPage(t, http.StatusOK, leftHeading)
	})
	t.Run("the password is asked for if it was not given a moment ago", func(t *testing.T) {
		h, v, _, _ := leaveHouse(t, bound.ProofLife+time.Second)
		if !strings.Contains(v.At.Body, `type="password"`) {
			t.Error("there is no field for the password")
		}
		for password, want := range map[string]string{"": "Give it again", "wrong": "not your password"} {
			v.Post(leavePath, "account", alicesID, "password", password).WantPage(t, http.StatusForbidden, leaveHeading)
			if !strings.Contains(house.Shown(v.At), want) || !strings.Contains(v.At.Body, `value="`+alicesID+`"`) {
				t.Errorf("the page says %s, want %q", house.Shown(v.At), want)
			}
		}
		if deactivated(h) {
			t.Error("it is deactivated without a proof")
		}
		v.Post(leavePath, "account", alicesID, "password", house.AlicesPassword)
		v.Follow().WantPage(t, http.StatusOK, leftHeading)
	})
	t.Run("a proof that was given in another browser counts nothing", func(t *testing.T) {
		h, v, _, _ := leaveHouse(t, bound.ProofLife+time.Second)
		h.SignedInAs("alice")
		v.Post(leavePath, "account", alicesID).WantPage(t, http.StatusForbidden, leaveHeading)
	})
	t.Run("the form of another browser, or of who was signed in before, does nothing", func(t *testing.T) {
		h, v, other, _ := leaveHouse(t, 0)
		other.At = v.At
		other.Post(leavePath, "account", alicesID).WantTo(t, leavePath+"?stale=1")
		other.Follow().WantPage(t, http.StatusOK, leaveHeading)
		old := v.At
		v.Get("/account/")
		v.Post("/account/logout", "again", "1")
		v.SignIn("bob", "")
		v.At = old
		v.Post(leavePath, "account", alicesID).WantTo(t, leavePath+"?stale=1")
		v.Follow().WantPage(t, http.StatusOK, leaveHeading)
		v.Post(leavePath, "account", alicesID).WantPage(t, http.StatusBadRequest, leaveHeading) // bob is asked for his own
		v.Ask(http.MethodPost, leavePath, house.Form("account", alicesID), http.Header{"Content-Type": house.FormType["Content-Type"], "Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}})
		if v.At.Status != http.StatusForbidden || deactivated(h) {
			t.Errorf("got %d", v.At.Status)
		}
	})
	t.Run("two clicks, and two tabs, are one", func(t *testing.T) {
		h, v, _, _ := leaveHouse(t, 0)
		tabs := []*house.Browser{h.BrowserWith(v.Value()), h.BrowserWith(v.Value())}
		var group sync.WaitGroup
		for _, tab := range tabs {
			tab.At = v.At
			group.Go(func() { tab.Post(leavePath, "account", alicesID) })
		}
		group.Wait()
		for _, tab := range tabs {
			tab.Follow().WantPage(t, http.StatusOK, leftHeading)
		}
		if n := h.Count("events WHERE action = 'user.deactivate'"); n != 1 {
			t.Errorf("%d events", n)
		}
	})
	t.Run("nobody can make the page say it", func(t *testing.T) {
		h, v, _, _ := leaveHouse(t, 0)
		for _, query := range []string{"", "?left=1", "?left=99999999999.abc"} {
			v.Get("/account/left"+query).WantTo(t, "/account/login")
		}
		v.Get(leavePath)
		v.Post(leavePath, "account", alicesID)
		done := v.At.Header.Get("Location")
		h.Browser().Get(done).WantTo(t, "/account/login")
		h.Clock.Move(time.Hour)
		v.Get(done).WantTo(t, "/account/login")
	})
	t.Run("it works while the homeserver is down, which is told later", func(t *testing.T) {
		h, v, _, app := leaveHouse(t, 0)
		h.Fake.Stop()
		v.Post(leavePath, "account", alicesID)
		v.Follow().WantPage(t, http.StatusOK, leftHeading)
		h.WantInactive(app.AccessToken)
		h.Fake.Resume()
		h.Settle()
		if !deactivated(h) {
			t.Error("the homeserver was not told")
		}
	})
	t.Run("not while nothing is written to the homeserver", func(t *testing.T) {
		h := house.New(t, house.Unlimited, func(c *matrixauth.Config) { c.Kind = matrixauth.SynapseReadOnly })
		h.Add("alice")
		v := h.SignedInAs("alice")
		v.Get(leavePath).WantPage(t, http.StatusOK, leaveHeading)
		v.Post(leavePath, "account", alicesID).WantPage(t, http.StatusServiceUnavailable, leaveHeading)
		v.Get("/account/")
		if v.At.Status != http.StatusOK {
			t.Errorf("the account page answers %d", v.At.Status)
		}
	})
}

// TestLeaveEndsWaysBack: what was on its way when somebody leaves leads nowhere afterwards (MOD-11, MAIL-6).
func TestLeaveEndsWaysBack(t *testing.T) {
	h, v, _, _ := leaveHouse(t, 0, house.WithMail)
	house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "alice@example.org"})
	h.Settle()
	h.Mails.Forget()
	app := h.Login("alice", house.Object{"device_id": "TABLET", "refresh_token": true})
	v.Get(leavePath)
	if !strings.Contains(house.Shown(v.At), "Your email addresses are removed") {
		t.Errorf("the page says %s", house.Shown(v.At))
	}
	v.Post(leavePath, "account", alicesID)
	v.Follow().WantPage(t, http.StatusOK, leftHeading)
	h.Settle()
	if told := h.Mails.To("alice@example.org"); len(told) != 1 || !strings.Contains(told[0].Text, "deactivated") {
		t.Errorf("the mails are %+v", told)
	}
	if a := h.Refresh(app.RefreshToken); a.Status == http.StatusOK {
		t.Error("a refresh worked")
	}
	h.LoginFrom(house.HomeIP, "alice", house.AlicesPassword, nil).Want(t, http.StatusForbidden, "M_USER_DEACTIVATED")
	h.Mails.Forget()
	b := h.Browser()
	b.Get("/account/recover")
	b.Post("/account/recover", "username", "alice")
	h.Settle()
	if len(h.Mails.All()) != 0 {
		t.Error("a link for recovery was sent")
	}
}
