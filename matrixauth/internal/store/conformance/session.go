package conformance

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// sessions: a device has one live session, and an end is for good.
func sessions(b *bench) {
	b.update(func(tx *store.Tx) error {
		return errors.Join(user(tx, "alice"), user(tx, "bob"), session(tx, "alice", "1"), session(tx, "alice", "2"))
	})
	b.refused("a second live session of a device", func(tx *store.Tx) error {
		return tx.InsertSession(model.Session{ID: "3", Kind: model.OAuthSession, UserID: "alice", DeviceID: "1", CreatedAt: tx.Now})
	})
	b.refused("a session of nobody", func(tx *store.Tx) error { return session(tx, "nobody", "4") })
	b.update(func(tx *store.Tx) error { // the same device of another user, and sessions without a device
		return errors.Join(
			tx.InsertSession(model.Session{ID: "b1", Kind: model.CompatSession, UserID: "bob", DeviceID: "1", CreatedAt: tx.Now}),
			tx.InsertSession(model.Session{ID: "n1", Kind: model.OAuthSession, UserID: "bob", CreatedAt: tx.Now}),
			tx.InsertSession(model.Session{ID: "n2", Kind: model.OAuthSession, UserID: "bob", CreatedAt: tx.Now}))
	})
	b.move(time.Minute)
	b.update(func(tx *store.Tx) error { return tx.EndSession("1", model.EndLogout) })
	b.move(time.Minute)
	b.update(func(tx *store.Tx) error {
		return errors.Join(tx.EndSession("1", model.EndRevoked), tx.InsertSession(model.Session{ID: "5", Kind: model.OAuthSession, UserID: "alice", DeviceID: "1", CreatedAt: tx.Now, LastActiveAt: tx.Now}))
	})
	b.view(func(tx *store.Tx) error {
		ended, err := tx.Session("1")
		if !ended.Ended() || ended.EndReason != model.EndLogout || !ended.EndedAt.Equal(b.now.Add(-time.Minute)) {
			b.Errorf("the first end counts: %+v", ended)
		}
		_, absent := tx.LiveSession("1")
		b.absent("a live session that ended", absent)
		on, onErr := tx.LiveSessionOnDevice("alice", "1")
		last, lastErr := tx.LastEndedOnDevice("alice", "1")
		if on.ID != "5" || last.ID != "1" {
			b.Errorf("on the device is %s, and was %s", on.ID, last.ID)
		}
		live, liveErr := tx.LiveSessions("alice")
		if len(live) != 2 || live[0].ID != "2" || live[1].ID != "5" {
			b.Errorf("live are %+v", live)
		}
		_, none := tx.LiveSessionOnDevice("bob", "")
		b.absent("a session on no device", none)
		return errors.Join(err, onErr, lastErr, liveErr)
	})
	at := b.now
	b.update(func(tx *store.Tx) error {
		return errors.Join(tx.TouchSession("5", at.Add(time.Hour), "192.0.2.9"), tx.TouchSession("5", at, ""), tx.NameDevice("5", "Phone"))
	})
	b.view(func(tx *store.Tx) error {
		s, err := tx.Session("5")
		if !s.LastActiveAt.Equal(at.Add(time.Hour)) || s.LastIP != "192.0.2.9" || s.DeviceName != "Phone" {
			b.Errorf("%+v", s)
		}
		return err
	})
}

// token returns a token of a session.
func token(id, sessionID string, kind model.TokenKind, generation, pair int64, at time.Time) model.Token {
	return model.Token{Hash: model.HashToken(id), Kind: kind, SessionID: sessionID, Generation: generation, Pair: pair, CreatedAt: at, UserID: "alice", Localpart: "alice", DeviceID: "1", Scope: model.ScopeAPI}
}

// tokens: a token is found by its hash alone, with all that was written.
func tokens(b *bench) {
	b.update(func(tx *store.Tx) error { return errors.Join(user(tx, "alice"), session(tx, "alice", "1")) })
	access, next := token("access", "1", model.CompatAccess, 0, 1, b.now), token("refresh", "1", model.CompatRefresh, 0, 1, b.now)
	access.ExpiresAt = b.now.Add(time.Minute)
	next.Parent = model.HashToken("parent")
	b.update(func(tx *store.Tx) error { return tx.InsertTokenPair(access, next) })
	b.refused("a second token of a hash", func(tx *store.Tx) error { return tx.InsertToken(access) })
	b.update(func(tx *store.Tx) error {
		return errors.Join(tx.MarkTokenUsed(access.Hash, b.now.Add(time.Second)), tx.MarkTokenUsed(access.Hash, b.now.Add(time.Hour)))
	})
	access.UsedAt = b.now.Add(time.Second)
	for _, want := range []model.Token{access, next} {
		got, err := b.store.Token(want.Hash)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			b.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
	_, err := b.store.Token(model.HashToken("nothing"))
	b.absent("a token", err)
	_, err = b.store.Token(model.TokenHash{})
	b.absent("the zero hash", err)
	b.update(func(tx *store.Tx) error {
		live, err := tx.LiveAccessTokens("1")
		if len(live) != 1 || live[0].Hash != access.Hash {
			b.Errorf("live are %+v", live)
		}
		return errors.Join(err, tx.DeleteTokens("1"))
	})
	_, err = b.store.Token(access.Hash)
	b.absent("a token of a session that is over", err)
}

// refresh: pairs are counted without a gap, generations only rise, and which token was consumed is told by rows.
func refresh(b *bench) {
	b.update(func(tx *store.Tx) error { return errors.Join(user(tx, "alice"), session(tx, "alice", "1")) })
	s := model.Session{ID: "1", Kind: model.CompatSession}
	first := token("refresh 0", "1", model.CompatRefresh, 0, 1, b.now)
	b.update(func(tx *store.Tx) error {
		for i, step := range []struct{ minted, used, pair int64 }{{0, 0, 1}, {1, 0, 2}, {5, 4, 3}, {2, 1, 4}} {
			now, err := tx.Session("1")
			if err != nil {
				return err
			}
			if pair, err := tx.CountPair(now, step.minted, step.used); err != nil || pair != step.pair {
				b.Errorf("step %d gave %d %v", i, pair, err)
			}
		}
		got, err := tx.Session("1")
		if got.Generation != 5 || got.UsedGeneration != 4 {
			b.Errorf("generations %d and %d", got.Generation, got.UsedGeneration)
		}
		return errors.Join(err, tx.RaiseUsedGeneration("1", 3), tx.InsertToken(first))
	})
	consumed := func() (is bool) {
		b.view(func(tx *store.Tx) (err error) { is, err = tx.Consumed(s, first); return err })
		return is
	}
	var children []model.Token
	b.update(func(tx *store.Tx) error {
		for i := range 4 {
			access, child := token(fmt.Sprint("access 1.", i), "1", model.CompatAccess, 1, int64(2+i), b.now), token(fmt.Sprint("refresh 1.", i), "1", model.CompatRefresh, 1, int64(2+i), b.now)
			access.Parent, child.Parent = first.Hash, first.Hash
			if err := tx.InsertTokenPair(access, child); err != nil {
				return err
			}
			children = append(children, access)
		}
		return nil
	})
	if consumed() {
		b.Error("a token is consumed whose children nobody used")
	}
	b.update(func(tx *store.Tx) error { return tx.MarkTokenUsed(children[0].Hash, b.now) })
	if !consumed() {
		b.Error("a token is not consumed whose child was used")
	}
	b.update(func(tx *store.Tx) error { return tx.TrimSiblings(s, 1, 2) })
	for i, want := range []bool{true, false, true, true} { // the one that was used stays, and the newest two
		if _, err := b.store.Token(children[i].Hash); (err == nil) != want {
			b.Errorf("sibling %d: %v", i, err)
		}
	}
	b.view(func(tx *store.Tx) error {
		presented, err := tx.RefreshToken(first.Hash)
		if presented.SessionID != "1" || presented.Generation != 0 || presented.Hash != first.Hash {
			b.Errorf("%+v", presented)
		}
		_, absent := tx.RefreshToken(model.HashToken("nothing"))
		b.absent("a presented token", absent)
		return err
	})
}

// browsers: who is signed in at our pages is found by the hash of the cookie.
func browsers(b *bench) {
	one := model.BrowserSession{ID: "1", UserID: "alice", CreatedAt: b.now, AuthenticatedAt: b.now, LastActiveAt: b.now, Methods: []model.Method{model.MethodPassword}, LastIP: "192.0.2.1", UserAgent: "Browser"}
	b.update(func(tx *store.Tx) error {
		return errors.Join(user(tx, "alice"), tx.InsertBrowserSession(one, model.HashToken("cookie")))
	})
	b.refused("a second session of a cookie", func(tx *store.Tx) error {
		other := one
		other.ID = "2"
		return tx.InsertBrowserSession(other, model.HashToken("cookie"))
	})
	b.view(func(tx *store.Tx) error {
		got, err := tx.BrowserSessionByHash(model.HashToken("cookie"))
		if diff := cmp.Diff(one, got); diff != "" {
			b.Errorf("(-want +got)\n%s", diff)
		}
		return err
	})
	b.move(time.Minute)
	prove := func(tx *store.Tx, at time.Time) error {
		return tx.ProveBrowserSession("1", model.Proof{Methods: one.Methods, At: at})
	}
	b.update(func(tx *store.Tx) error { // an older proof and one of a session that is over change nothing
		return errors.Join(prove(tx, b.now), prove(tx, b.now.Add(-time.Second)), tx.TouchBrowserSession("1", b.now.Add(-time.Hour), "192.0.2.2"),
			tx.EndBrowserSession("1", model.EndLogout), prove(tx, b.now.Add(time.Hour)))
	})
	b.view(func(tx *store.Tx) error {
		got, err := tx.BrowserSession("1")
		live, liveErr := tx.LiveBrowserSessions("alice")
		if !got.Ended() || !got.AuthenticatedAt.Equal(b.now) || !got.LastActiveAt.Equal(one.LastActiveAt) || got.LastIP != "192.0.2.2" || len(live) != 0 {
			b.Errorf("%+v, live %+v", got, live)
		}
		return errors.Join(err, liveErr)
	})
}
