package conformance

import (
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// inGap reports whether a time is in a gap that ended after since.
func (b *bench) inGap(at, since time.Time) (in bool) {
	b.Helper()
	b.view(func(tx *store.Tx) (err error) {
		in, err = tx.InGap(at, since)
		return err
	})
	return in
}

// gaps: a database knows of which times it knows nothing, after a silence and after a start.
func gaps(b *bench) {
	note := func() { b.update((*store.Tx).NoteAlive) }
	live := func(minutes int) {
		for range minutes {
			b.move(time.Minute)
			note()
		}
	}
	want := func(what string, want bool, at, since time.Time) {
		b.Helper()
		if got := b.inGap(at, since); got != want {
			b.Errorf("%s: in a gap is %v", what, got)
		}
	}
	born := b.clock()
	live(30)
	want("before its birth", true, born.Add(-time.Hour), time.Time{})
	want("after it", false, born.Add(10*time.Minute), time.Time{})
	want("after the last note", true, b.clock().Add(time.Second), time.Time{})
	silent := b.clock()
	b.move(time.Hour)
	note()
	spoke := b.clock()
	live(30)
	want("in a silence", true, silent.Add(30*time.Minute), time.Time{})
	want("in one that was over then", false, silent.Add(30*time.Minute), spoke)
	want("after it", false, spoke.Add(10*time.Minute), time.Time{})
	place, closed := b.engine.Place(b.store), b.clock()
	b.must(b.store.Close())
	b.move(time.Hour)
	b.store = b.open(place)
	live(30)
	want("while it was closed", true, closed.Add(30*time.Minute), time.Time{})
	want("before", false, closed.Add(-10*time.Minute), time.Time{})
	want("at the start and since", true, closed.Add(time.Hour), closed)
}

// tokenKeys: a number that is noted keeps its key.
func tokenKeys(b *bench) {
	b.update(func(tx *store.Tx) error {
		for _, k := range []store.TokenKey{{Number: 2, Fingerprint: "two"}, {Number: 1, Fingerprint: "one"}, {Number: 2, Fingerprint: "another"}} {
			if err := tx.NoteTokenKey(k); err != nil {
				return err
			}
		}
		return nil
	})
	b.view(func(tx *store.Tx) error {
		got, err := tx.TokenKeys()
		if diff := cmp.Diff([]store.TokenKey{{Number: 1, Fingerprint: "one"}, {Number: 2, Fingerprint: "two"}}, got); diff != "" {
			b.Error(diff)
		}
		return err
	})
}

// lostSessions: what was seen of a session adds up, ends count, and those seen longest ago give way.
func lostSessions(b *bench) {
	began := b.clock()
	id := func(after time.Duration) string { return model.FirstID(began.Add(after)) }
	seen := func(sessions ...model.LostSession) {
		for i := range sessions {
			sessions[i].FirstSeenAt, sessions[i].LastSeenAt, sessions[i].Kind = b.clock(), b.clock(), model.OAuthSession
		}
		b.update(func(tx *store.Tx) error { return tx.NoteLostSessions(sessions) })
	}
	list := func(f store.LostFilter) (found []model.LostSession) {
		b.Helper()
		f.Limit = 10
		b.view(func(tx *store.Tx) (err error) {
			found, err = tx.LostSessions(f)
			return err
		})
		return found
	}
	count := func(began, seen time.Time) (n int64) {
		b.Helper()
		b.view(func(tx *store.Tx) (err error) {
			n, err = tx.CountLostSessions(began, seen)
			return err
		})
		return n
	}
	ended := func(id string) (ended bool) {
		b.Helper()
		b.view(func(tx *store.Tx) (err error) {
			ended, err = tx.LostSessionEnded(id)
			return err
		})
		return ended
	}
	first := b.clock()
	seen(model.LostSession{ID: id(2), Refreshes: 1, LastIP: "192.0.2.1", UserAgent: "an app"}, model.LostSession{ID: id(2 * time.Second), Introspections: 1})
	b.move(time.Minute)
	seen(model.LostSession{ID: id(2), Introspections: 3})
	if diff := cmp.Diff([]model.LostSession{
		{ID: id(2), Kind: model.OAuthSession, FirstSeenAt: first, LastSeenAt: b.clock(), Refreshes: 1, Introspections: 3, LastIP: "192.0.2.1", UserAgent: "an app"},
		{ID: id(2 * time.Second), Kind: model.OAuthSession, FirstSeenAt: first, LastSeenAt: first, Introspections: 1},
	}, list(store.LostFilter{})); diff != "" {
		b.Error(diff)
	}
	if got := count(time.Time{}, time.Time{}); got != 2 {
		b.Errorf("%d wait", got)
	}
	if got := count(began.Add(time.Second), time.Time{}); got != 1 {
		b.Errorf("%d that began early wait", got)
	}
	if got := count(time.Time{}, first); got != 1 {
		b.Errorf("%d that were seen lately wait", got)
	}
	// Its holder ends one that was not seen, twice.
	b.update(func(tx *store.Tx) error {
		return tx.EndLostSession(model.LostSession{ID: id(3 * time.Second), Kind: model.CompatSession})
	})
	at := b.clock()
	b.move(time.Minute)
	b.update(func(tx *store.Tx) error {
		return tx.EndLostSession(model.LostSession{ID: id(3 * time.Second), Kind: model.CompatSession})
	})
	if got := list(store.LostFilter{Ended: true, After: id(2 * time.Second)}); len(got) != 1 || !got[0].EndedAt.Equal(at) || got[0].Kind != model.CompatSession {
		b.Errorf("ended are %+v", got)
	}
	if !ended(id(3*time.Second)) || ended(id(2*time.Second)) || len(list(store.LostFilter{})) != 2 {
		b.Error("not what its holder ended has ended")
	}
	// All that began before a time end, seen or not, and wait again.
	b.update(func(tx *store.Tx) error { return tx.SetLostEnd(began.Add(2 * time.Second)) })
	if !ended(id(time.Second)) || ended(id(2*time.Second)) || count(time.Time{}, time.Time{}) != 1 {
		b.Error("not those that began before have ended")
	}
	b.update(func(tx *store.Tx) error { return tx.SetLostEnd(began) })
	if ended(id(time.Second)) || count(time.Time{}, time.Time{}) != 2 {
		b.Error("an earlier time has nothing wait again")
	}
	// One comes back.
	b.update(func(tx *store.Tx) error {
		if err := user(tx, "alice"); err != nil {
			return err
		}
		return session(tx, "alice", id(2))
	})
	if got := count(time.Time{}, time.Time{}); got != 1 {
		b.Errorf("%d wait, one of which is back", got)
	}
	b.move(time.Minute)
	if _, err := b.store.Retain(b.Context()); err != nil {
		b.Error(err)
	}
	b.update(func(tx *store.Tx) error { return tx.EndSession(id(2), model.EndLogout) })
	if got := list(store.LostFilter{Ended: true}); len(got) != 2 {
		b.Errorf("%d are noted", len(got))
	}
	// Too many.
	b.move(time.Minute)
	many := make([]model.LostSession, 0, bound.LostSessions)
	for i := range bound.LostSessions - 1 {
		many = append(many, model.LostSession{ID: fmt.Sprintf("%s%05d", id(4 * time.Second)[:21], i)})
	}
	seen(many...)
	if got := list(store.LostFilter{Ended: true}); count(time.Time{}, time.Time{}) != bound.LostSessions-1 || got[0].ID != id(3*time.Second) {
		b.Errorf("the oldest is %+v", got[0])
	}
	b.move(31 * 24 * time.Hour)
	seen(model.LostSession{ID: id(5 * time.Second), Refreshes: 1, LastIP: "192.0.2.2"})
	b.move(31 * 24 * time.Hour)
	if _, err := b.store.Retain(b.Context()); err != nil {
		b.Error(err)
	}
	if got := list(store.LostFilter{After: many[len(many)-1].ID}); len(got) != 1 || got[0].LastIP != "" {
		b.Errorf("after a month it is %+v", got)
	}
}
