package session

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/tokenkey"
)

// bench is a store with one user, whose sessions are tested without a homeserver.
type bench struct {
	t        testing.TB
	path     string
	clock    *testkit.Clock
	store    *store.Store
	sessions *Sessions
	user     model.User
	// rate is that of refreshes; what these tests are about is not, as a rule, the limit.
	rate limit.Rate
	// rehearse is that of the store.
	rehearse bool
	// keyless has tokens say nothing of themselves: then one without a row is worth nothing.
	keyless bool
}

func newBench(t testing.TB) *bench {
	_, measured := t.(*testing.B)
	return newBenchOf(t, !measured)
}

// newBenchOf makes a bench whose writes run twice, or do not.
func newBenchOf(t testing.TB, rehearse bool) *bench {
	b := &bench{t: t, rehearse: rehearse, path: filepath.Join(t.TempDir(), "test.db"), clock: testkit.NewClock(),
		rate: limit.Rate{Burst: 1 << 20, PerMinute: 1 << 20}}
	b.open()
	t.Cleanup(func() {
		if err := b.store.Close(); err != nil {
			t.Error(err)
		}
	})
	b.update(func(tx *store.Tx) error {
		b.user = model.User{ID: model.NewID(tx.Now), Localpart: "alice", CreatedAt: tx.Now}
		return tx.InsertUser(b.user)
	})
	return b
}

func (b *bench) open() {
	_, measured := b.t.(*testing.B) // with what a disk costs
	var err error
	b.store, err = store.Open(context.Background(), store.Options{Rehearse: b.rehearse, NoSync: !measured, Path: b.path, Create: true, LockWait: time.Minute, Now: b.clock.Now})
	b.must(err)
	registry, err := NewRegistry(context.Background(), b.store)
	b.must(err)
	var keys *tokenkey.Ring
	if !b.keyless {
		keys = tokenkey.New(b.store, tokenkey.Path(b.path), "example.com")
		b.must(keys.Load(context.Background()))
	}
	b.sessions = New(Config{Store: b.store, Keys: keys, Outbox: outbox.New(b.store), Registry: registry, AccessLife: 5 * time.Minute, Logger: slog.New(slog.DiscardHandler),
		Limiter: limit.New(b.clock.Now), Refreshes: b.rate})
}

// crash forgets what was in memory only, as kill -9 does.
func (b *bench) crash() {
	b.must(b.store.Close())
	b.open()
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) update(f func(tx *store.Tx) error) {
	b.t.Helper()
	b.must(b.store.Update(context.Background(), f))
}

// start makes a session on a device, as Start does once the homeserver has done its part.
func (b *bench) start(device string) (model.Session, Tokens) {
	b.t.Helper()
	var job int64
	b.update(func(tx *store.Tx) (err error) {
		job, err = DeleteDeviceJob.Note(tx, b.user.ID, DeleteDevice{device})
		return err
	})
	session, tokens, err := b.sessions.commit(context.Background(), Start{Kind: model.CompatSession, User: b.user, DeviceID: device, Scope: model.ScopeAPI, Refreshable: true}, job)
	b.must(err)
	return session, tokens
}

func (b *bench) refresh(token string) (Tokens, error) {
	return b.sessions.Refresh(context.Background(), Refresh{Kind: model.CompatSession, Token: token, Source: model.Source{IP: "192.0.2.1"}})
}

func (b *bench) mustRefresh(token string) Tokens {
	b.t.Helper()
	tokens, err := b.refresh(token)
	b.must(err)
	return tokens
}

// use presents an access token, as the homeserver's introspection does.
func (b *bench) use(token string) {
	b.t.Helper()
	_, err := b.sessions.Access(token)
	b.must(err)
}

func (b *bench) wantRefused(token string, code model.Code) {
	b.t.Helper()
	if _, err := b.refresh(token); !errors.Is(err, code) {
		b.t.Fatalf("got %v, want %s", err, code)
	}
}

func (b *bench) live(id string) bool {
	b.t.Helper()
	var s model.Session
	b.must(b.store.View(context.Background(), func(tx *store.Tx) (err error) {
		s, err = tx.Session(id)
		return err
	}))
	return !s.Ended()
}

func TestRefresh(t *testing.T) {
	t.Run("a_chain_goes_on", func(t *testing.T) {
		b := newBench(t)
		_, tokens := b.start("D")
		for range 50 {
			tokens = b.mustRefresh(tokens.Refresh)
			b.use(tokens.Access)
			b.clock.Move(4 * time.Minute)
		}
	})
	t.Run("lost_answer_is_retried", func(t *testing.T) { // REF-3, S1
		b := newBench(t)
		_, first := b.start("D")
		b.mustRefresh(first.Refresh)
		b.clock.Move(48 * time.Hour)
		b.mustRefresh(first.Refresh)
		last := b.mustRefresh(first.Refresh)
		b.use(last.Access)
		b.mustRefresh(last.Refresh)
	})
	t.Run("every_answer_to_a_retry_is_usable", func(t *testing.T) { // REF-4, S1
		b := newBench(t)
		_, first := b.start("D")
		one, two := b.mustRefresh(first.Refresh), b.mustRefresh(first.Refresh)
		b.use(one.Access)
		b.use(two.Access)
		b.mustRefresh(one.Refresh)
		b.mustRefresh(two.Refresh)
	})
	t.Run("minting_kills_no_access_token", func(t *testing.T) { // REF-10, SOFT-8
		b := newBench(t)
		_, first := b.start("D")
		next := b.mustRefresh(first.Refresh)
		b.use(next.Access)
		b.use(first.Access)
		b.clock.Move(5 * time.Minute)
		if _, err := b.sessions.Access(first.Access); !errors.Is(err, model.ExpiredToken) {
			t.Fatalf("an expired access token gave %v", err)
		}
	})
	t.Run("a_race_within_a_minute_is_tolerated", func(t *testing.T) { // REF-6
		b := newBench(t)
		session, first := b.start("D")
		b.use(b.mustRefresh(first.Refresh).Access)
		b.clock.Move(bound.RefreshGrace - time.Microsecond)
		b.use(b.mustRefresh(first.Refresh).Access)
		if !b.live(session.ID) {
			t.Fatal("the session ended")
		}
	})
	t.Run("a_replay_after_it_ends_the_session", func(t *testing.T) { // REF-5
		b := newBench(t)
		session, first := b.start("D")
		next := b.mustRefresh(first.Refresh)
		b.use(next.Access)
		b.clock.Move(bound.RefreshGrace)
		b.wantRefused(first.Refresh, model.EndedSoftly)
		if b.live(session.ID) {
			t.Fatal("the session lives on")
		}
		b.wantRefused(next.Refresh, model.EndedSoftly)
		_, err := b.sessions.Access(next.Access)
		wantCode(t, err, model.ExpiredToken)
	})
	t.Run("an_unconsumed_sibling_goes_on_where_nobody_knows_of_places", func(t *testing.T) {
		b := newBench(t)
		session, first := b.start("D")
		one, two := b.mustRefresh(first.Refresh), b.mustRefresh(first.Refresh)
		next := b.mustRefresh(one.Refresh)
		b.use(next.Access)
		b.clock.Move(bound.RefreshGrace)
		b.mustRefresh(two.Refresh)
		if !b.live(session.ID) {
			t.Fatal("the session ended")
		}
		b.mustRefresh(next.Refresh)
	})
	t.Run("presenting_a_refresh_token_is_a_use", func(t *testing.T) { // REF-4
		b := newBench(t)
		session, first := b.start("D")
		next := b.mustRefresh(first.Refresh)
		b.mustRefresh(next.Refresh)
		b.clock.Move(bound.RefreshGrace)
		b.wantRefused(first.Refresh, model.EndedSoftly)
		if b.live(session.ID) {
			t.Fatal("the session lives on")
		}
	})
	t.Run("a_use_counts_before_it_is_written", func(t *testing.T) {
		b := newBench(t)
		_, first := b.start("D")
		b.use(b.mustRefresh(first.Refresh).Access)
		b.clock.Move(bound.RefreshGrace)
		b.wantRefused(first.Refresh, model.EndedSoftly)
	})
	t.Run("a_crash_before_the_use_is_written_harms_nobody", func(t *testing.T) { // S3
		b := newBench(t)
		session, first := b.start("D")
		b.use(b.mustRefresh(first.Refresh).Access)
		b.clock.Move(bound.RefreshGrace)
		b.crash()
		b.use(b.mustRefresh(first.Refresh).Access)
		if !b.live(session.ID) {
			t.Fatal("the session ended")
		}
	})
	t.Run("a_written_use_survives_a_crash", func(t *testing.T) {
		b := newBench(t)
		_, first := b.start("D")
		b.use(b.mustRefresh(first.Refresh).Access)
		b.must(b.sessions.config.Registry.Flush(context.Background()))
		b.crash()
		b.clock.Move(bound.RefreshGrace)
		b.wantRefused(first.Refresh, model.EndedSoftly)
	})
	t.Run("a_clock_that_steps_back_is_forgiven", func(t *testing.T) { // KEY-8
		b := newBench(t)
		session, first := b.start("D")
		b.use(b.mustRefresh(first.Refresh).Access)
		b.clock.Move(-time.Hour)
		b.mustRefresh(first.Refresh)
		if !b.live(session.ID) {
			t.Fatal("the session ended")
		}
	})
	t.Run("at_most_sixteen_unused_siblings_are_kept", func(t *testing.T) { // REF-4
		b := newBench(t)
		_, first := b.start("D")
		var all []Tokens
		for range bound.UnusedPairs + 3 {
			all = append(all, b.mustRefresh(first.Refresh))
		}
		for i, tokens := range all {
			_, err := b.store.Token(model.HashToken(tokens.Refresh))
			if gone := errors.Is(err, model.ErrNotFound); gone != (i < 3) {
				t.Errorf("pair %d is gone: %v", i, gone)
			}
		}
		// Who was given one that is not kept may use it all the same: it says what it is.
		b.use(b.mustRefresh(all[0].Refresh).Access)
		b.mustRefresh(all[3].Refresh)
	})
	t.Run("a_locked_user_keeps_the_token", func(t *testing.T) { // MOD-6
		b := newBench(t)
		_, first := b.start("D")
		b.sessions.SetLocked(b.user.ID, true)
		b.wantRefused(first.Refresh, model.UserLocked)
		b.sessions.SetLocked(b.user.ID, false)
		b.mustRefresh(first.Refresh)
	})
	t.Run("a_token_of_another_kind_is_refused_and_harms_nothing", func(t *testing.T) { // LEG-36
		b := newBench(t)
		session, first := b.start("D")
		for _, token := range []string{first.Access, "", "mcr_", "syr_abc", model.NewToken(model.CompatRefresh), model.NewToken(model.CompatAccess)} {
			b.wantRefused(token, model.RefreshRefused)
		}
		if !b.live(session.ID) {
			t.Fatal("the session ended")
		}
	})
	t.Run("a_session_replaced_on_its_device_is_over", func(t *testing.T) { // SCOPE-9
		b := newBench(t)
		_, first := b.start("D")
		_, second := b.start("D")
		b.wantRefused(first.Refresh, model.RefreshRefused)
		b.mustRefresh(second.Refresh)
	})
	t.Run("ten_at_once_all_get_usable_pairs", func(t *testing.T) { // REF-11, S2
		b := newBench(t)
		session, tokens := b.start("D")
		for range 20 {
			results := make([]Tokens, 10)
			var group sync.WaitGroup
			for i := range results {
				group.Go(func() {
					got, err := b.refresh(tokens.Refresh)
					if err != nil {
						t.Error(err)
						return
					}
					results[i] = got
					if _, err := b.sessions.Access(got.Access); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			tokens = results[len(results)-1]
		}
		if !b.live(session.ID) {
			t.Fatal("the session ended")
		}
	})
}

// TestRefreshLimit bounds what one session can have us keep. A refusal is a passing condition that changes
// nothing: the same token works after the wait (REF-8, TOK-23).
func TestRefreshLimit(t *testing.T) {
	begin := func(t *testing.T) (b *bench, first Tokens) {
		b = newBench(t)
		b.rate = limit.Rate{Burst: 3, PerMinute: 60}
		b.crash() // the rate is the one of the new process
		_, first = b.start("D")
		return b, first
	}
	wantBusy := func(t *testing.T, b *bench, token string) {
		t.Helper()
		_, err := b.refresh(token)
		var e *model.Error
		if !errors.As(err, &e) || e.Kind() != model.Unavailable || e.Code != model.TemporarilyDown || e.Retry != time.Second {
			t.Fatalf("got %v, want a passing condition", err)
		}
	}
	t.Run("the_same_token_works_after_the_wait", func(t *testing.T) {
		b, tokens := begin(t)
		for range 3 {
			tokens = b.mustRefresh(tokens.Refresh)
		}
		for range 5 {
			wantBusy(t, b, tokens.Refresh)
		}
		b.clock.Move(time.Second)
		next := b.mustRefresh(tokens.Refresh)
		wantBusy(t, b, tokens.Refresh) // a retry waits as well,
		b.clock.Move(time.Second)
		b.mustRefresh(tokens.Refresh) // and works as ever
		b.clock.Move(time.Second)
		b.mustRefresh(next.Refresh)
	})
	t.Run("another_session_has_a_count_of_its_own", func(t *testing.T) {
		b, tokens := begin(t)
		_, other := b.start("E")
		for range 3 {
			tokens = b.mustRefresh(tokens.Refresh)
		}
		wantBusy(t, b, tokens.Refresh)
		b.mustRefresh(other.Refresh)
	})
	t.Run("a_theft_is_told_all_the_same", func(t *testing.T) { // REF-5
		b, first := begin(t)
		second := b.mustRefresh(first.Refresh)
		b.use(second.Access)
		b.clock.Move(bound.RefreshGrace)
		tokens := second
		for range 3 {
			tokens = b.mustRefresh(tokens.Refresh)
		}
		wantBusy(t, b, tokens.Refresh)
		b.wantRefused(first.Refresh, model.EndedSoftly)
		b.wantRefused(tokens.Refresh, model.EndedSoftly)
	})
	t.Run("what_is_worth_nothing_uses_nothing_up", func(t *testing.T) {
		b, first := begin(t)
		for range 10 {
			b.wantRefused("mcr_x", model.RefreshRefused)
			b.wantRefused(model.NewToken(model.CompatRefresh), model.RefreshRefused)
		}
		b.mustRefresh(b.mustRefresh(b.mustRefresh(first.Refresh).Refresh).Refresh)
	})
	t.Run("the_comparison_of_two_lines_is_limited", func(t *testing.T) { // it reads every token of the session
		b, first := begin(t)
		sibling, other := b.mustRefresh(first.Refresh), b.mustRefresh(first.Refresh)
		b.use(b.mustRefresh(sibling.Refresh).Access)
		b.clock.Move(bound.RefreshGrace)
		for range 3 {
			b.mustRefresh(other.Refresh)
		}
		before := b.store.Statements()
		wantBusy(t, b, other.Refresh)
		if ran := b.store.Statements() - before; ran > 10 {
			t.Errorf("a refresh beyond the limit runs %d statements", ran)
		}
	})
}
