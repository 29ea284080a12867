package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// acquainted is a store with alice, whose networks and browsers are noted.
type acquainted struct {
	*Store
	t   *testing.T
	now time.Time
}

func newAcquainted(t *testing.T) *acquainted {
	a := &acquainted{t: t, now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
	a.Store = openAt(t, &a.now)
	update(t, a.Store, func(tx *Tx) error { return addUser(tx, "alice") })
	return a
}

func (a *acquainted) move(d time.Duration) { a.now = a.now.Add(d) }

// knows reports whether alice is known at an address, and in the browser of a value.
func (a *acquainted) knows(ip string, values ...string) (network, browser bool) {
	a.t.Helper()
	var hashes []model.TokenHash
	for _, v := range values {
		hashes = append(hashes, model.HashToken(v))
	}
	update(a.t, a.Store, func(tx *Tx) error {
		place, err := tx.KnownPlace("alice", model.Place(ip), hashes)
		network, browser = place.Network, place.Browser != model.TokenHash{}
		return err
	})
	return network, browser
}

func (a *acquainted) wantNetwork(ip string, want bool) {
	a.t.Helper()
	if network, _ := a.knows(ip); network != want {
		a.t.Errorf("known at %s: %v", ip, network)
	}
}

func (a *acquainted) noteNetwork(ip string) {
	a.t.Helper()
	update(a.t, a.Store, func(tx *Tx) error { return tx.NoteNetwork("alice", ip) })
}

func TestKnownPlaces(t *testing.T) {
	a := newAcquainted(t)
	a.noteNetwork("192.0.2.1")
	a.noteNetwork("2001:db8::1")
	a.noteNetwork("no address")
	a.wantNetwork("192.0.2.1", true)
	a.wantNetwork("192.0.2.2", false)
	a.wantNetwork("2001:db8::2", true)
	a.wantNetwork("2001:db8:1::1", false)
	a.wantNetwork("", false)
	update(t, a.Store, func(tx *Tx) error { return tx.NoteBrowser("alice", model.HashToken("value")) })
	for want, values := range map[bool][]string{true: {"1", "2", "3", "4", "value"}, false: {"1", "2", "3", "4", "5"}} {
		if _, browser := a.knows("", values...); browser != want {
			t.Errorf("known by %q: %v", values, browser)
		}
	}
	if _, browser := a.knows("", "1", "2", "3", "4", "5", "value"); browser { // more than anybody's cookie holds
		t.Error("a sixth value is looked at")
	}
	a.move(bound.KeepKnownNetwork)
	a.wantNetwork("192.0.2.1", false)
	a.move(bound.KeepKnownBrowser - bound.KeepKnownNetwork - time.Microsecond)
	if _, browser := a.knows("", "value"); !browser {
		t.Error("the browser is forgotten before its time")
	}
	a.move(time.Microsecond)
	if _, browser := a.knows("", "value"); browser {
		t.Error("the browser is known for too long")
	}
	a.noteNetwork("192.0.2.1")
	update(t, a.Store, func(tx *Tx) error {
		if err := tx.NoteBrowser("alice", model.HashToken("value")); err != nil {
			return err
		}
		return tx.ForgetPlaces("alice")
	})
	if network, browser := a.knows("192.0.2.1", "value"); network || browser {
		t.Errorf("known after all was forgotten: %v, %v", network, browser)
	}
}

// TestKnownPlacesAreBounded: the ones used longest ago give way.
func TestKnownPlacesAreBounded(t *testing.T) {
	a := newAcquainted(t)
	for i := range bound.KnownNetworks + 1 {
		a.noteNetwork(fmt.Sprintf("192.0.2.%d", i))
		a.move(time.Second)
		a.noteNetwork("192.0.2.0") // is used all the time
	}
	a.wantNetwork("192.0.2.0", true)
	a.wantNetwork("192.0.2.1", false)
	a.wantNetwork("192.0.2.2", true)
	for i := range bound.KnownBrowsers + 1 {
		update(t, a.Store, func(tx *Tx) error { return tx.NoteBrowser("alice", model.HashToken(fmt.Sprint(i))) })
		a.move(time.Second)
	}
	for value, want := range map[string]bool{"0": false, "1": true} {
		if _, browser := a.knows("", value); browser != want {
			t.Errorf("the browser of %s is known: %v", value, browser)
		}
	}
}

// TestNoteMove: whoever is used all the time at one place costs a statement a day.
func TestNoteMove(t *testing.T) {
	a := newAcquainted(t)
	note := func(ip, last string, seen time.Time, want bool) {
		t.Helper()
		update(t, a.Store, func(tx *Tx) error {
			moved, err := tx.NoteMove("alice", ip, last, seen)
			if moved != want {
				t.Errorf("from %q to %q: moved %v", last, ip, moved)
			}
			return err
		})
	}
	midnight := a.now.Truncate(24 * time.Hour)
	note("192.0.2.1", "192.0.2.1", midnight, false)
	a.wantNetwork("192.0.2.1", false) // the same place on the same day
	note("192.0.2.1", "192.0.2.1", midnight.Add(-time.Microsecond), false)
	a.wantNetwork("192.0.2.1", true) // the first time on this day
	note("192.0.2.2", "192.0.2.1", a.now, true)
	a.wantNetwork("192.0.2.2", true)
	note("2001:db8::2", "2001:db8::1", a.now, false) // of one network
	a.wantNetwork("2001:db8::2", false)
	note("no address", "192.0.2.1", a.now, false)
	note("", "", a.now.Add(-24*time.Hour), false)
}

// TestRetainNetworks: a network goes when its time is over, unless it is the last address of a session that was in use
// since: clients that never refresh tell their address at the sign-in alone.
func TestRetainNetworks(t *testing.T) {
	a := newAcquainted(t)
	start := a.now
	for i := range 2*retentionBatch + 1 {
		user := fmt.Sprint("user", i)
		update(t, a.Store, func(tx *Tx) error {
			if err := addUser(tx, user); err != nil {
				return err
			}
			return tx.NoteNetwork(user, "203.0.113.1")
		})
	}
	a.noteNetwork("192.0.2.1")
	a.noteNetwork("192.0.2.2")
	a.noteNetwork("192.0.2.3")
	a.noteNetwork("192.0.2.4")
	update(t, a.Store, func(tx *Tx) error {
		for i, ip := range []string{"192.0.2.1", "192.0.2.4"} {
			id := fmt.Sprint(i)
			if err := tx.InsertSession(model.Session{ID: id, Kind: model.CompatSession, UserID: "alice", DeviceID: id, CreatedAt: start, LastIP: ip}); err != nil {
				return err
			}
		}
		b := model.BrowserSession{ID: "b", UserID: "alice", CreatedAt: start, AuthenticatedAt: start, LastActiveAt: start, LastIP: "192.0.2.2"}
		return tx.InsertBrowserSession(b, model.HashToken("b"))
	})
	a.move(bound.KeepKnownNetwork)
	removed := func() (n int64) {
		t.Helper()
		n, err := a.retainNetworks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := removed(); n != 0 {
		t.Errorf("%d networks went before their time", n)
	}
	seen := start.Add(24 * time.Hour)
	update(t, a.Store, func(tx *Tx) error {
		if err := tx.TouchSession("0", seen, ""); err != nil {
			return err
		}
		return tx.TouchBrowserSession("b", seen, "192.0.2.2")
	})
	a.move(time.Microsecond)
	if n := removed(); n != 2*retentionBatch+1+2 { // of the others, and of alice the one without a session and the one that was not used since
		t.Errorf("%d networks went", n)
	}
	a.wantNetwork("192.0.2.1", true)
	a.wantNetwork("192.0.2.2", true)
	a.wantNetwork("192.0.2.3", false)
	a.wantNetwork("192.0.2.4", false)
	a.move(24 * time.Hour)
	if n := removed(); n != 2 {
		t.Errorf("%d networks went", n)
	}
}
