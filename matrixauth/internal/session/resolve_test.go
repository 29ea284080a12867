package session

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// endRows ends a session as a refresh that was replayed does: in the store alone.
func (b *bench) endRows(session model.Session) {
	b.t.Helper()
	b.update(func(tx *store.Tx) error { return b.sessions.endRows(tx, model.TheServer(), session, model.EndRevoked) })
}

// foreign are tokens that no row can have.
var foreign = []string{"", "mct_", "syt_abc_def_ghi", "MDAxabc", model.NewToken(model.CompatAccess), model.NewToken(model.OAuthAccess)}

func TestFind(t *testing.T) { // REV-2, REV-5
	b := newBench(t)
	session, tokens := b.start("D")
	for _, token := range []string{tokens.Access, tokens.Refresh} {
		if found, err := b.sessions.Find(token); err != nil || found.SessionID != session.ID || found.UserID != b.user.ID {
			t.Errorf("found %+v, %v", found, err)
		}
	}
	b.clock.Move(24 * time.Hour)
	if _, err := b.sessions.Find(tokens.Access); err != nil {
		t.Errorf("an expired token gave %v", err)
	}
	for _, token := range foreign {
		_, err := b.sessions.Find(token)
		wantCode(t, err, model.UnknownToken)
	}
	b.breakStore()
	_, err := b.sessions.Find(tokens.Access)
	wantUnjudged(t, err)
}

func TestAccess(t *testing.T) {
	b := newBench(t)
	session, tokens := b.start("D")
	ask := map[string]func(string) (model.Token, error){"peek": b.sessions.Peek, "access": b.sessions.Access, "introspect": b.sessions.Introspect}
	want := func(token string, code model.Code) {
		t.Helper()
		for name, f := range ask {
			found, err := f(token)
			if code == "" && (err != nil || found.SessionID != session.ID) {
				t.Errorf("%s gave %+v, %v", name, found, err)
			}
			if code != "" {
				wantCode(t, err, code)
			}
		}
	}
	want(tokens.Access, "")
	want(tokens.Refresh, model.UnknownToken) // a refresh token opens nothing
	if _, err := b.sessions.Owner(tokens.Refresh); err == nil {
		t.Error("a refresh token has an owner")
	}
	for _, token := range foreign {
		want(token, model.UnknownToken)
	}
	b.clock.Move(5*time.Minute - time.Microsecond)
	want(tokens.Access, "")
	b.clock.Move(time.Microsecond)
	want(tokens.Access, model.ExpiredToken) // SOFT-3
	if owner, err := b.sessions.Owner(tokens.Access); err != nil || owner.SessionID != session.ID {
		t.Errorf("an expired token has the owner %+v, %v", owner, err)
	}
	b.endRows(session)
	want(tokens.Access, model.UnknownToken)
	if got := b.sessions.Now(); !got.Equal(b.clock.Now()) {
		t.Errorf("it is %v by the sessions", got)
	}
}

// TestPeekNotesNothing: only what the homeserver and the APIs are told is a use of a token.
func TestPeekNotesNothing(t *testing.T) { // REF-4
	b := newBench(t)
	session, tokens := b.start("D")
	b.clock.Move(time.Minute)
	used := func() (at time.Time, active time.Time) {
		b.must(b.sessions.config.Registry.Flush(context.Background()))
		token, err := b.sessions.Find(tokens.Access)
		b.must(err)
		return token.UsedAt, b.row(session.ID).LastActiveAt
	}
	_, err := b.sessions.Peek(tokens.Access)
	b.must(err)
	if at, active := used(); !at.IsZero() || !active.Equal(session.CreatedAt) {
		t.Errorf("used at %v, active at %v", at, active)
	}
	b.use(tokens.Access)
	if at, active := used(); !at.Equal(b.clock.Now()) || !active.Equal(b.clock.Now()) {
		t.Errorf("used at %v, active at %v", at, active)
	}
	first := b.clock.Now()
	b.clock.Move(time.Minute)
	b.use(tokens.Access)
	if at, active := used(); !at.Equal(first) || !active.Equal(b.clock.Now()) {
		t.Errorf("used at %v, active at %v", at, active)
	}
	if b.sessions.config.Registry.uses[session.ID] != nil {
		t.Error("a use that is in the store is noted again")
	}
}

func TestLocked(t *testing.T) { // MOD-1, MOD-3
	b := newBench(t)
	_, tokens := b.start("D")
	pass := func(token string, code model.Code, owner string) {
		t.Helper()
		got, err := b.sessions.MayPass(token)
		if code == "" && err != nil || code != "" && model.AsError(err) == nil || got.UserID != owner {
			t.Errorf("%+v, %v may pass; want %q", got, err, code)
		}
		if code != "" {
			wantCode(t, err, code)
		}
	}
	locked := func(code model.Code) {
		t.Helper()
		_, err := b.sessions.Introspect(tokens.Access)
		_, own := b.sessions.IntrospectOwn(tokens.Access, "")
		if code == "" {
			b.must(err)
			b.must(own)
			return
		}
		wantCode(t, err, code)
		wantCode(t, own, code)
	}
	if b.sessions.Watchful() {
		t.Error("all tokens are looked at although nobody is locked")
	}
	pass(tokens.Access, "", "")
	locked("")

	b.sessions.SetLocked("somebody else", true)
	if !b.sessions.Watchful() {
		t.Error("no token is looked at although somebody is locked")
	}
	pass(tokens.Access, "", "")
	pass("syt_foreign", "", "")
	locked("")

	b.sessions.SetLocked(b.user.ID, true)
	pass(tokens.Access, model.UserLocked, b.user.ID)
	pass(model.NewToken(model.CompatAccess), "", "")
	locked(model.UserLocked)
	b.clock.Move(time.Hour)
	pass(tokens.Access, model.UserLocked, b.user.ID) // expired or not
	b.clock.Move(-time.Hour)

	b.sessions.SetLocked("somebody else", false)
	pass(tokens.Access, model.UserLocked, b.user.ID)
	b.sessions.SetLocked(b.user.ID, false)
	pass(tokens.Access, "", "")
	locked("")
	if b.sessions.Watchful() {
		t.Error("all tokens are looked at although nobody is locked any more")
	}

	b.sessions.SetLocked(b.user.ID, true)
	b.breakStore()
	_, err := b.sessions.MayPass(tokens.Access)
	wantUnjudged(t, err)
}

func TestRetired(t *testing.T) { // REV-9
	b := newBench(t)
	session, tokens := b.start("D")
	other, otherTokens := b.start("E")
	b.endRows(session)
	if !b.sessions.Watchful() {
		t.Error("no token is looked at although a session ended a moment ago")
	}
	if who, found := b.sessions.Retired(model.HashToken(tokens.Access)); !found || who.UserID != b.user.ID || who.DeviceID != "D" || who.Localpart != "alice" {
		t.Errorf("found %+v, %v", who, found)
	}
	_, err := b.sessions.MayPass(tokens.Access)
	wantCode(t, err, model.UnknownToken)
	if _, err := b.sessions.MayPass(otherTokens.Access); err != nil {
		t.Errorf("the token of another session: %v", err)
	}
	b.clock.Move(homeserverMemory)
	if _, found := b.sessions.Retired(model.HashToken(tokens.Access)); !found {
		t.Error("forgotten while the homeserver may remember")
	}
	b.endRows(other)
	b.clock.Move(time.Microsecond)
	if _, found := b.sessions.Retired(model.HashToken(tokens.Access)); found {
		t.Error("remembered for longer than the homeserver does")
	}
	retired := &b.sessions.config.Registry.retired
	retired.forget(b.clock.Now())
	if len(retired.tokens) != 1 || len(retired.sessions) != 1 || !b.sessions.Watchful() {
		t.Errorf("%d are remembered, want that of the session that ended later", len(retired.tokens))
	}
	b.clock.Move(homeserverMemory)
	retired.forget(b.clock.Now())
	if len(retired.tokens) != 0 || len(retired.sessions) != 0 || b.sessions.Watchful() {
		t.Errorf("%d are remembered", len(retired.tokens))
	}
}

func TestIntrospectOwn(t *testing.T) { // INTRO-9
	s := newServed(t, nil)
	session, tokens := s.ofClient("D", "app")
	for _, token := range []string{tokens.Access, tokens.Refresh} {
		if found, err := s.sessions.IntrospectOwn(token, "app"); err != nil || found.SessionID != session.ID {
			t.Errorf("found %+v, %v", found, err)
		}
		_, err := s.sessions.IntrospectOwn(token, "other")
		wantCode(t, err, model.UnknownToken)
	}
	for _, token := range foreign {
		_, err := s.sessions.IntrospectOwn(token, "app")
		wantCode(t, err, model.UnknownToken)
	}
	s.clock.Move(5 * time.Minute)
	_, err := s.sessions.IntrospectOwn(tokens.Access, "app")
	wantCode(t, err, model.UnknownToken)
	_, err = s.sessions.IntrospectOwn(tokens.Refresh, "app")
	s.must(err)
}

func TestNameDevice(t *testing.T) {
	s := newServed(t, nil)
	session, tokens := s.login("D")
	other, _ := s.login("E")
	name := func(token, device, name string) {
		t.Helper()
		s.must(s.sessions.NameDevice(context.Background(), token, device, name))
	}
	name(tokens.Access, "D", "Phone")
	name(tokens.Access, "E", "Laptop") // another device of the same user
	name(tokens.Access, "F", "Nobody's")
	name("syt_foreign", "D", "A thief's")
	if got := s.row(session.ID).DeviceName; got != "Phone" {
		t.Errorf("the device is called %q", got)
	}
	if got := s.row(other.ID).DeviceName; got != "Laptop" {
		t.Errorf("the other device is called %q", got)
	}
	cost := func(text string) uint64 {
		before := s.store.Statements()
		name(tokens.Access, "D", text)
		return s.store.Statements() - before
	}
	if same, other := cost("Phone"), cost("Other"); same >= other {
		t.Errorf("the same name again costs %d statements, another %d", same, other)
	}
	name(tokens.Access, "D", "")
	if got := s.row(session.ID).DeviceName; got != "" {
		t.Errorf("the device is called %q", got)
	}
	s.breakStore()
	wantUnjudged(t, s.sessions.NameDevice(context.Background(), tokens.Access, "D", "Phone"))
}
