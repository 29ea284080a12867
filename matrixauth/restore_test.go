package matrixauth_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// traveller is a house whose database goes back in time.
type traveller struct{ *house.House }

func newTraveller(t *testing.T) traveller {
	h := traveller{house.New(t)}
	h.Add("alice", "bob")
	h.Register("app", "")
	return h
}

// copied is a backup as the command makes it.
func (h traveller) copied() []byte {
	h.T.Helper()
	made, err := h.Store.Copy(h.T.Context())
	h.Must(err)
	content, err := io.ReadAll(made)
	h.Must(errors.Join(err, made.Close()))
	return content
}

// backTo starts the server on a backup; without one on no database at all.
func (h traveller) backTo(backup []byte) {
	h.T.Helper()
	h.Die()
	for _, name := range []string{h.File, h.File + "-wal", h.File + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			h.T.Fatal(err)
		}
	}
	if backup != nil {
		h.Must(os.WriteFile(h.File, backup, 0o600))
	}
	h.Open()
}

func (h traveller) legacy() house.SignedIn {
	h.T.Helper()
	s := h.Login("alice", house.Object{"refresh_token": true, "device_id": "PHONE"})
	h.WantActive(s.AccessToken, "PHONE")
	return s
}

// refreshed refreshes some times, as a client does that uses what it gets.
func (h traveller) refreshed(s house.SignedIn, times int) house.SignedIn {
	h.T.Helper()
	for range times {
		h.pass(4 * time.Minute)
		device := s.DeviceID
		s = h.SignedIn(h.Refresh(s.RefreshToken))
		s.DeviceID = device
		h.WantActive(s.AccessToken, device)
	}
	return s
}

// pass has time pass on a server that runs.
func (h traveller) pass(d time.Duration) {
	h.T.Helper()
	for ; d > 0; d -= time.Minute {
		h.Clock.Move(min(d, time.Minute))
		h.Must(h.Registry.Flush(h.T.Context()))
	}
}

// wantLater wants an answer that has a client try again, and keep what it has.
func wantLater(t testing.TB, what string, a house.Answer) {
	t.Helper()
	if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("%s: got %d %s, Retry-After %q", what, a.Status, a.Body, a.Header.Get("Retry-After"))
	}
}

// TestRestore: a database that went back in time signs nobody out. Who refreshed since the backup has tokens of which it
// has no row, and destroys the keys of their messages if they hear that these are worth nothing.
func TestRestore(t *testing.T) {
	t.Run("sessions_go_on", func(t *testing.T) {
		h := newTraveller(t)
		phone, laptop := h.legacy(), h.OauthSession("bob", "app", "LAPTOP")
		backup := h.copied()
		// The evening goes on: both refresh, far beyond what any row tells.
		phone = h.refreshed(phone, 30)
		for range 30 {
			h.pass(4 * time.Minute)
			laptop = h.Tokens(h.Renew("app", laptop.RefreshToken))
			h.WantActive(laptop.AccessToken, "LAPTOP")
		}
		h.pass(time.Minute)
		h.backTo(backup)
		h.WantActive(laptop.AccessToken, "LAPTOP")
		next := h.Tokens(h.Renew("app", laptop.RefreshToken))
		h.WantActive(next.AccessToken, "LAPTOP")
		phone = h.refreshed(phone, 3)
		h.pass(time.Hour)
		h.refreshed(phone, 3)
		h.Tokens(h.Renew("app", next.RefreshToken))
		if log := h.Log.String(); strings.Count(log, "a token that the database had forgotten was taken") != 2 || strings.Contains(log, `"level":"ERROR"`) {
			t.Errorf("the log is %s", log)
		}
	})
	t.Run("a_lost_answer_of_then_is_retried", func(t *testing.T) {
		h := newTraveller(t)
		phone := h.legacy()
		backup := h.copied()
		phone = h.refreshed(phone, 5)
		h.Refresh(phone.RefreshToken) // its answer is lost
		h.backTo(backup)
		first, second := h.SignedIn(h.Refresh(phone.RefreshToken)), h.SignedIn(h.Refresh(phone.RefreshToken))
		h.WantActive(first.AccessToken, "PHONE")
		h.WantActive(second.AccessToken, "PHONE")
	})
	t.Run("an_access_token_of_then_is_used_and_kept", func(t *testing.T) {
		h := newTraveller(t)
		phone := h.legacy()
		backup := h.copied()
		phone = h.refreshed(phone, 5)
		h.backTo(backup)
		h.WantActive(phone.AccessToken, "PHONE")
		h.Must(h.Registry.Flush(t.Context()))
		if n := h.Count("tokens WHERE used_at IS NOT NULL AND generation = 5"); n != 1 {
			t.Errorf("%d tokens of that generation are used", n)
		}
		h.WantActive(phone.AccessToken, "PHONE")
		h.pass(6 * time.Minute)
		// Over, and its session lives: its client keeps its keys and refreshes.
		h.Logout(phone.AccessToken).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
		h.refreshed(phone, 2)
	})
	t.Run("what_had_ended_before_has_ended", func(t *testing.T) {
		h := newTraveller(t)
		phone := h.legacy()
		h.Logout(phone.AccessToken).WantStatus(t, http.StatusOK)
		h.backTo(h.copied())
		h.WantInactive(phone.AccessToken)
		h.Refresh(phone.RefreshToken).Shows(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	})
	t.Run("a_session_of_after_the_backup_waits", func(t *testing.T) {
		h := newTraveller(t)
		backup := h.copied()
		phone := h.legacy()
		h.Register("later", "")
		laptop := h.OauthSession("bob", "later", "LAPTOP")
		kept := h.copied()
		h.backTo(backup)
		for range 2 { // and it waits for as long as it takes
			wantLater(t, "introspection", h.Introspect(phone.AccessToken))
			wantLater(t, "a refresh", h.Refresh(phone.RefreshToken))
			wantLater(t, "an OAuth refresh of a client that is forgotten too", h.Renew("later", laptop.RefreshToken))
			h.pass(time.Minute)
			h.Clock.Move(90 * 24 * time.Hour)
		}
		// Somebody finds the right file.
		h.backTo(kept)
		h.SignedIn(h.Refresh(phone.RefreshToken))
		h.Tokens(h.Renew("later", laptop.RefreshToken))
	})
	t.Run("an_empty_database_in_its_place_signs_nobody_out", func(t *testing.T) {
		h := newTraveller(t)
		phone := h.legacy()
		kept := h.copied()
		h.backTo(nil)
		wantLater(t, "introspection", h.Introspect(phone.AccessToken))
		wantLater(t, "a refresh", h.Refresh(phone.RefreshToken))
		h.backTo(kept)
		h.refreshed(phone, 2)
	})
	t.Run("also_if_the_key_is_lost", func(t *testing.T) {
		h := newTraveller(t)
		phone := h.legacy()
		backup := h.copied()
		phone = h.refreshed(phone, 5)
		h.Must(os.Remove(matrixauth.KeyFile(h.File)))
		h.backTo(backup)
		wantLater(t, "a refresh", h.Refresh(phone.RefreshToken))
		wantLater(t, "introspection", h.Introspect(phone.AccessToken))
		// Nobody can make us wait for ever by tokens that prove nothing.
		h.pass(time.Minute)
		h.Clock.Move(31 * 24 * time.Hour)
		h.Refresh(phone.RefreshToken).Shows(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	})
	t.Run("another_server's_backup_is_no_way_in", func(t *testing.T) {
		h, thief := newTraveller(t), newTraveller(t)
		phone := thief.legacy()
		h.backTo(h.copied())
		h.Refresh(phone.RefreshToken).WantStatus(t, http.StatusServiceUnavailable)
		h.WantSessions("alice")
	})
}

// TestTidiedToken: a token whose row went because its turn was long over goes on where the session's other refreshes come
// from, and ends it softly from elsewhere. To revoke one ends nothing.
func TestTidiedToken(t *testing.T) {
	h := newTraveller(t)
	h.pass(2 * time.Minute) // a database that is new knows nothing of what was before
	first := h.legacy()
	copied := h.refreshed(first, 2)
	phone := h.refreshed(copied, 18)
	h.SQL("DELETE FROM tokens WHERE generation < 5")
	h.Logout(first.AccessToken).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
	phone = h.refreshed(phone, 2)
	h.refreshed(first, 1) // from the same network
	phone = h.refreshed(phone, 1)
	h.Do(house.Call{
		Method: http.MethodPost, Path: house.RefreshPath, Body: house.JSON(house.Object{"refresh_token": copied.RefreshToken}), IP: "198.51.100.77",
	}).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
	h.Refresh(phone.RefreshToken).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
	laptop := h.OauthSession("bob", "app", "LAPTOP")
	old := laptop
	for range 20 {
		h.pass(4 * time.Minute)
		laptop = h.Tokens(h.Renew("app", laptop.RefreshToken))
		h.WantActive(laptop.AccessToken, "LAPTOP")
	}
	h.SQL("DELETE FROM tokens WHERE generation < 5")
	for _, token := range []string{old.AccessToken, old.RefreshToken} {
		h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/revoke", Header: house.FormType, Body: house.Form("token", token, "client_id", "app")}).WantStatus(t, http.StatusOK)
	}
	h.Tokens(h.Renew("app", laptop.RefreshToken))
}

// from refreshes from an address, and uses what it gets.
func (h traveller) from(ip, token string) (next string, a house.Answer) {
	h.T.Helper()
	a = h.Do(house.Call{Method: http.MethodPost, Path: house.RefreshPath, Header: http.Header{"X-Test-Ip": {ip}}, Body: house.JSON(house.Object{"refresh_token": token})})
	if a.Status != http.StatusOK {
		return "", a
	}
	s := h.SignedIn(a)
	h.WantActive(s.AccessToken, "PHONE")
	return s.RefreshToken, a
}

// TestThiefAfterRestore: a token that was consumed before a backup was put back, and is not any more by what the backup
// knows, lets nobody from elsewhere live on beside the owner (REF-5).
func TestThiefAfterRestore(t *testing.T) {
	h := newTraveller(t)
	const home, elsewhere = "192.0.2.1", "203.0.113.5"
	token := h.legacy().RefreshToken
	refresh := func(times int) {
		for range times {
			h.pass(4 * time.Minute)
			var a house.Answer
			if token, a = h.from(home, token); token == "" {
				t.Fatalf("the owner is out: %d %s", a.Status, a.Body)
			}
		}
	}
	refresh(2)
	stolen, backup := token, h.copied()
	refresh(4)
	h.backTo(backup)
	refresh(3)
	for n := range 4 {
		next, a := h.from(elsewhere, stolen)
		if next == "" && n > 0 {
			a.Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
			return
		}
		stolen = next
		refresh(1)
	}
	t.Error("the thief goes on")
}
