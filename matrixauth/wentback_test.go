package matrixauth_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// under is what is under way at the time of a backup.
type under struct {
	traveller
	backup []byte
	// code was given and not exchanged, and request is the page of one that waits for a person.
	code    string
	browser *house.Browser
	request string
}

// underWay has a code, a request and the deletion of alice's TABLET wait, and takes a backup. Then the code is
// exchanged, the device is deleted, and alice signs in on it anew.
func underWay(t *testing.T) (under, house.SignedIn) {
	h := under{traveller: newTraveller(t)}
	tablet := h.Login("alice", house.Object{"device_id": "TABLET"})
	h.browser = h.SignedInAs("bob")
	h.request = h.browser.Request(house.Params("app", "scope", house.DeviceScope("WAITS")))
	h.code = h.browser.Consent(house.Params("app", "scope", house.DeviceScope("LAPTOP")))
	h.Fake.Fail(http.StatusBadGateway, "")
	h.Logout(tablet.AccessToken).WantStatus(t, http.StatusOK)
	h.Fake.Recover()
	h.pass(time.Minute)
	h.backup = h.copied()
	h.pass(time.Minute)
	h.Tokens(h.Exchange("app", h.code))
	h.Settle()
	h.WantDevices("alice")
	tablet = h.Login("alice", house.Object{"device_id": "TABLET"})
	h.pass(time.Minute)
	return h, tablet
}

// wantDead holds that what was under way is not done again.
func (h under) wantDead() {
	h.T.Helper()
	h.Exchange("app", h.code).Shows(h.T, http.StatusBadRequest, "invalid_grant")
	if n := h.Count("authorizations WHERE user_id IS NULL"); n != 0 {
		h.T.Errorf("%d requests wait", n)
	}
	h.Pass()
	h.WantDevices("alice", "TABLET")
	jobs := house.Act(h.House, matrixauth.ListJobs, matrixauth.JobQuery{}).Jobs
	if len(jobs) != 1 || jobs[0].State != "set_aside" || jobs[0].LastError != model.HeldBack {
		h.T.Fatalf("the jobs are %+v", jobs)
	}
	d, err := matrixauth.Examine.Do(h.T.Context(), h.Ops, matrixauth.Examination{})
	h.Must(err)
	found := false
	for _, f := range d.Findings {
		found = found || f.ID == "outbox/held-back" && strings.Contains(f.What, "TABLET")
		if f.ID == "outbox/refused" {
			h.T.Errorf("the doctor says that Synapse refused it: %+v", f)
		}
	}
	if !found {
		h.T.Errorf("the doctor finds %+v", d.Findings)
	}
	// The owner knows that nobody has it.
	house.Act(h.House, matrixauth.RetryJob, matrixauth.JobRef{Position: jobs[0].Position})
	h.Pass()
	h.WantDevices("alice")
}

// TestWentBack: what was under way at the time of a backup was done since, and is not done again: a deletion would take
// the device of an app that lives.
func TestWentBack(t *testing.T) {
	t.Run("by_the_command", func(t *testing.T) {
		h, _ := underWay(t)
		h.Die()
		h.Must(os.Remove(h.File)) // nobody can tell what became of it
		done, err := h.putBack(h.backup, false)
		h.Must(err)
		if done.Held != 1 {
			t.Errorf("got %+v", done)
		}
		h.Open()
		h.wantDead()
	})
	t.Run("by_hand", func(t *testing.T) {
		h, _ := underWay(t)
		h.Must(h.Store.KeepAlive(t.Context()))
		h.backTo(h.backup)
		if !h.Store.FoundBack() {
			t.Error("it is not noticed")
		}
		h.wantDead()
		h.Crash()
		if h.Store.FoundBack() {
			t.Error("it is noticed twice")
		}
	})
	t.Run("the_old_database_tells_what_was_done", func(t *testing.T) {
		h, tablet := underWay(t)
		done := h.restored(h.backup)
		if done.Held != 0 {
			t.Errorf("%d deletions are held back", done.Held)
		}
		h.Settle()
		h.WantDevices("alice", "TABLET")
		wantLater(t, "the app of since", h.Introspect(tablet.AccessToken))
	})
	t.Run("the_old_database_tells_what_is_still_to_be_done", func(t *testing.T) {
		h := under{traveller: newTraveller(t)}
		tablet, phone := h.Login("alice", house.Object{"device_id": "TABLET"}), h.Login("alice", house.Object{"device_id": "PHONE"})
		h.Fake.Fail(http.StatusBadGateway, "")
		h.Logout(tablet.AccessToken).WantStatus(t, http.StatusOK)
		h.pass(time.Minute)
		h.backup = h.copied()
		h.Logout(phone.AccessToken).WantStatus(t, http.StatusOK)
		h.pass(time.Minute)
		done := h.restored(h.backup)
		h.Fake.Recover()
		if done.Held != 0 || done.Again.SessionsEnded != 1 {
			t.Errorf("got %+v", done)
		}
		h.Settle()
		h.WantDevices("alice")
	})
	t.Run("nor_is_a_device_deleted_on_which_somebody_signed_in_since", func(t *testing.T) {
		h := under{traveller: newTraveller(t)}
		h.pass(time.Minute)
		h.backup = h.copied()
		h.Login("alice", house.Object{"device_id": "PHONE"})
		h.Must(h.Store.Update(t.Context(), func(tx *store.Tx) error { // of a login that died, say
			who, err := tx.UserByLocalpart("alice")
			if err == nil {
				_, err = session.DeleteDeviceJob.Note(tx, who.ID, session.DeleteDevice{DeviceID: "PHONE"})
			}
			return err
		}))
		h.pass(time.Minute)
		h.restored(h.backup)
		h.Settle()
		h.WantDevices("alice", "PHONE")
	})
	t.Run("nor_one_on_which_somebody_signed_in_after_a_soft_end", func(t *testing.T) {
		h := newTraveller(t)
		phone := h.legacy()
		h.pass(time.Minute)
		backup := h.copied()
		h.refreshed(phone, 2)
		h.pass(2 * time.Minute)
		h.Refresh(phone.RefreshToken).Shows(t, http.StatusUnauthorized, `"soft_logout":true`)
		h.legacy()
		h.pass(time.Minute)
		if done := h.restored(backup); done.Again.SessionsEnded != 1 {
			t.Errorf("got %+v", done)
		}
		h.Clock.Move(bound.KeepEndedSession + time.Hour)
		h.Must(session.ForgetSoftEnds(t.Context(), h.Store, h.Outbox))
		h.Settle()
		h.WantDevices("alice", "PHONE")
	})
	t.Run("a_server_that_was_only_down_goes_on", func(t *testing.T) {
		h := under{traveller: newTraveller(t)}
		tablet := h.Login("alice", house.Object{"device_id": "TABLET"})
		h.Fake.Fail(http.StatusBadGateway, "")
		h.Logout(tablet.AccessToken).WantStatus(t, http.StatusOK)
		h.Fake.Recover()
		browser := h.SignedInAs("bob")
		params := house.Params("app", "scope", house.DeviceScope("LAPTOP"))
		browser.Request(params)
		h.pass(time.Minute)
		h.Must(h.Store.KeepAlive(t.Context()))
		h.Die()
		h.Clock.Move(50 * time.Minute)
		h.Open()
		if n := h.Count("authorizations WHERE user_id IS NULL"); n != 1 {
			t.Errorf("%d requests wait", n)
		}
		h.Settle()
		h.WantDevices("alice")
		h.View(func(tx *store.Tx) error {
			if _, err := tx.WentBack(); !errors.Is(err, model.ErrNotFound) {
				t.Errorf("it went back: %v", err)
			}
			return nil
		})
	})
}

// TestClockSetBack: a clock that is set back shortly before a server is closed is no database that went back.
func TestClockSetBack(t *testing.T) {
	clock, file := testkit.NewClock(), filepath.Join(t.TempDir(), "matrix_auth.db")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	core, err := matrixauth.Open(t.Context(), matrixauth.OpenOptions{Database: file, Create: true, Now: clock.Now})
	must(err)
	must(core.Run())
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Lstat(file + ".alive"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("that it lives is not noted beside it")
		}
	}
	clock.Move(-10 * time.Second)
	must(core.Close())
	s, err := store.Open(t.Context(), store.Options{Path: file, Now: clock.Now})
	must(err)
	if s.FoundBack() {
		t.Error("it is said to have gone back")
	}
	must(s.Close())
}
