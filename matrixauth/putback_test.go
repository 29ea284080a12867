package matrixauth_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// putBack restores a backup as the command does, while no server runs.
func (h traveller) putBack(backup []byte, dryRun bool) (matrixauth.Restored, error) {
	now := func() time.Time { // it takes its time
		h.Clock.Move(time.Microsecond)
		return h.Clock.Now()
	}
	return matrixauth.RestoreDatabase(h.T.Context(), matrixauth.Target{Database: h.File}, h.Config, matrixauth.Deps{Logger: h.Logger},
		matrixauth.Backup{From: bytes.NewReader(backup), Name: "the backup", Now: now, DryRun: dryRun})
}

// restored puts a backup back and starts the server on it.
func (h traveller) restored(backup []byte) matrixauth.Restored {
	h.T.Helper()
	h.Die()
	done, err := h.putBack(backup, false)
	h.Must(err)
	h.Open()
	return done
}

// wantFiles holds which files lie beside the database, but for locks and keys.
func (h traveller) wantFiles(want ...string) {
	h.T.Helper()
	entries, err := os.ReadDir(filepath.Dir(h.File))
	h.Must(err)
	var got []string
	for _, e := range entries {
		if name := e.Name(); !strings.HasSuffix(name, ".lock") && !strings.HasSuffix(name, ".key") && !strings.HasSuffix(name, ".seal") {
			got = append(got, name)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		h.T.Errorf("the files are %q, want %q", got, want)
	}
}

// TestPutBack: a backup is put in the place of the database by a command, and nobody is signed out by it but who was.
func TestPutBack(t *testing.T) {
	t.Run("an_invitation_of_since_lets_nobody_in_again", func(t *testing.T) {
		h := newTraveller(t)
		h.SQL(`INSERT INTO registration_tokens (id, hash, sealed, uses, used, localpart, email, created_at) VALUES
			('used', x'01', x'00', 5, 1, '', '', 0), ('revoked', x'02', x'00', NULL, 0, '', '', 0), ('as it was', x'03', x'00', 2, 1, '', '', 0)`)
		h.SQL(`INSERT INTO registrations (id, state, browser, localpart, lost_localpart, password, display_name, email, email_key, email_skipped, token_id, terms, user_id, language, ip, network, size, created_at, expires_at) VALUES
			('rejected', 'waiting', x'00', 'carol', '', 'h', '', '', '', 0, '', '', '', '', '', '', 0, 0, 9000000000000000), ('waits', 'waiting', x'00', 'dave', '', 'h', '', '', '', 0, '', '', '', '', '', '', 0, 0, 9000000000000000)`)
		h.pass(time.Minute)
		backup := h.copied()
		h.SQL("UPDATE registration_tokens SET used = 4 WHERE id = 'used'")
		h.SQL("UPDATE registration_tokens SET revoked_at = 1 WHERE id = 'revoked'")
		h.SQL("UPDATE registrations SET state = 'rejected', finished_at = 1 WHERE id = 'rejected'")
		h.pass(2 * time.Minute)
		done := h.restored(backup)
		if want := (matrixauth.RestrictedAgain{InvitationsRestricted: 2, RegistrationsRejected: 1}); done.Again != want {
			t.Errorf("got %+v, want %+v", done.Again, want)
		}
		for _, where := range []string{"registration_tokens WHERE id = 'used' AND used = 4", "registration_tokens WHERE id = 'revoked' AND revoked_at = 1", "registration_tokens WHERE id = 'as it was' AND used = 1 AND revoked_at IS NULL",
			"registrations WHERE id = 'rejected' AND state = 'rejected' AND password = ''", "registrations WHERE id = 'waits' AND state = 'waiting'"} {
			if h.Count(where) != 1 {
				t.Errorf("not there: %s\n%s", where, h.Rows())
			}
		}
	})
	t.Run("who_refreshed_since_goes_on", func(t *testing.T) {
		h := newTraveller(t)
		phone := h.legacy()
		backup := h.copied()
		asOf := h.Clock.Now()
		phone = h.refreshed(phone, 5)
		old := readFile(t, h.File)
		done := h.restored(backup)
		if done.Kept == "" || done.Unread != "" || done.AsOf.After(asOf) || len(done.ByHand) != 0 || done.Again != (matrixauth.RestrictedAgain{}) {
			t.Errorf("got %+v", done)
		}
		if kept := readFile(t, done.Kept); len(kept) < len(old) {
			t.Errorf("%d bytes are kept of %d", len(kept), len(old))
		}
		if info, err := os.Stat(done.Kept); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the kept file: %v, %v", info, err)
		}
		h.refreshed(phone, 3)
		h.View(func(tx *store.Tx) error {
			back, err := tx.WentBack()
			if err == nil && (back.Since.After(asOf) || !back.At.After(asOf)) {
				t.Errorf("it went back %+v", back)
			}
			return err
		})
		if events := house.Act(h.House, matrixauth.ListEvents, matrixauth.EventQuery{Limit: 1}).Events; len(events) != 1 || events[0].Action != "restore" {
			t.Errorf("the last events are %+v", events)
		}
	})
	t.Run("a_backup_that_somebody_looked_into_is_as_old_as_it_was", func(t *testing.T) {
		h := newTraveller(t)
		phone := h.legacy()
		h.pass(time.Minute)
		backup := h.copied()
		asOf := h.Clock.Now()
		h.pass(time.Minute)
		h.Logout(phone.AccessToken).WantStatus(t, http.StatusOK)
		h.Die()
		h.Clock.Move(time.Hour)
		file := filepath.Join(t.TempDir(), "copy.db")
		h.Must(os.WriteFile(file, backup, 0o600))
		core, err := matrixauth.Open(t.Context(), matrixauth.OpenOptions{Database: file, Aside: true, Now: h.Clock.Now})
		h.Must(err)
		h.Must(core.Close())
		done, err := h.putBack(readFile(t, file), false)
		h.Must(err)
		if done.Unread != "" || done.Again.SessionsEnded != 1 || done.AsOf.After(asOf) {
			t.Errorf("got %+v", done)
		}
	})
	t.Run("what_only_restricts_is_done_again", func(t *testing.T) {
		h := newTraveller(t)
		h.Add("carol", "dave", "erin")
		h.pass(2 * time.Minute)
		ended := h.Login("alice", house.Object{"refresh_token": true, "device_id": "OLD"})
		phone := h.legacy()
		laptop := h.OauthSession("bob", "app", "LAPTOP")
		h.SignedInAs("bob")
		dave := h.Login("dave", nil)
		house.Act(h.House, matrixauth.SetAdmin, matrixauth.AdminRight{Name: matrixauth.Name{User: "erin"}, Admin: true})
		house.Act(h.House, matrixauth.LockUser, matrixauth.Name{User: "erin"})
		h.Settle()
		h.pass(time.Minute)
		backup := h.copied()
		h.pass(time.Minute)
		h.Logout(ended.AccessToken).WantStatus(t, http.StatusOK)
		h.Secret("another password")
		house.Act(h.House, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: matrixauth.Name{User: "bob"}, Password: "another password"})
		house.Act(h.House, matrixauth.LockUser, matrixauth.Name{User: "carol"})
		house.Act(h.House, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "dave"}})
		house.Act(h.House, matrixauth.SetAdmin, matrixauth.AdminRight{Name: matrixauth.Name{User: "erin"}})
		house.Act(h.House, matrixauth.UnlockUser, matrixauth.Name{User: "erin"})
		h.Add("frank")
		late := h.Login("frank", house.Object{"refresh_token": true})
		h.Settle()
		h.pass(time.Minute)
		done := h.restored(backup)
		if a := done.Again; a.SessionsEnded < 2 || a.UsersLocked != 1 || a.UsersDeactivated != 1 || a.UsersDemoted != 1 || a.PasswordsChanged != 1 || a.ConsentsWithdrawn != 0 {
			t.Errorf("done again: %+v", a)
		}
		var byHand []string
		for _, one := range done.ByHand {
			byHand = append(byHand, one.How)
		}
		if got := strings.Join(byHand, "\n"); !strings.Contains(got, "user add frank --existing") || !strings.Contains(got, "user unlock erin") || len(byHand) != 3 {
			t.Errorf("by hand:\n%s", got)
		}
		h.WantInactive(ended.AccessToken)
		h.Refresh(ended.RefreshToken).Shows(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.WantInactive(dave.AccessToken)
		h.refreshed(phone, 2)
		h.Tokens(h.Renew("app", laptop.RefreshToken))
		wantLater(t, "a session of since", h.Refresh(late.RefreshToken))
		if n := h.Count("browser_sessions WHERE ended_at IS NULL"); n != 0 {
			t.Errorf("%d browsers are signed in", n)
		}
		if n := h.Count("users WHERE localpart = 'carol' AND locked_at IS NOT NULL OR localpart = 'dave' AND deactivated_at IS NOT NULL"); n != 2 {
			t.Errorf("%d of two are locked and deactivated", n)
		}
		h.LoginFrom(house.OfficeIP, "bob", "another password", nil).WantStatus(t, http.StatusOK)
		h.TryLogin("bob", nil).WantStatus(t, http.StatusForbidden)
		for _, e := range house.Act(h.House, matrixauth.ListEvents, matrixauth.EventQuery{Limit: 5}).Events {
			if e.By.Kind != string(model.ActorOperator) && e.Action != "session.start" {
				t.Errorf("%+v is not the operator's", e)
			}
		}
	})
	t.Run("a_dry_run_changes_nothing", func(t *testing.T) {
		h := newTraveller(t)
		phone := h.legacy()
		backup := h.copied()
		h.Logout(phone.AccessToken).WantStatus(t, http.StatusOK)
		h.Settle()
		h.Die()
		before := readFile(t, h.File)
		done, err := h.putBack(backup, true)
		if err != nil || done.Kept != "" || !done.DryRun || done.Again.SessionsEnded != 1 {
			t.Errorf("got %+v, %v", done, err)
		}
		if !bytes.Equal(before, readFile(t, h.File)) {
			t.Error("the database is another one")
		}
		h.wantFiles("auth.db")
		h.Open()
	})
	t.Run("a_lost_database", func(t *testing.T) {
		h := newTraveller(t)
		phone := h.legacy()
		backup := h.copied()
		phone = h.refreshed(phone, 2)
		h.Die()
		for _, name := range []string{h.File, h.File + "-wal", h.File + "-shm"} {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
		done, err := h.putBack(backup, false)
		if err != nil || done.Kept != "" || done.Unread == "" || len(done.ByHand) == 0 {
			t.Errorf("got %+v, %v", done, err)
		}
		h.wantFiles("auth.db")
		h.Open()
		h.refreshed(phone, 2)
	})
	t.Run("a_database_that_is_none", func(t *testing.T) {
		for name, content := range map[string]string{"empty": "", "broken": "lost"} {
			h := newTraveller(t)
			backup := h.copied()
			h.Die()
			h.Must(os.WriteFile(h.File, []byte(content), 0o600))
			h.Must(os.WriteFile(h.File+"-wal", []byte("the log of that"), 0o600))
			done, err := h.putBack(backup, false)
			if err != nil || done.Unread == "" {
				t.Errorf("%s: got %+v, %v", name, done, err)
			}
			if got := string(readFile(t, done.Kept)); got != content {
				t.Errorf("%s: %q is kept", name, got)
			}
			if got := string(readFile(t, done.Kept+"-wal")); got != "the log of that" {
				t.Errorf("%s: %q is kept of its log", name, got)
			}
			h.wantFiles("auth.db", filepath.Base(done.Kept), filepath.Base(done.Kept)+"-wal")
			h.Open()
		}
	})
	t.Run("what_is_no_backup_of_ours_is_refused", func(t *testing.T) {
		h, other := newTraveller(t), newTraveller(t)
		backup, damaged := h.copied(), h.copied()
		for i := 3 * 4096; i < 4*4096; i++ {
			damaged[i] = 0xff
		}
		newer := bytes.Replace(bytes.Clone(other.copied()), []byte(house.ServerName), []byte("examples.tes"), 1)
		h.Die()
		before := readFile(t, h.File)
		for name, want := range map[string]struct {
			content []byte
			says    string
		}{
			"empty":          {nil, "is empty"},
			"text":           {[]byte("no database at all, but long enough"), "is not an SQLite database"},
			"cut off":        {backup[:len(backup)/2], "is damaged"},
			"damaged":        {damaged, "is damaged"},
			"another server": {newer, "is a backup of"},
		} {
			if _, err := h.putBack(want.content, false); err == nil || !strings.Contains(err.Error(), want.says) || !strings.Contains(err.Error(), "the backup") {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if !bytes.Equal(before, readFile(t, h.File)) {
			t.Error("the database is another one")
		}
		h.wantFiles("auth.db")
		h.Open()
	})
	t.Run("not_while_a_server_has_it", func(t *testing.T) {
		h := newTraveller(t)
		if _, err := h.putBack(h.copied(), false); err == nil || !strings.Contains(err.Error(), "is held by") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("who_signed_out_while_lost_stays_out", func(t *testing.T) {
		h := newTraveller(t)
		backup := h.copied()
		phone, tablet := h.legacy(), h.LoginOn("bob", "TABLET")
		h.restored(backup)
		h.Logout(tablet.AccessToken).WantStatus(t, http.StatusOK)
		h.pass(time.Minute)
		h.restored(backup)
		h.WantInactive(tablet.AccessToken)
		wantLater(t, "who did not", h.Introspect(phone.AccessToken))
	})
	t.Run("the_original_is_put_back_again", func(t *testing.T) {
		h := newTraveller(t)
		phone := h.legacy()
		backup := h.copied()
		phone = h.refreshed(phone, 3)
		late := h.Login("bob", house.Object{"refresh_token": true, "device_id": "LATE"})
		gone := h.Login("bob", house.Object{"refresh_token": true, "device_id": "GONE"})
		done := h.restored(backup)
		phone = h.refreshed(phone, 3)
		late2 := h.Login("bob", house.Object{"refresh_token": true, "device_id": "LATER"})
		h.Logout(gone.AccessToken).WantStatus(t, http.StatusOK) // who is lost may sign out all the same
		h.pass(time.Minute)
		again := h.restored(readFile(t, done.Kept))
		if again.Unread != "" || again.Again != (matrixauth.RestrictedAgain{SessionsEnded: 1}) {
			t.Errorf("got %+v", again)
		}
		h.Settle()
		h.WantDevices("bob", "LATE", "LATER")
		h.WantInactive(gone.AccessToken)
		h.SignedIn(h.Refresh(late.RefreshToken))
		wantLater(t, "a session of meanwhile", h.Refresh(late2.RefreshToken))
		h.refreshed(phone, 2)
	})
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
