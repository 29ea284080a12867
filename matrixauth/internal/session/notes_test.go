package session

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestLocksOutliveTheProcess: a start learns who is locked, before it answers anything (MOD-1).
func TestLocksOutliveTheProcess(t *testing.T) {
	b := newBench(t)
	bob := b.secondUser("bob")
	_, tokens := b.start("D")
	locked := b.user
	locked.LockedAt = b.clock.Now()
	b.update(func(tx *store.Tx) error { return tx.UpdateUser(locked) })
	b.crash()
	_, err := b.sessions.MayPass(tokens.Access)
	wantCode(t, err, model.UserLocked)
	if b.sessions.config.Registry.isLocked(bob.ID) {
		t.Error("somebody is locked who is not")
	}
	b.update(func(tx *store.Tx) error { return tx.UpdateUser(b.user) })
	b.crash()
	if b.sessions.Watchful() {
		t.Error("all tokens are looked at although nobody is locked")
	}
	b.breakStore()
	if _, err := NewRegistry(context.Background(), b.store); err == nil {
		t.Error("a registry of a store that cannot be read knows nobody who is locked")
	}
}

func TestRegistryBounds(t *testing.T) {
	b := newBench(t)
	r := b.sessions.config.Registry
	now := b.clock.Now()
	for i := range maxPending - 1 {
		r.noteUse(model.Token{SessionID: fmt.Sprint(i)}, now)
	}
	if len(r.full) != 0 {
		t.Error("woken before it is full")
	}
	for range 2 { // the second one does not wait for whom it woke
		r.noteUse(model.Token{SessionID: "the last"}, now)
	}
	if len(r.full) != 1 {
		t.Error("not woken although it is full")
	}
	for i := range maxPending + 1 {
		r.noteActivity(fmt.Sprint(i), now)
	}
	if _, kept := r.active[fmt.Sprint(maxPending)]; kept || len(r.active) != maxPending {
		t.Errorf("%d sessions are noted as active", len(r.active))
	}
	later := now.Add(time.Second)
	r.noteActivity("0", later)
	if !r.active["0"].Equal(later) {
		t.Error("one that is noted already is not noted again")
	}

	var many []model.Token
	for i := range bound.RetiredTokens + 1 {
		many = append(many, model.Token{Hash: model.HashToken(fmt.Sprint(i))})
	}
	for i := range bound.RetiredTokens + 1 {
		r.retireSession(fmt.Sprint(i), nil, retired{at: now})
	}
	r.retireSession("of many tokens", many, retired{at: now})
	if len(r.retired.tokens) != bound.RetiredTokens || len(r.retired.sessions) != bound.RetiredTokens {
		t.Errorf("%d tokens and %d sessions are remembered", len(r.retired.tokens), len(r.retired.sessions))
	}
}

// TestForget: a use that is noted while others are written is kept.
func TestForget(t *testing.T) {
	b := newBench(t)
	r := b.sessions.config.Registry
	one, two := model.Token{Hash: model.HashToken("1"), SessionID: "S"}, model.Token{Hash: model.HashToken("2"), SessionID: "S"}
	r.noteUse(one, b.clock.Now())
	r.noteUse(two, b.clock.Now())
	r.noteUse(two, b.clock.Now().Add(time.Second)) // only the first counts
	if at := r.uses["S"][two.Hash].at; !at.Equal(b.clock.Now()) {
		t.Errorf("first used at %v", at)
	}
	r.forget("S", map[model.TokenHash]use{one.Hash: {}})
	if len(r.uses["S"]) != 1 {
		t.Errorf("%d uses are noted", len(r.uses["S"]))
	}
	r.forget("S", map[model.TokenHash]use{two.Hash: {}})
	if _, there := r.uses["S"]; there {
		t.Error("a session without uses is kept")
	}
}

// TestRun: what was noted is written when the process ends, and a failure is told.
func TestRun(t *testing.T) {
	run := func(b *bench, until func(stop func())) (failures []error) {
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.sessions.config.Registry.Run(ctx, func(err error) { failures = append(failures, err); stop() })
		}()
		until(stop)
		<-done
		return failures
	}
	t.Run("the_end_writes_all", func(t *testing.T) {
		b := newBench(t)
		session, tokens := b.start("D")
		b.clock.Move(time.Minute)
		b.use(tokens.Access)
		if failures := run(b, func(stop func()) { stop() }); len(failures) != 0 {
			t.Errorf("failed: %v", failures)
		}
		if row := b.row(session.ID); !row.LastActiveAt.Equal(b.clock.Now()) {
			t.Errorf("active at %v", row.LastActiveAt)
		}
	})
	t.Run("a_failure_is_told_each_time", func(t *testing.T) {
		b := newBench(t)
		_, tokens := b.start("D")
		b.use(tokens.Access)
		b.sessions.config.Registry.full <- struct{}{} // else it would wait for its time
		b.breakStore()
		if failures := run(b, func(func()) {}); len(failures) != 2 { // of a pass, and of the last one
			t.Errorf("failed: %v", failures)
		}
	})
}

// TestInternalTokens are for seconds, for the homeserver alone, and few at a time.
func TestInternalTokens(t *testing.T) {
	b := newBench(t)
	mint := func() (token string, drop func()) {
		t.Helper()
		token, drop, err := b.sessions.MintInternal(b.user, model.ScopeAPI)
		b.must(err)
		return token, drop
	}
	refused := func(token string) {
		t.Helper()
		_, err := b.sessions.Introspect(token)
		wantCode(t, err, model.UnknownToken)
	}
	token, drop := mint()
	if found, err := b.sessions.Introspect(token); err != nil || found.UserID != b.user.ID || found.Localpart != "alice" || found.DeviceID != "" || found.Scope != model.ScopeAPI {
		t.Errorf("found %+v, %v", found, err)
	}
	_, err := b.sessions.MayPass(token)
	wantCode(t, err, model.UnknownToken)
	_, err = b.sessions.Access(token)
	wantCode(t, err, model.UnknownToken)
	drop()
	refused(token)

	token, _ = mint()
	b.clock.Move(InternalLife - time.Microsecond)
	if _, err := b.sessions.Introspect(token); err != nil {
		t.Errorf("a live token gave %v", err)
	}
	b.clock.Move(time.Microsecond)
	refused(token)

	for range maxInternal { // those that have expired do not count
		_, drop = mint()
	}
	if _, _, err := b.sessions.MintInternal(b.user, model.ScopeAPI); model.AsError(err) == nil || model.AsError(err).Kind() != model.Unavailable {
		t.Errorf("one too many gave %v", err)
	}
	drop()
	mint()
}

// TestRetryIsActivity: a refresh that is retried, as its answer was lost, notes when and from where as any other.
func TestRetryIsActivity(t *testing.T) { // REF-3
	b := newBench(t)
	session, first := b.start("D")
	b.mustRefresh(first.Refresh)
	b.clock.Move(activityGrain)
	b.mustRefresh(first.Refresh)
	if row := b.row(session.ID); !row.LastActiveAt.Equal(b.clock.Now()) || row.LastIP != "192.0.2.1" {
		t.Errorf("active at %v from %s", row.LastActiveAt, row.LastIP)
	}
}
