package matrixauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// returned is a house whose database went back, after people signed in one after another and before anything else
// happened.
type returned struct {
	traveller
	sessions map[string]house.SignedIn
	backup   []byte
}

func newReturned(t *testing.T, names ...string) returned {
	t.Helper()
	h := returned{traveller: traveller{house.New(t, house.Unlimited)}, sessions: map[string]house.SignedIn{}}
	h.BehindSite()
	h.Add(names...)
	h.Settle()
	for _, name := range names {
		h.pass(time.Minute)
		h.sessions[name] = h.Login(name, house.Object{"device_id": strings.ToUpper(name), "refresh_token": true})
		h.WantActive(h.sessions[name].AccessToken, strings.ToUpper(name))
	}
	h.pass(time.Minute)
	h.backup = h.copied()
	h.pass(time.Minute)
	return h
}

// goBack puts the backup in the place of the database, as somebody does by hand.
func (h returned) goBack() {
	h.T.Helper()
	h.pass(time.Minute)
	h.Must(h.Store.KeepAlive(h.T.Context()))
	h.backTo(h.backup)
	if !h.Store.FoundBack() {
		h.T.Fatal("it is not noticed that the database went back")
	}
	h.Fake.ForgetCalls()
}

// asked is how often the homeserver was asked since the database went back: a question about a device is one about its
// account too.
func (h returned) asked() int { return len(h.Fake.Calls("query_user")) }

// TestDevicesAfterGoingBack: a session that was ended since the backup does not come back with it, as the homeserver knows
// that its device is gone; and a homeserver that is down, or that went back itself, ends nobody's session.
func TestDevicesAfterGoingBack(t *testing.T) {
	names := []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj"}
	look := func(d *doctor.Visit) { d.MissingDevices() }
	t.Run("who_is_there_goes_on_and_is_asked_about_once", func(t *testing.T) {
		h := newReturned(t, "alice", "bob")
		alice := h.refreshed(h.sessions["alice"], 3)
		h.goBack()
		alice = h.SignedIn(h.Refresh(alice.RefreshToken))
		h.WantActive(alice.AccessToken, "ALICE")
		if n := h.asked(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		alice.DeviceID = "ALICE"
		h.refreshed(alice, 3)
		h.SignedIn(h.Refresh(h.sessions["alice"].RefreshToken)) // a retry with what was given out before
		if n := h.asked(); n != 1 {
			t.Errorf("asked %d times in all", n)
		}
		tablet := h.Login("alice", house.Object{"refresh_token": true})
		h.Fake.ForgetCalls()
		h.SignedIn(h.Refresh(tablet.RefreshToken))
		if n := h.asked(); n != 0 {
			t.Errorf("asked %d times about a session of since", n)
		}
		h.SignedIn(h.Refresh(h.sessions["bob"].RefreshToken))
		if n := h.asked(); n != 1 {
			t.Errorf("asked %d times about another session", n)
		}
		h.WantFinding(t, look, true, "no session waits", "")
	})
	t.Run("a_database_that_did_not_go_back_asks_nobody", func(t *testing.T) {
		h := newReturned(t, "alice")
		h.Die()
		h.Clock.Move(time.Hour)
		h.Open()
		h.Fake.ForgetCalls()
		h.SignedIn(h.Refresh(h.sessions["alice"].RefreshToken))
		if n := h.asked(); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
	t.Run("what_was_signed_out_since_ends_softly", func(t *testing.T) {
		h := newReturned(t, names...)
		h.Logout(h.SignedIn(h.Refresh(h.sessions["dave"].RefreshToken)).AccessToken).WantStatus(t, http.StatusOK)
		h.Settle()
		h.WantDevices("dave")
		h.goBack()
		h.WantSessions("dave", "DAVE") // so somebody with its tokens could go on
		h.Refresh(h.sessions["dave"].RefreshToken).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
		h.WantSessions("dave")
		h.WantInactive(h.sessions["dave"].AccessToken)
		h.Refresh(h.sessions["dave"].RefreshToken).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
		if n := h.Count("sessions WHERE end_reason = 'device_missing'"); n != 1 {
			t.Errorf("%d sessions ended so", n)
		}
		for _, name := range []string{"carol", "erin"} {
			h.SignedIn(h.Refresh(h.sessions[name].RefreshToken))
		}
	})
	t.Run("a_homeserver_that_is_down_ends_nothing", func(t *testing.T) {
		h := newReturned(t, "alice")
		h.goBack()
		h.Fake.Fail(http.StatusBadGateway, "")
		wantLater(t, "a refresh", h.Refresh(h.sessions["alice"].RefreshToken))
		h.Fake.Recover()
		h.SignedIn(h.Refresh(h.sessions["alice"].RefreshToken))
	})
	t.Run("a_homeserver_that_went_back_too_ends_nothing", func(t *testing.T) {
		h := newReturned(t, names...)
		h.goBack()
		for _, name := range names[6:] {
			h.Fake.DeleteDevices(name, strings.ToUpper(name))
		}
		for _, name := range names[7:] {
			wantLater(t, name, h.Refresh(h.sessions[name].RefreshToken))
			h.WantSessions(name, strings.ToUpper(name))
		}
		h.SignedIn(h.Refresh(h.sessions["alice"].RefreshToken))
		h.WantFinding(t, look, false, "Synapse lacks devices of several sessions", "session end")
		if n := strings.Count(h.Log.String(), "no session is ended, and their clients wait"); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		house.Act(h.House, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: "niaj"})
		h.WantSessions("niaj")
	})
	t.Run("one_that_does_not_know_the_account_ends_nothing", func(t *testing.T) {
		h := newReturned(t, "alice")
		h.goBack()
		h.Fake.Remove("alice")
		wantLater(t, "a refresh", h.Refresh(h.sessions["alice"].RefreshToken))
		h.WantSessions("alice", "ALICE")
	})
	t.Run("many_at_once_end_nothing", func(t *testing.T) {
		// Those that are missing have nobody near who is missing too.
		h := newReturned(t, "a0", "b1", "c2", "d3", "e4", "f5", "g6", "h7", "i8", "j9", "k10", "l11", "m12", "n13", "o14", "p15", "q16", "r17", "s18", "t19", "u20")
		gone := []string{"a0", "f5", "k10", "p15", "u20"}
		h.goBack()
		for _, name := range gone {
			h.Fake.DeleteDevices(name, strings.ToUpper(name))
		}
		for i, name := range gone {
			a := h.Refresh(h.sessions[name].RefreshToken)
			if i < 3 {
				a.Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
				continue
			}
			wantLater(t, name, a)
		}
		h.Clock.Move(11 * time.Minute)
		h.Refresh(h.sessions["u20"].RefreshToken).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
	})
	t.Run("another_client's_token_asks_nobody", func(t *testing.T) {
		h := newReturned(t, "alice")
		h.Register("app", "")
		h.goBack()
		h.Register("app", "")
		h.Renew("app", h.sessions["alice"].RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
		house.Act(h.House, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		h.Refresh(h.sessions["alice"].RefreshToken).Shows(t, http.StatusUnauthorized, "M_USER_LOCKED")
		if n := h.asked(); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
}
