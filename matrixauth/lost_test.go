package matrixauth_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// bereft is a house whose database has forgotten two sessions, and the clients of the second one.
type bereft struct {
	traveller
	phone  house.SignedIn
	laptop house.Tokens
	// kept is the database that knows them.
	kept []byte
}

const laterSecret = "a secret that is long enough"

// later is how the forgotten confidential client proves itself.
var later = http.Header{"Content-Type": house.FormType["Content-Type"], "Authorization": {house.BasicAuth("later", laterSecret)}}

func newBereft(t *testing.T) bereft {
	t.Helper()
	h := bereft{traveller: newTraveller(t)}
	backup := h.copied()
	h.pass(time.Minute)
	h.phone = h.legacy()
	h.pass(time.Minute)
	h.Register("gone", "")
	h.laptop = h.OauthSession("bob", "gone", "LAPTOP")
	h.Register("later", laterSecret)
	h.kept = h.copied()
	h.pass(time.Minute)
	h.backTo(backup)
	h.pass(time.Minute)
	return h
}

// lost lists the lost sessions.
func (h bereft) lost(asked matrixauth.LostQuery) []matrixauth.LostSession {
	h.T.Helper()
	return house.Act(h.House, matrixauth.ListLostSessions, asked).Sessions
}

// wait notes both sessions, by a refresh of each.
func (h bereft) wait() {
	h.T.Helper()
	wantLater(h.T, "a refresh", h.Refresh(h.phone.RefreshToken))
	wantLater(h.T, "an OAuth refresh", h.Renew("gone", h.laptop.RefreshToken))
}

// wantSoft wants all tokens of both sessions to be worth nothing, and every answer to say so softly where it can.
func (h bereft) wantSoft() {
	h.T.Helper()
	h.wantSoftPhone()
	h.WantInactive(h.laptop.AccessToken)
	h.wantSoftAt(h.laptop.AccessToken)
	h.Renew("app", h.laptop.RefreshToken).Shows(h.T, http.StatusBadRequest, "invalid_grant")
	// The client that is forgotten too hears the same, and no word of itself.
	h.Renew("gone", h.laptop.RefreshToken).Shows(h.T, http.StatusBadRequest, "invalid_grant")
}

func (h bereft) wantSoftPhone() {
	h.T.Helper()
	h.WantInactive(h.phone.AccessToken)
	h.wantSoftAt(h.phone.AccessToken)
	h.Refresh(h.phone.RefreshToken).Shows(h.T, http.StatusUnauthorized, `"soft_logout":true`)
}

// wantSoftAt wants what the homeserver says of a token to be put right on its way.
func (h bereft) wantSoftAt(token string) {
	h.T.Helper()
	h.Answering(house.Refusing)
	a := h.List(token)
	if a.Status != http.StatusUnauthorized || a.Body != house.SoftRefusal {
		h.T.Errorf("through the site: got %d %s", a.Status, a.Body)
	}
	h.BehindSite()
}

func (h bereft) revoke(header http.Header, fields ...string) house.Answer {
	h.T.Helper()
	return h.Do(house.Call{Method: http.MethodPost, Path: house.RevokePath, Header: header, Body: house.Form(fields...)})
}

// TestLost: a session that the database may have forgotten waits wherever it shows itself, its owner's server can list
// it, and it ends where somebody wants it to.
func TestLost(t *testing.T) {
	t.Run("it_waits_everywhere", func(t *testing.T) {
		h := newBereft(t)
		h.pass(10 * time.Minute) // the access tokens are over too
		for what, a := range map[string]house.Answer{
			"introspection by the homeserver":                           h.Introspect(h.phone.AccessToken),
			"of an OAuth session":                                       h.Introspect(h.laptop.AccessToken),
			"introspection by a client that is forgotten":               h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", Header: later, Body: house.Form("token", h.laptop.AccessToken)}),
			"with a wrong secret":                                       h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", Bearer: "wrong", Header: house.FormType, Body: house.Form("token", h.laptop.RefreshToken)}),
			"a refresh":                                                 h.Refresh(h.phone.RefreshToken),
			"an OAuth refresh of a client that is forgotten":            h.Renew("gone", h.laptop.RefreshToken),
			"of one that is not":                                        h.Renew("app", h.laptop.RefreshToken),
			"of a confidential one that is forgotten":                   h.Do(house.Call{Method: http.MethodPost, Path: house.TokenPath, Header: later, Body: house.Form("grant_type", "refresh_token", "refresh_token", h.laptop.RefreshToken)}),
			"a request whose refusal the homeserver remembers":          refusedThrough(h, h.laptop.AccessToken),
			"a request while somebody is locked":                        whileLocked(h, h.laptop.AccessToken),
			"a name for its device while somebody is locked (MOD-1)":    whileLocked(h, h.phone.AccessToken),
			"introspection by a client that is forgotten, of a refresh": h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", Header: later, Body: house.Form("token", h.laptop.RefreshToken)}),
		} {
			wantLater(t, what, a)
		}
		if log := h.Log.String(); strings.Contains(log, `"level":"ERROR"`) {
			t.Errorf("the log is %s", log)
		}
		h.backTo(h.kept)
		h.refreshed(h.phone, 2)
		if waiting := h.lost(matrixauth.LostQuery{}); len(waiting) != 0 {
			t.Errorf("with the right database these wait: %+v", waiting)
		}
	})
	t.Run("it_is_listed", func(t *testing.T) {
		h := newBereft(t)
		began := h.Clock.Now()
		h.Do(house.Call{Method: http.MethodPost, Path: house.RefreshPath, Body: house.JSON(house.Object{"refresh_token": h.phone.RefreshToken}), IP: "198.51.100.7", Header: http.Header{"User-Agent": {"Element/1.2 (a phone)"}}})
		h.Introspect(h.phone.AccessToken)
		h.pass(2 * time.Minute)
		h.Introspect(h.phone.AccessToken)
		h.Introspect(h.laptop.AccessToken)
		found := h.lost(matrixauth.LostQuery{})
		if len(found) != 2 {
			t.Fatalf("listed are %+v", found)
		}
		phone, laptop := found[0], found[1]
		if phone.Kind != "compat" || phone.Refreshes != 1 || phone.Introspections != 2 || phone.LastIP != "198.51.100.7" || phone.UserAgent != "Element/1.2 (a phone)" ||
			!phone.FirstSeenAt.Equal(began) || !phone.LastSeenAt.Equal(began.Add(2*time.Minute)) || !phone.BeganAt.Before(laptop.BeganAt) || phone.Ended != "" {
			t.Errorf("the phone is %+v", phone)
		}
		if laptop.Kind != "oauth" || laptop.Refreshes != 0 || laptop.Introspections != 1 {
			t.Errorf("the laptop is %+v", laptop)
		}
		if found := h.lost(matrixauth.LostQuery{Before: laptop.BeganAt}); len(found) != 1 || found[0] != phone {
			t.Errorf("begun before the laptop have %+v", found)
		}
		if found := h.lost(matrixauth.LostQuery{Limit: 1, After: phone.ID}); len(found) != 1 || found[0] != laptop {
			t.Errorf("the second page is %+v", found)
		}
		look := func(d *doctor.Visit) { d.LostSessions(t.Context()) }
		h.WantFinding(t, look, false, "2 sessions wait", "session lost --end")
		h.pass(time.Minute)
		h.Clock.Move(8 * 24 * time.Hour)
		h.WantFinding(t, look, true, "no app has a session", "") // neither came for a week
	})
	t.Run("an_operator_ends_it", func(t *testing.T) {
		h := newBereft(t)
		h.wait()
		would := house.Act(h.House, matrixauth.EndLostSessions, matrixauth.LostSessionsToEnd{DryRun: true})
		h.wait()
		before := h.Clock.Now()
		ended := house.Act(h.House, matrixauth.EndLostSessions, matrixauth.LostSessionsToEnd{})
		if ended.Sessions != 2 || would.Sessions != 2 || !ended.Before.Equal(before) {
			t.Errorf("ended %+v, and would have %+v", ended, would)
		}
		h.wantSoft()
		if n := h.Count("events WHERE action = 'session.end-lost'"); n != 1 {
			t.Errorf("%d events", n)
		}
		if waiting := h.lost(matrixauth.LostQuery{}); len(waiting) != 0 {
			t.Errorf("these wait: %+v", waiting)
		}
		if all := h.lost(matrixauth.LostQuery{All: true}); len(all) != 2 || all[0].Ended != "operator" {
			t.Errorf("all are %+v", all)
		}
		h.WantFinding(t, func(d *doctor.Visit) { d.LostSessions(t.Context()) }, true, "no app has a session", "")
		// They sign in again on their devices, and nothing is told of what is known.
		h.pass(time.Minute)
		h.refreshed(h.legacy(), 2)
		// The right database has them still.
		h.backTo(h.kept)
		h.Tokens(h.Renew("gone", h.laptop.RefreshToken))
	})
	t.Run("also_those_that_nobody_saw", func(t *testing.T) {
		h := newBereft(t)
		house.Act(h.House, matrixauth.EndLostSessions, matrixauth.LostSessionsToEnd{})
		h.wantSoft()
	})
	t.Run("only_those_that_began_before_a_time", func(t *testing.T) {
		h := newBereft(t)
		h.wait()
		laptop := h.lost(matrixauth.LostQuery{})[1]
		if ended := house.Act(h.House, matrixauth.EndLostSessions, matrixauth.LostSessionsToEnd{Before: laptop.BeganAt}); ended.Sessions != 1 {
			t.Errorf("ended %+v", ended)
		}
		h.wantSoftPhone()
		wantLater(t, "what began at that time", h.Renew("gone", h.laptop.RefreshToken))
		// Who took the wrong time takes it back.
		house.Act(h.House, matrixauth.EndLostSessions, matrixauth.LostSessionsToEnd{Before: laptop.BeganAt.Add(-24 * time.Hour)})
		h.wait()
		_, err := matrixauth.EndLostSessions.Do(t.Context(), h.Ops, matrixauth.LostSessionsToEnd{Before: h.Clock.Now().Add(time.Hour)})
		if err == nil || !strings.Contains(err.Error(), "still to come") {
			t.Errorf("a time to come: %v", err)
		}
	})
	for name, end := range map[string]func(h bereft) house.Answer{ // LEG-37, LEG-38, REV-2, REV-5
		"logout":                   func(h bereft) house.Answer { return h.Logout(h.phone.AccessToken) },
		"logout_of_all":            func(h bereft) house.Answer { return h.LogoutAll(h.phone.AccessToken) },
		"revocation":               func(h bereft) house.Answer { return h.revoke(house.FormType, "token", h.phone.RefreshToken) },
		"revocation_by_its_access": func(h bereft) house.Answer { return h.revoke(house.FormType, "token", h.phone.AccessToken) },
		"by_a_client_that_is_forgotten": func(h bereft) house.Answer {
			return h.revoke(later, "token", h.phone.RefreshToken)
		},
		"with_an_access_token_that_is_over": func(h bereft) house.Answer {
			h.pass(10 * time.Minute)
			return h.Logout(h.phone.AccessToken)
		},
	} {
		t.Run("its_holder_ends_it_by_"+name, func(t *testing.T) {
			h := newBereft(t)
			h.wait()
			if a := end(h); a.Status != http.StatusOK || a.Body != "{}" {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
			// What the homeserver remembers of the token does not count (REV-9); of one that is over it remembers nothing.
			if a := h.List(h.phone.AccessToken); name != "with_an_access_token_that_is_over" && (a.Status != http.StatusUnauthorized || !strings.Contains(a.Body, `"soft_logout":true`)) {
				t.Errorf("a request is answered %d %s", a.Status, a.Body)
			}
			h.List(h.laptop.AccessToken).WantStatus(t, house.PassedOn)
			h.pass(3 * time.Minute)
			h.wantSoftPhone()
			wantLater(t, "another session", h.Renew("gone", h.laptop.RefreshToken))
			if all := h.lost(matrixauth.LostQuery{All: true}); len(all) != 2 || all[0].Ended != "holder" || all[1].Ended != "" {
				t.Errorf("all are %+v", all)
			}
			h.Die()
			h.Open()
			h.wantSoftPhone()
		})
	}
	t.Run("a_stranger_ends_and_notes_nothing", func(t *testing.T) {
		h := newBereft(t)
		forged := func(token string) string { // the last digit of the first tag
			d, ok := model.Describe(token)
			if !ok {
				t.Fatal("no token that says anything")
			}
			d.Tags.Made[7] ^= 1
			return model.NewSelfDescribingToken(d.Kind, d.Signed, d.Tags)
		}
		access, refresh := forged(h.phone.AccessToken), forged(h.phone.RefreshToken)
		for what, a := range map[string]house.Answer{
			"logout": h.Logout(access), "logout of all": h.LogoutAll(access), "revocation": h.revoke(house.FormType, "token", refresh),
			"a refresh": h.Refresh(refresh), "introspection": h.Introspect(access), "a client": h.revoke(later, "token", refresh),
		} {
			wantLater(t, what, a)
		}
		if all := h.lost(matrixauth.LostQuery{All: true}); len(all) != 0 || h.Count("lost_sessions") != 0 {
			t.Errorf("noted are %+v", all)
		}
		wantLater(t, "the owner", h.Refresh(h.phone.RefreshToken))
		// What is no token of ours is answered as ever.
		for _, token := range []string{"x", model.NewToken(model.OAuthRefresh), "syt_abc"} {
			h.Renew("nobody", token).Shows(t, http.StatusUnauthorized, "invalid_client")
			h.revoke(later, "token", token).Shows(t, http.StatusUnauthorized, "invalid_client")
		}
	})
	t.Run("a_token_of_less_than_its_session_waits_and_signs_out", func(t *testing.T) { // SCOPE-14
		h := newTraveller(t)
		laptop := h.OauthSession("bob", "app", "LAPTOP")
		backup := h.copied()
		h.pass(time.Minute)
		narrow := h.Tokens(h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", laptop.RefreshToken, "scope", model.ScopeAPI))
		h.backTo(backup)
		wantLater(t, "introspection", h.Introspect(narrow.AccessToken))
		h.Logout(narrow.AccessToken).WantStatus(t, http.StatusOK)
		h.WantSessions("bob")
	})
	t.Run("one_line_a_minute", func(t *testing.T) {
		h := newBereft(t)
		const line, unproven = "sessions that the database does not know wait", "tokens that no key proves wait"
		for range 5 {
			h.wait()
		}
		if n := strings.Count(h.Log.String(), line); n != 1 {
			t.Errorf("%d lines", n)
		}
		h.pass(time.Minute)
		h.wait()
		if n := strings.Count(h.Log.String(), line); n != 2 {
			t.Errorf("%d lines after a minute", n)
		}
		if !strings.Contains(h.Log.String(), `"requests":10,`) {
			t.Error("no line tells of the requests in between")
		}
		d, _ := model.Describe(h.phone.AccessToken)
		d.Tags.Made[0] ^= 1
		for range 5 {
			h.Introspect(model.NewSelfDescribingToken(d.Kind, d.Signed, d.Tags))
		}
		if n := strings.Count(h.Log.String(), unproven); n != 1 {
			t.Errorf("%d lines of tokens that nothing proves", n)
		}
	})
}

// refusedThrough is a request through the site to a homeserver that refuses.
func refusedThrough(h bereft, token string) house.Answer {
	h.T.Helper()
	h.Answering(house.Refusing)
	defer h.BehindSite()
	return h.List(token)
}

// whileLocked is a request through the site while some account is locked, so that tokens are looked at.
func whileLocked(h bereft, token string) house.Answer {
	h.T.Helper()
	house.Act(h.House, matrixauth.LockUser, matrixauth.Name{User: "alice"})
	defer house.Act(h.House, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
	return h.List(token)
}

// TestUnprovenEnds: a token that no key proves waits as long as the key may be lost with the database, and until somebody
// has ended what is lost; then what ends it is soft.
func TestUnprovenEnds(t *testing.T) {
	h := newTraveller(t)
	phone := h.legacy()
	backup := h.copied()
	phone = h.refreshed(phone, 5)
	h.Must(os.Remove(matrixauth.KeyFile(h.File)))
	h.backTo(backup)
	h.pass(time.Minute)
	wantLater(t, "a refresh", h.Refresh(phone.RefreshToken))
	house.Act(h.House, matrixauth.EndLostSessions, matrixauth.LostSessionsToEnd{})
	h.Refresh(phone.RefreshToken).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
	h.WantInactive(phone.AccessToken)
	// The session is known, and who has a token of which there is a row goes on.
	h.WantSessions("alice", "PHONE")
}

// TestUnprovenTooLong: nobody waits for ever for a key that nobody puts back, and the keys of the account stay even so.
func TestUnprovenTooLong(t *testing.T) {
	h := newTraveller(t)
	phone := h.legacy()
	backup := h.copied()
	phone = h.refreshed(phone, 5)
	h.Must(os.Remove(matrixauth.KeyFile(h.File)))
	h.backTo(backup)
	h.pass(11 * time.Minute) // so that the time that is skipped is a gap of its own
	h.Clock.Move(29 * 24 * time.Hour)
	h.pass(time.Minute)
	wantLater(t, "a refresh", h.Refresh(phone.RefreshToken))
	h.Clock.Move(48 * time.Hour)
	h.pass(time.Minute)
	h.Refresh(phone.RefreshToken).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
}
