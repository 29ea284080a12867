package matrixauth_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// synapseTokens are access tokens as Synapse made them over the years, and as other programs wrote them into its
// database.
var synapseTokens = map[string]string{
	"of_today":            "syt_YWxpY2U_aBcDeFgHiJkLmNoPqRsT_1a2B3c",
	"a_macaroon":          "MDAxZGxvY2F0aW9uIGV4YW1wbGUuY29tCjAwMTNpZGVudGlmaWVyIGtleQowMDEwY2lkIGdlbiA9IDEKMDAyZnNpZ25hdHVyZSA1Cg==",
	"of_our_prefix":       "mct_not_of_our_form",
	"short":               "~q~",
	"of_signs":            "a+b/c=d&e%66;f\"g\\h'i<j>",
	"of_other_letters":    "токен-🔑",
	"as_long_as_may_be":   strings.Repeat("k", bound.ImportedToken),
	"that_looks_like_sql": "' OR 1=1 --",
}

// syt and syr are the tokens of a session as Synapse began it.
const (
	syt = "syt_YWxpY2U_aBcDeFgHiJkLmNoPqRsT_1a2B3c"
	syr = "syr_YWxpY2U_tSrQpOnMlKjIhGfEdCbA_3c2B1a"
	// asToken is one of an application service, of which only the homeserver knows.
	asToken = "a-bridge-has-this-token"
)

// newImported is a server with alice, whose session came from another server.
func newImported(t *testing.T, of house.Imported) (*house.House, string) {
	h := house.New(t)
	h.Add("alice")
	if of.Localpart == "" {
		of.Localpart = "alice"
	}
	return h, h.Import(of)
}

func phone() house.Imported {
	return house.Imported{Device: "PHONE", Access: syt, Refresh: syr, AccessLife: 5 * time.Minute}
}

// wantPair reads the answer of a refresh, which must be tokens of ours.
func wantPair(h *house.House, a house.Answer) house.SignedIn {
	h.T.Helper()
	s := h.SignedIn(a)
	if !strings.HasPrefix(s.AccessToken, "mct_") || !strings.HasPrefix(s.RefreshToken, "mcr_") {
		h.T.Fatalf("it is exchanged for %s", a.Body)
	}
	return s
}

// TestImportedTokens: what another server gave out goes on as it is, until its client is given tokens of ours.
func TestImportedTokens(t *testing.T) {
	for name, token := range synapseTokens {
		t.Run("an_access_token_"+name, func(t *testing.T) { // INTRO-1, SYN-4
			h, id := newImported(t, house.Imported{Device: "PHONE", Access: token})
			got := h.Introspect(token).Document(t)
			for member, want := range map[string]any{
				"active": true, "username": "alice", "device_id": "PHONE", "client_id": "legacy", "token_type": "access_token", "sub": h.UserID("alice"), "jti": id + ".1",
				"scope": "urn:matrix:client:api:* urn:matrix:org.matrix.msc2967.client:api:*",
			} {
				if got[member] != want {
					t.Errorf("%s is %v, want %v", member, got[member], want)
				}
			}
			if _, ends := got["exp"]; ends {
				t.Error("it has an end")
			}
			h.Clock.Move(365 * 24 * time.Hour)
			h.WantActive(token, "PHONE")
			h.Crash() // whether there are any is known at the start
			h.WantActive(token, "PHONE")
			h.WantInactive(token + "x")
		})
	}
	t.Run("one_passes_the_gateway", func(t *testing.T) {
		h, _ := newImported(t, phone())
		h.BehindSite()
		h.List(syt).Shows(t, http.StatusOK, "PHONE")
	})
	t.Run("an_access_token_that_expired_is_refused_softly", func(t *testing.T) { // SOFT-3
		h, _ := newImported(t, phone())
		if left := h.Introspect(syt).Document(t)["expires_in"]; left != 300.0 {
			t.Errorf("it lives for %v", left)
		}
		h.Clock.Move(5 * time.Minute)
		h.WantInactive(syt)
		h.BehindSite()
		h.List(syt).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
	})
	t.Run("one_that_expired_is_refused_softly_as_long_as_the_session_lives", func(t *testing.T) { // SOFT-3
		h, _ := newImported(t, phone())
		s := wantPair(h, h.Refresh(syr))
		for range 3 * bound.KeptPairs {
			h.Clock.Move(4 * time.Minute)
			h.WantActive(s.AccessToken, "PHONE")
			s = wantPair(h, h.Refresh(s.RefreshToken))
		}
		h.BehindSite()
		h.List(syt).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
	})
	t.Run("a_refresh_token_of_synapse_is_exchanged_once", func(t *testing.T) { // REF-4, REF-5
		h, id := newImported(t, phone())
		s := wantPair(h, h.Refresh(syr))
		h.WantActive(s.AccessToken, "PHONE")
		h.WantActive(syt, "PHONE") // minting kills no token
		s = wantPair(h, h.Refresh(s.RefreshToken))
		h.WantActive(s.AccessToken, "PHONE")
		h.Clock.Move(bound.RefreshGrace)
		h.Refresh(syr).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
		if n := h.Count("sessions WHERE id = ? AND end_reason = 'refresh_token_replayed'", id); n != 1 {
			t.Error("the session goes on although its refresh token came again")
		}
	})
	t.Run("it_is_exchanged_again_if_the_answer_was_lost", func(t *testing.T) { // REF-4
		h, _ := newImported(t, phone())
		wantPair(h, h.Refresh(syr))
		h.Clock.Move(time.Hour)
		s := wantPair(h, h.Refresh(syr))
		h.WantActive(s.AccessToken, "PHONE")
	})
	t.Run("one_that_had_minted_there_mints_as_long_as_nothing_used_what_it_minted", func(t *testing.T) { // REF-4
		const lost = "syr_YWxpY2U_consumed_there_000000"
		of := phone()
		of.Consumed = lost
		h, _ := newImported(t, of)
		s := wantPair(h, h.Refresh(lost))
		h.WantActive(s.AccessToken, "PHONE")
		h.Clock.Move(bound.RefreshGrace)
		// The other line: what it had minted there comes up too, from the same place.
		s = wantPair(h, h.Refresh(syr))
		h.WantActive(s.AccessToken, "PHONE")
		h.Refresh(lost).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
	})
	t.Run("one_whose_successor_was_used_there_is_a_replay", func(t *testing.T) { // REF-5
		const old = "syr_YWxpY2U_consumed_there_000000"
		of := phone()
		of.Consumed, of.Used = old, true
		h, _ := newImported(t, of)
		h.Clock.Move(bound.RefreshGrace)
		h.Refresh(old).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
		h.WantSessions("alice")
	})
	t.Run("a_refresh_token_that_expired_mints_nothing_and_harms_nothing", func(t *testing.T) {
		of := phone()
		of.AccessLife, of.RefreshLife = time.Hour, 10*time.Minute
		h, _ := newImported(t, of)
		h.Clock.Move(10*time.Minute - time.Second)
		h.WantActive(wantPair(h, h.Refresh(syr)).AccessToken, "PHONE")
		h.Clock.Move(time.Second)
		before := h.Rows()
		h.Refresh(syr).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
		h.WantActive(syt, "PHONE")
		h.WantSessions("alice", "PHONE")
		if h.Rows() != before {
			t.Error("something was written")
		}
	})
	t.Run("the_end_of_a_session_counts_for_all_its_tokens", func(t *testing.T) {
		of := phone()
		of.AccessLife, of.Lasts = 0, time.Hour
		h, id := newImported(t, of)
		if left := h.Introspect(syt).Document(t)["expires_in"]; left != 3600.0 {
			t.Errorf("it lives for %v", left)
		}
		h.Clock.Move(time.Hour)
		h.WantInactive(syt)
		h.Refresh(syr).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
		if n := h.Count("sessions WHERE id = ? AND end_reason = 'session_lifetime'", id); n != 1 {
			t.Error("the session goes on")
		}
	})
	t.Run("what_it_is_tells_its_row_and_not_its_form", func(t *testing.T) { // INTRO-6, LEG-36
		// Named the other way round, as nobody promised anything of their form.
		h, _ := newImported(t, house.Imported{Device: "PHONE", Access: syr, Refresh: syt})
		h.WantInactive(syt)
		h.Refresh(syr).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.Logout(syt).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.WantActive(syr, "PHONE")
		h.WantActive(wantPair(h, h.Refresh(syt)).AccessToken, "PHONE")
	})
	t.Run("the_OAuth_API_does_not_exchange_it", func(t *testing.T) { // LEG-36
		h, _ := newImported(t, phone())
		h.Register("app", "")
		before := h.Rows()
		h.Renew("app", syr).Shows(t, http.StatusBadRequest, "invalid_grant")
		if h.Rows() != before {
			t.Error("something was written")
		}
	})
	t.Run("no_client_may_look_at_it", func(t *testing.T) { // INTRO-9
		h, _ := newImported(t, phone())
		h.Register("bank", laterSecret)
		for _, token := range []string{syt, syr} {
			a := h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", Body: house.Form("token", token),
				Header: http.Header{"Content-Type": house.FormType["Content-Type"], "Authorization": {house.BasicAuth("bank", laterSecret)}}})
			if a.Body != house.Inactive {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
		}
	})
	t.Run("its_first_use_is_noted", func(t *testing.T) {
		h, id := newImported(t, phone())
		h.Clock.Move(3 * time.Minute)
		h.WantActive(syt, "PHONE")
		h.Must(h.Registry.Flush(t.Context()))
		if n := h.Count("tokens WHERE session_id = ? AND used_at IS NOT NULL", id); n != 1 {
			t.Errorf("%d tokens are said to be used", n)
		}
		for _, s := range house.Act(h, matrixauth.ListSessions, matrixauth.SessionQuery{User: "alice"}).Sessions {
			if !s.LastActiveAt.Equal(h.Clock.Now()) {
				t.Errorf("it was last active at %v", s.LastActiveAt)
			}
		}
	})
}

// TestImportedTokensEnd: a session that came from another server ends as any other.
func TestImportedTokensEnd(t *testing.T) {
	for name, end := range map[string]func(*house.House){
		"by_logout":     func(h *house.House) { h.Logout(syt).WantStatus(h.T, http.StatusOK) },    // LEG-37
		"by_logout_all": func(h *house.House) { h.LogoutAll(syt).WantStatus(h.T, http.StatusOK) }, // LEG-38
		"by_revocation": func(h *house.House) {
			h.Do(house.Call{Method: http.MethodPost, Path: house.RevokePath, Header: house.FormType, Body: house.Form("token", syt)})
		}, // REV-2
		"by_its_refresh_token": func(h *house.House) {
			h.Do(house.Call{Method: http.MethodPost, Path: house.RevokePath, Header: house.FormType, Body: house.Form("token", syr)})
		}, // REV-5
		"by_an_operator": func(h *house.House) {
			house.Act(h, matrixauth.EndSessions, matrixauth.SessionsToEnd{Session: onlySession(h)})
		},
		"by_the_account_page": func(h *house.House) {
			h.SignedInAs("alice").Submit("/account/sessions/end", "session", onlySession(h)).WantStatus(h.T, http.StatusSeeOther)
		}, // ACCT-4
		"by_a_login_on_its_device": func(h *house.House) { h.LoginOn("alice", "PHONE") }, // SCOPE-9
	} {
		t.Run(name, func(t *testing.T) {
			h, id := newImported(t, phone())
			h.BehindSite()
			h.List(syt).WantStatus(t, http.StatusOK)
			end(h)
			h.WantInactive(syt)
			a := h.Refresh(syr)
			a.Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
			if strings.Contains(a.Body, "soft") {
				t.Errorf("got %s", a.Body)
			}
			h.List(syt).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN") // REV-9
			if n := h.Count("tokens WHERE session_id = ?", id); n != 0 {
				t.Errorf("%d tokens are left", n)
			}
			h.Settle()
			if name != "by_a_login_on_its_device" {
				h.WantDevices("alice")
			}
		})
	}
	t.Run("a_lock_keeps_it", func(t *testing.T) { // MOD-1, MOD-4
		h, _ := newImported(t, phone())
		h.BehindSite()
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		h.Introspect(syt).WantStatus(t, http.StatusServiceUnavailable)
		h.List(syt).Want(t, http.StatusUnauthorized, "M_USER_LOCKED")
		h.Refresh(syr).Want(t, http.StatusUnauthorized, "M_USER_LOCKED")
		house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
		h.WantActive(syt, "PHONE")
		wantPair(h, h.Refresh(syr))
	})
}

func onlySession(h *house.House) string {
	h.T.Helper()
	found := house.Act(h, matrixauth.ListSessions, matrixauth.SessionQuery{User: "alice"}).Sessions
	for _, s := range found {
		if s.Kind != matrixauth.BrowserKind {
			return s.ID
		}
	}
	h.T.Fatalf("there are %+v", found)
	return ""
}

// TestImportedBesideServices: tokens of application services look like those of sessions that came from elsewhere, and go
// on to the homeserver as ever (LEG-2, ASV-4).
func TestImportedBesideServices(t *testing.T) {
	deleteLaptop := func(h *house.House, token string) house.Answer {
		return h.Do(house.Call{Method: http.MethodDelete, Path: "/_matrix/client/v3/devices/LAPTOP", Bearer: token, Body: "{}"})
	}
	t.Run("what_an_app_changes_of_its_account_is_ours", func(t *testing.T) { // LEG-45
		h, _ := newImported(t, phone())
		deleteLaptop(h, syt).Shows(t, http.StatusUnauthorized, "m.login.password")
	})
	t.Run("what_a_service_changes_is_not", func(t *testing.T) {
		h, _ := newImported(t, phone())
		deleteLaptop(h, asToken).WantStatus(t, house.PassedOn)
	})
	t.Run("nor_is_what_has_ended_long_ago", func(t *testing.T) {
		h, _ := newImported(t, phone())
		h.Logout(syt).WantStatus(t, http.StatusOK)
		deleteLaptop(h, syt).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.Clock.Move(3 * time.Minute)
		deleteLaptop(h, syt).WantStatus(t, house.PassedOn)
	})
	t.Run("a_service_passes_while_somebody_is_locked", func(t *testing.T) {
		h, _ := newImported(t, phone())
		h.Add("mallory")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "mallory"})
		h.List(asToken).WantStatus(t, house.PassedOn)
		h.List(syt).WantStatus(t, house.PassedOn)
	})
	t.Run("apps_are_told_that_they_may_change_the_password", func(t *testing.T) { // ACCT-14
		h, _ := newImported(t, phone())
		h.Answering(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"capabilities":{"m.change_password":{"enabled":false}}}`))
		})
		for token, want := range map[string]string{syt: `"enabled":true`, asToken: `"enabled":false`, syr: `"enabled":false`} {
			h.Do(house.Call{Path: "/_matrix/client/v3/capabilities", Bearer: token}).Shows(t, http.StatusOK, want)
		}
	})
}

// TestImportedLost: a token of another server says nothing of itself. A database that went back may have been imported
// into since, so that an unknown one waits, where the homeserver asks for it.
func TestImportedLost(t *testing.T) {
	newLost := func(t *testing.T) traveller {
		h := newTraveller(t)
		backup := h.copied()
		h.pass(time.Minute)
		of := phone()
		of.Localpart = "alice"
		h.Import(of)
		h.WantActive(syt, "PHONE")
		h.pass(time.Minute)
		h.Must(h.Store.KeepAlive(t.Context()))
		h.backTo(backup)
		if !h.Store.FoundBack() {
			t.Fatal("that it went back is not noticed")
		}
		h.pass(time.Minute)
		return h
	}
	t.Run("it_waits", func(t *testing.T) {
		h := newLost(t)
		wantLater(t, "introspection", h.Introspect(syt))
		wantLater(t, "a refresh", h.Refresh(syr))
		wantLater(t, "a logout", h.Logout(syt))
		h.BehindSite()
		h.List(syt).WantStatus(t, http.StatusServiceUnavailable)
		h.Answering(house.Refusing)
		wantLater(t, "what the homeserver refused from memory", h.List(syt))
		if n := h.Metrics()["session_events_total unproven"]; n < 3 {
			t.Errorf("%v are counted", n)
		}
	})
	t.Run("an_import_brings_it_back", func(t *testing.T) {
		h := newLost(t)
		of := phone()
		of.Localpart = "alice"
		h.Import(of)
		h.WantActive(syt, "PHONE")
		wantPair(h.House, h.Refresh(syr))
	})
	t.Run("services_and_strangers_are_not_concerned", func(t *testing.T) {
		h := newLost(t)
		house.Act(h.House, matrixauth.LockUser, matrixauth.Name{User: "bob"})
		h.List(asToken).WantStatus(t, house.PassedOn)
		h.Do(house.Call{Method: http.MethodDelete, Path: "/_matrix/client/v3/devices/X", Bearer: asToken, Body: "{}"}).WantStatus(t, house.PassedOn)
		h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", Bearer: "wrong", Header: house.FormType, Body: house.Form("token", syt)}).WantStatus(t, http.StatusUnauthorized)
		h.Renew("app", syr).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.Register("bank", laterSecret)
		if a := h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", Header: http.Header{"Content-Type": house.FormType["Content-Type"],
			"Authorization": {house.BasicAuth("bank", laterSecret)}}, Body: house.Form("token", syt)}); a.Body != house.Inactive { // INTRO-9
			t.Errorf("a client that asks is told %d %s", a.Status, a.Body)
		}
		h.WantInactive(strings.Repeat("x", bound.ImportedToken+1))
		h.Answering(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(w, r.Body) // the name is read as it passes
			h.Must(err)
		})
		h.Do(house.Call{Method: http.MethodPut, Path: "/_matrix/client/v3/devices/BRIDGE", Bearer: asToken, Body: `{"display_name":"A bridge"}`}).WantStatus(t, http.StatusOK)
		if log := h.Log.String(); strings.Contains(log, "the new name of a device could not be kept") {
			t.Errorf("the log is %s", log)
		}
	})
	t.Run("what_was_signed_out_since_stays_so_by_the_command", func(t *testing.T) {
		h := newTraveller(t)
		of := phone()
		of.Localpart = "alice"
		h.Import(of)
		h.pass(time.Minute)
		backup := h.copied()
		h.pass(time.Minute)
		h.Logout(syt).WantStatus(t, http.StatusOK)
		h.pass(time.Minute)
		h.restored(backup)
		h.WantSessions("alice")
		wantLater(t, "its token", h.Introspect(syt)) // as nobody can tell it from one of a later import
	})
	soft := func(h traveller) {
		h.T.Helper()
		h.WantInactive(syt)
		h.Refresh(syr).Shows(h.T, http.StatusUnauthorized, `"soft_logout":true`)
		h.BehindSite()
		h.List(syt).Shows(h.T, http.StatusUnauthorized, `"soft_logout":true`)
	}
	t.Run("until_somebody_has_ended_what_is_lost", func(t *testing.T) {
		h := newLost(t)
		house.Act(h.House, matrixauth.EndLostSessions, matrixauth.LostSessionsToEnd{})
		soft(h)
	})
	t.Run("for_30_days", func(t *testing.T) {
		h := newLost(t)
		h.Clock.Move(bound.KeepEndedSession - time.Hour)
		wantLater(t, "introspection", h.Introspect(syt))
		h.Clock.Move(time.Hour)
		soft(h)
	})
}
