package browser

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// by is alice at one of our pages.
func (b *bench) by() model.Actor {
	return model.Holder(b.alice.ID, model.Source{IP: "192.0.2.9", UserAgent: "Test/1"})
}

// live lists the ids of the live sessions of a user.
func (b *bench) live(userID string) (ids []string) {
	b.t.Helper()
	all, err := b.browsers.List(b.t.Context(), userID)
	b.must(err)
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	return ids
}

// row is the row of a session.
func (b *bench) row(id string) (s model.BrowserSession) {
	b.t.Helper()
	b.must(b.store.View(b.t.Context(), func(tx *store.Tx) (err error) { s, err = tx.BrowserSession(id); return err }))
	return s
}

// events are those of alice, the newest first.
func (b *bench) events() (events []model.Event) {
	b.t.Helper()
	b.must(b.store.View(b.t.Context(), func(tx *store.Tx) (err error) {
		events, err = tx.Events(store.EventFilter{UserID: b.alice.ID, Limit: 100})
		return err
	}))
	return events
}

func (b *bench) wantEnded(id string, reason model.EndReason) {
	b.t.Helper()
	if s := b.row(id); !s.Ended() || s.EndReason != reason {
		b.t.Errorf("the session ended at %v for %q, want %q", s.EndedAt, s.EndReason, reason)
	}
	if e := b.events()[0]; e.Action != model.ActionEndSession || e.Details["session_id"] != id || e.Details["reason"] != string(reason) {
		b.t.Errorf("the newest event is %+v", e)
	}
}

// over is a context that has ended, by which nothing can be read or written.
func (b *bench) over() context.Context {
	ctx, cancel := context.WithCancel(b.t.Context())
	cancel()
	return ctx
}

func wantCode(t *testing.T, err error, code model.Code) {
	t.Helper()
	if err == nil || model.AsError(err).Code != code {
		t.Errorf("got the error %v, want %s", err, code)
	}
}

func TestEndOwn(t *testing.T) { // ACCT-4
	b := newBench(t)
	ctx := t.Context()
	s, other := b.start("value", ""), b.start("other", "")
	wantCode(t, b.browsers.EndOwn(ctx, model.Holder("bob", model.Source{}), s.ID), model.SessionNotFound)
	wantCode(t, b.browsers.EndOwn(ctx, b.by(), "no session"), model.SessionNotFound)
	if err := b.browsers.EndOwn(b.over(), b.by(), s.ID); err == nil {
		t.Error("it ended by a context that has ended")
	}
	b.want("value", "")
	b.must(b.browsers.EndOwn(ctx, b.by(), s.ID))
	b.wantEnded(s.ID, model.EndSignedOut)
	if e := b.events()[0]; e.By.ID != "alice" || e.By.Source.IP != "192.0.2.9" {
		t.Errorf("the event is by %+v", e.By)
	}
	b.want("value", model.NotSignedIn)
	b.want("other", "")
	wantCode(t, b.browsers.EndOwn(ctx, b.by(), s.ID), model.SessionNotFound)
	b.clock.Move(bound.BrowserIdle)
	wantCode(t, b.browsers.EndOwn(ctx, b.by(), other.ID), model.SessionNotFound) // it is over, though nobody ended it
}

func TestEndOthers(t *testing.T) {
	b := newBench(t)
	one := b.start("one", "")
	b.clock.Move(time.Second) // so that the one that is kept is neither the first nor the last
	kept := b.start("kept", "")
	b.clock.Move(time.Second)
	three := b.start("three", "")
	for _, want := range []int{2, 0} {
		if n, err := b.browsers.EndOthers(t.Context(), b.by(), kept.ID); err != nil || n != want {
			t.Errorf("%d ended, %v; want %d", n, err, want)
		}
	}
	b.want("one", model.NotSignedIn)
	b.want("three", model.NotSignedIn)
	b.want("kept", "")
	for _, id := range []string{one.ID, three.ID} {
		if s := b.row(id); s.EndReason != model.EndSignedOut {
			t.Errorf("a session ended for %q", s.EndReason)
		}
	}
	if n, err := b.browsers.EndOthers(b.over(), b.by(), ""); err == nil || n != 0 {
		t.Errorf("%d ended by a context that has ended, %v", n, err)
	}
}

func TestSignOut(t *testing.T) {
	b := newBench(t)
	s := b.start("value", "")
	b.must(b.browsers.SignOut(t.Context(), b.by(), "no session"))
	b.must(b.browsers.SignOut(t.Context(), b.by(), s.ID))
	b.wantEnded(s.ID, model.EndSignedOut)
	at, events := b.row(s.ID).EndedAt, len(b.events())
	b.clock.Move(time.Minute)
	b.must(b.browsers.SignOut(t.Context(), b.by(), s.ID)) // again, which changes nothing
	if again := b.row(s.ID); !again.EndedAt.Equal(at) || len(b.events()) != events {
		t.Errorf("it ended again: %+v", again)
	}
	if err := b.browsers.SignOut(b.over(), b.by(), s.ID); err == nil {
		t.Error("no error from a context that has ended")
	}
}

func TestEnd(t *testing.T) {
	b := newBench(t)
	s, idle := b.start("value", ""), b.start("idle", "")
	end := func(id string) (ended model.BrowserSession, err error) {
		err = b.store.Update(t.Context(), func(tx *store.Tx) error {
			ended, err = b.browsers.End(tx, model.Operator("0", "root"), id, model.EndByOperator)
			return err
		})
		return ended, err
	}
	ended, err := end(s.ID)
	b.must(err)
	if ended.ID != s.ID {
		t.Errorf("ended %+v", ended)
	}
	b.wantEnded(s.ID, model.EndByOperator)
	b.want("value", model.NotSignedIn)
	for _, id := range []string{s.ID, "no session"} {
		_, err = end(id)
		wantCode(t, err, model.SessionNotFound)
	}
	b.clock.Move(bound.BrowserIdle)
	_, err = end(idle.ID)
	wantCode(t, err, model.SessionNotFound)
}

// TestLive: what nobody used for too long is listed no more, as a cookie stands for it no more.
func TestLive(t *testing.T) {
	b := newBench(t)
	idle := b.start("idle", "")
	b.clock.Move(bound.BrowserIdle - time.Second)
	used := b.start("used", "")
	if got := b.live("alice"); len(got) != 2 || got[0] != idle.ID || got[1] != used.ID {
		t.Errorf("live: %q", got)
	}
	b.clock.Move(time.Second)
	if got := b.live("alice"); len(got) != 1 || got[0] != used.ID {
		t.Errorf("live: %q", got)
	}
	if got := b.live("bob"); len(got) != 0 {
		t.Errorf("live: %q", got)
	}
	if !Over(b.row(idle.ID), b.clock.Now()) || Over(b.row(used.ID), b.clock.Now()) {
		t.Error("what is over is not what is listed no more")
	}
	var ended int
	b.must(b.store.Update(t.Context(), func(tx *store.Tx) (err error) {
		ended, err = b.browsers.EndAll(tx, model.TheServer(), "alice", model.EndPassword)
		return err
	}))
	if ended != 1 {
		t.Errorf("%d ended", ended)
	}
	if _, err := b.browsers.List(b.over(), "alice"); err == nil {
		t.Error("a list by a context that has ended")
	}
}

func TestStart(t *testing.T) {
	known := func(b *bench, device string) bool {
		b.t.Helper()
		var place store.Place
		b.must(b.store.View(b.t.Context(), func(tx *store.Tx) (err error) {
			place, err = tx.KnownPlace("alice", "", []model.TokenHash{model.HashToken(device)})
			return err
		}))
		return place != (store.Place{})
	}
	t.Run("notes the browser by which the limits know it again", func(t *testing.T) {
		b := newBench(t)
		b.start("value", "")
		if known(b, "") || known(b, "device") {
			t.Error("a browser is known that nobody named")
		}
		_, err := b.browsers.Start(t.Context(), Start{Proof: b.proof(), Value: "other", Device: "device"})
		b.must(err)
		if !known(b, "device") || known(b, "") {
			t.Error("the browser is not known")
		}
	})
	t.Run("has an event, and one for the session that it replaces", func(t *testing.T) { // SESS-2
		b := newBench(t)
		old := b.start("value", "")
		if e := b.events(); len(e) != 1 || e[0].Action != model.ActionStartSession || e[0].By.ID != "alice" || e[0].Details["session_id"] != old.ID {
			t.Errorf("the events are %+v", e)
		}
		b.start("next", "value")
		if s := b.row(old.ID); s.EndReason != model.EndReplaced {
			t.Errorf("the session before ended for %q", s.EndReason)
		}
		if e := b.events(); len(e) != 3 || e[1].Action != model.ActionEndSession || e[1].Details["reason"] != string(model.EndReplaced) {
			t.Errorf("the events are %+v", e)
		}
	})
	t.Run("of a browser whose session ended before leaves that as it ended", func(t *testing.T) {
		b := newBench(t)
		old := b.start("value", "")
		b.must(b.browsers.SignOut(t.Context(), b.by(), old.ID))
		b.start("next", "value")
		if s := b.row(old.ID); s.EndReason != model.EndSignedOut {
			t.Errorf("the session before ended for %q", s.EndReason)
		}
	})
	t.Run("fails as a whole", func(t *testing.T) {
		b := newBench(t)
		if _, err := b.browsers.Start(b.over(), Start{Proof: b.proof(), Value: "value"}); err == nil {
			t.Error("it started by a context that has ended")
		}
		b.want("value", model.NotSignedIn)
		if _, _, err := b.browsers.Current(b.over(), "value", model.Source{}); err == nil || model.AsError(err).Code == model.NotSignedIn {
			t.Errorf("a store that cannot be read gave %v: nobody may be signed out by that", err)
		}
	})
}

// TestTouch: activity is noted by the minute, with where it came from.
func TestTouch(t *testing.T) {
	b := newBench(t)
	s := b.start("value", "")
	touch := func(ip string) model.BrowserSession {
		t.Helper()
		b.must(b.browsers.Touch(t.Context(), b.row(s.ID), model.Source{IP: ip}))
		return b.row(s.ID)
	}
	b.clock.Move(activityGrain - time.Microsecond)
	if got := touch("192.0.2.5"); got.LastIP != "192.0.2.1" || !got.LastActiveAt.Equal(s.LastActiveAt) {
		t.Errorf("noted within the grain: %+v", got)
	}
	b.clock.Move(time.Microsecond)
	if got := touch("192.0.2.5"); got.LastIP != "192.0.2.5" || !got.LastActiveAt.Equal(b.clock.Now()) {
		t.Errorf("not noted: %+v", got)
	}
}
