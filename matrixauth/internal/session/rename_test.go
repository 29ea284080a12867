package session

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/sqlite"
)

// named returns what the homeserver calls a device.
func (s *served) named(device string) string {
	s.t.Helper()
	there, _ := s.synapse.User(s.user.Localpart)
	name := there.Devices[device]
	if name == nil {
		return ""
	}
	return *name
}

// TestRename: a person names a device of theirs, here at once and at the homeserver soon after.
func TestRename(t *testing.T) {
	s := newServed(t, nil)
	session, tokens := s.login("D")
	other, _ := s.login("E")
	by := model.Holder(s.user.ID, source)
	rename := func(id, name string) error { return s.sessions.Rename(context.Background(), by, id, name) }

	s.must(rename(session.ID, "  Kitchen tablet "))
	if got := s.row(session.ID).DeviceName; got != "Kitchen tablet" {
		t.Errorf("the device is called %q", got)
	}
	if e := s.lastEvent(); e.Action != model.ActionRenameSession || e.By.ID != s.user.ID || e.UserID != s.user.ID || e.Details["device_id"] != "D" || e.Details["name"] != "Kitchen tablet" {
		t.Errorf("the event is %+v", e)
	}
	s.work()
	if got := s.named("D"); got != "Kitchen tablet" {
		t.Errorf("the homeserver calls it %q", got)
	}
	if got := s.row(other.ID).DeviceName; got != "" {
		t.Errorf("the other device is called %q", got)
	}

	// An app that names its device once more before the homeserver was told has the last word.
	s.must(rename(session.ID, "Ours"))
	s.must(s.sessions.NameDevice(context.Background(), tokens.Access, "D", "The app's"))
	s.work()
	if got := s.named("D"); got != "The app's" {
		t.Errorf("the homeserver calls it %q", got)
	}

	before, last := s.row(session.ID), s.lastEvent().Position
	for name, text := range map[string]string{
		"empty": "", "white space": " \t ", "a line break": "a\nb", "a control character": "a\x00b", "an escape": "a\x1b[31mb", "another direction": "a\u202eb",
		"nothing to see": "\u200b\u2060", "no text": "a\xffb", "too long": strings.Repeat("ä", bound.DeviceName+1),
	} {
		if err := rename(session.ID, text); model.AsError(err).Code != model.InvalidParam {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.must(rename(session.ID, strings.Repeat("ä", bound.DeviceName)))
	s.must(rename(session.ID, before.DeviceName))
	s.must(rename(session.ID, before.DeviceName)) // the same again is no change
	if made := s.lastEvent().Position - last; made != 2 {
		t.Errorf("there are %d events more", made)
	}
}

// TestRenameNobodyElses: a session of somebody else, one that is over and one without a device have no name to give (ACCT-4).
func TestRenameNobodyElses(t *testing.T) {
	s := newServed(t, nil)
	session, _ := s.login("D")
	gone, _ := s.login("E")
	s.must(s.sessions.EndOwn(context.Background(), model.Holder(s.user.ID, source), gone.ID))
	bob := model.User{ID: model.NewID(s.clock.Now()), Localpart: "bob", CreatedAt: s.clock.Now()}
	s.update(func(tx *store.Tx) error { return tx.InsertUser(bob) })
	last := s.lastEvent().Position
	for name, c := range map[string]struct{ by, id string }{
		"somebody else's": {bob.ID, session.ID}, "one that is over": {s.user.ID, gone.ID}, "none": {s.user.ID, "no such"}, "no id": {s.user.ID, ""},
	} {
		err := s.sessions.Rename(context.Background(), model.Holder(c.by, source), c.id, "Mine")
		if model.AsError(err).Code != model.SessionNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.lastEvent().Position != last || s.row(session.ID).DeviceName != "" {
		t.Error("something changed")
	}
}

// TestRenameAndHomeserver: a homeserver that is down is told later, and one whose device is gone needs to hear nothing.
func TestRenameAndHomeserver(t *testing.T) {
	s := newServed(t, nil)
	session, _ := s.login("D")
	by := model.Holder(s.user.ID, source)
	s.synapse.Stop()
	for _, name := range []string{"One", "Two", "Three", "Phone"} { // however often, no more waits than one under way and one behind it
		s.must(s.sessions.Rename(context.Background(), by, session.ID, name))
	}
	if n := sqlite.Count(t, s.path, "outbox WHERE kind = 'name_device'"); n != 2 {
		t.Errorf("%d jobs wait", n)
	}
	s.work()
	s.synapse.Resume()
	s.clock.Move(time.Hour)
	s.work()
	if got := s.named("D"); got != "Phone" {
		t.Errorf("the homeserver calls it %q", got)
	}
	s.synapse.DeleteDevices(s.user.Localpart, "D")
	s.must(s.sessions.Rename(context.Background(), by, session.ID, "Tablet"))
	s.work()
	s.update(func(tx *store.Tx) error {
		for _, kind := range model.JobKinds {
			if waits, err := tx.JobWaits(model.ToHomeserver.Lane(s.user.ID), kind); err != nil || waits {
				t.Errorf("%s waits: %v, %v", kind, waits, err)
			}
		}
		return nil
	})
}
