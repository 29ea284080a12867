package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// oracle is the rule of REF-4 to REF-6 written down a second time, over a plain list of pairs. It
// knows neither rows nor transactions.
type oracle struct {
	pairs []*pair
	ended bool
}

// pair is what one refresh, or the login, gave out.
type pair struct {
	tokens     Tokens
	generation int
	parent     *pair
	minted     time.Time
	accessEnds time.Time
	// access and refresh are the first uses of the two tokens.
	access, refresh firstUse
	// consumed is a time at which a child was used; only whether there is one counts.
	consumed time.Time
	trimmed  bool
	// imported says that another server made it, so that no row of it goes before the session.
	imported bool
}

// firstUse is the first use of a token; written tells that a crash would not undo it.
type firstUse struct {
	at      time.Time
	written bool
}

func (u *firstUse) note(now time.Time, written bool) {
	if u.at.IsZero() {
		u.at, u.written = now, false
	}
	u.written = u.written || written
}

func (u *firstUse) crash() {
	if !u.written {
		u.at = time.Time{}
	}
}

// used is the earlier of the first uses of the two tokens.
func (p *pair) used() time.Time {
	if p.access.at.IsZero() || !p.refresh.at.IsZero() && p.refresh.at.Before(p.access.at) {
		return p.refresh.at
	}
	return p.access.at
}

func (o *oracle) use(p *pair, token *firstUse, now time.Time, written bool) {
	token.note(now, written)
	if p.parent != nil && p.parent.consumed.IsZero() {
		p.parent.consumed = now
	}
}

// firstUse is the time at which a token of a generation was first used.
func (o *oracle) firstUse(generation int) (first time.Time) {
	for _, p := range o.pairs {
		if used := p.used(); p.generation == generation && !used.IsZero() && (first.IsZero() || used.Before(first)) {
			first = used
		}
	}
	return first
}

func (o *oracle) expect(p *pair, now time.Time) verdict {
	first := o.firstUse(p.generation + 1)
	switch {
	case first.IsZero() || now.Sub(first) < bound.RefreshGrace:
		return mint
	case !p.consumed.IsZero():
		return replay
	}
	return compare // and mints, as nobody knows of any place
}

// newestUsed is the newest generation of which a token was used.
func (o *oracle) newestUsed() (newest int) {
	for _, p := range o.pairs {
		if !p.used().IsZero() {
			newest = max(newest, p.generation)
		}
	}
	return newest
}

// mayBeGone reports whether the refresh token of a pair is so old that its row may be removed.
func (o *oracle) mayBeGone(p *pair, now time.Time) bool {
	return p.generation < o.newestUsed()-1 && now.Sub(p.minted) > time.Hour && !p.imported
}

// flush makes every use durable.
func (o *oracle) flush() {
	for _, p := range o.pairs {
		p.access.written, p.refresh.written = true, true
	}
}

// crash undoes the uses that were in memory alone.
func (o *oracle) crash() {
	for _, p := range o.pairs {
		p.access.crash()
		p.refresh.crash()
	}
	for _, p := range o.pairs {
		p.consumed = time.Time{}
		for _, child := range o.pairs {
			if child.parent == p && !child.used().IsZero() {
				p.consumed = child.used()
			}
		}
	}
}

// trim drops the oldest unused pairs of a generation beyond the limit.
func (o *oracle) trim(generation int) {
	unused := 0
	for i := len(o.pairs) - 1; i >= 0; i-- {
		p := o.pairs[i]
		if p.generation != generation || !p.used().IsZero() || p.trimmed {
			continue
		}
		if unused++; unused > bound.UnusedPairs {
			p.trimmed = true
		}
	}
}

// TestRefreshProperty drives a session through random histories and compares each answer with the
// oracle's. A failure names the seed that repeats it.
func TestRefreshProperty(t *testing.T) {
	histories, steps := 60, 120
	if testing.Short() {
		histories = 10
	}
	for seed := range histories {
		t.Run(fmt.Sprintf("seed_%d", seed), func(t *testing.T) {
			h := newHistory(t, uint64(seed))
			for step := 0; step < steps && !h.oracle.ended; step++ {
				h.step()
				h.checkKept()
			}
		})
	}
}

type history struct {
	*bench
	random  *rand.Rand
	session model.Session
	oracle  oracle
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{bench: newBench(t), random: rand.New(rand.NewPCG(seed, 1))}
	h.keyless = true // this is about what rows tell
	h.crash()
	if begins := seed % 4; begins > 0 {
		h.beginElsewhere(begins)
		return h
	}
	session, tokens := h.start("D")
	h.session = session
	h.oracle.pairs = []*pair{{tokens: tokens, minted: h.clock.Now(), accessEnds: h.clock.Now().Add(5 * time.Minute)}}
	return h
}

// The ways in which a session begins that another server had begun.
const (
	onePair        = iota + 1
	unusedNextPair // whose refresh token was exchanged there, and nobody used the answer
	usedNextPair
)

// beginElsewhere imports a session.
func (h *history) beginElsewhere(begins uint64) {
	now := h.clock.Now()
	pairOf := func(name string) *pair {
		return &pair{tokens: Tokens{Access: "syt_" + name, Refresh: "syr_" + name}, minted: now, accessEnds: now.Add(5 * time.Minute), imported: true}
	}
	h.oracle.pairs = []*pair{pairOf("first")}
	if begins > onePair {
		first, next := h.oracle.pairs[0], pairOf("next")
		first.refresh = firstUse{now, true}
		next.generation, next.parent = 1, first
		if h.oracle.pairs = append(h.oracle.pairs, next); begins == usedNextPair {
			h.oracle.use(next, &next.access, now, true)
		}
	}
	h.session = h.importPairs(h.oracle.pairs)
}

// importPairs writes a session with what another server gave out.
func (b *bench) importPairs(pairs []*pair) model.Session {
	b.t.Helper()
	session := model.Session{Kind: model.CompatSession, UserID: b.user.ID, DeviceID: "D", Scope: model.ScopeAPI}
	b.update(func(tx *store.Tx) error {
		session.ID = model.NewID(tx.Now)
		var rows []model.Token
		for i, p := range pairs {
			row := model.Token{Generation: int64(p.generation), Pair: int64(i + 1)}
			if p.parent != nil {
				row.Parent = model.HashToken(p.parent.tokens.Refresh)
			}
			access, refresh := row, row
			access.Kind, access.Hash, access.ExpiresAt, access.UsedAt = model.CompatAccess, model.HashToken(p.tokens.Access), p.accessEnds, p.access.at
			refresh.Kind, refresh.Hash = model.CompatRefresh, model.HashToken(p.tokens.Refresh)
			rows = append(rows, access, refresh)
		}
		return tx.InsertImported(session, b.user.Localpart, rows)
	})
	return b.row(session.ID)
}

// pick prefers young pairs, as clients do.
func (h *history) pick() *pair {
	n := len(h.oracle.pairs)
	back := min(n-1, int(h.random.ExpFloat64()*2))
	return h.oracle.pairs[n-1-back]
}

func (h *history) step() {
	switch h.random.IntN(11) {
	case 0, 1, 2, 3:
		h.stepRefresh(h.pick())
	case 4, 5, 6:
		h.stepUse(h.pick())
	case 7:
		h.must(h.sessions.config.Registry.Flush(context.Background()))
		h.oracle.flush()
	case 8:
		steps := []time.Duration{time.Second, 30 * time.Second, bound.RefreshGrace, 4 * time.Minute, 70 * time.Minute, -10 * time.Second}
		h.clock.Move(steps[h.random.IntN(len(steps))])
	case 9:
		h.crash()
		h.oracle.crash()
	case 10:
		if h.random.IntN(4) == 0 {
			h.clock.Move(27 * time.Hour) // a day on which nobody used it
		}
		_, err := h.store.Retain(context.Background())
		h.must(err)
	}
}

// checkKept holds that a session that lives keeps the access tokens of its newest used generation and of
// those after it, however old they are, and those that another server made: by their rows their ends are told from the
// end of the session (SOFT-3).
func (h *history) checkKept() {
	if h.oracle.ended {
		return
	}
	for _, p := range h.oracle.pairs {
		if p.generation < h.oracle.newestUsed() && !p.imported || p.trimmed {
			continue
		}
		if _, err := h.sessions.Owner(p.tokens.Access); err != nil {
			h.t.Fatalf("the access token of generation %d is gone, and %d is the newest that was used", p.generation, h.oracle.newestUsed())
		}
	}
}

func (h *history) stepRefresh(p *pair) {
	now := h.clock.Now()
	_, err := h.store.Token(model.HashToken(p.tokens.Refresh))
	gone := errors.Is(err, model.ErrNotFound)
	got, err := h.refresh(p.tokens.Refresh)
	if p.trimmed {
		if !errors.Is(err, model.RefreshRefused) {
			h.t.Fatalf("a trimmed sibling gave %v", err)
		}
		return
	}
	if gone && h.oracle.mayBeGone(p, now) {
		if !errors.Is(err, model.RefreshRefused) || !h.live(h.session.ID) {
			h.t.Fatalf("a token whose row was removed gave %v", err)
		}
		return
	}
	// A refresh writes the uses that are known of its session.
	want := h.oracle.expect(p, now)
	h.oracle.flush()
	switch want {
	case mint, compare:
		h.must(err)
		h.oracle.use(p, &p.refresh, now, true)
		if now.Before(p.refresh.at) { // the clock went back: the row of the child says the earlier time
			p.refresh.at = now
		}
		h.oracle.pairs = append(h.oracle.pairs, &pair{tokens: got, generation: p.generation + 1, parent: p, minted: now, accessEnds: now.Add(5 * time.Minute)})
		h.oracle.trim(p.generation + 1)
	case replay:
		if !errors.Is(err, model.EndedSoftly) {
			h.t.Fatalf("got %v, want a replay", err)
		}
		h.oracle.ended = true
	}
	if h.live(h.session.ID) == h.oracle.ended {
		h.t.Fatalf("the session's end does not agree: oracle says ended %v", h.oracle.ended)
	}
}

func (h *history) stepUse(p *pair) {
	now := h.clock.Now()
	_, err := h.sessions.Access(p.tokens.Access)
	if p.trimmed || !now.Before(p.accessEnds) {
		// Expired is what it is called as long as it is kept and its session lives (SOFT-3).
		expired := errors.Is(err, model.ExpiredToken) && !p.trimmed && !h.oracle.ended
		if !expired && !errors.Is(err, model.UnknownToken) {
			h.t.Fatalf("a dead access token gave %v", err)
		}
		return
	}
	h.must(err)
	h.oracle.use(p, &p.access, now, false)
}

// TestRefreshNeverLosesAnHonestClient drives a client that loses answers at random, retries with what
// it has, and now and then races itself. Whatever happens, it must never be signed out (S1, S2, REF-7).
func TestRefreshNeverLosesAnHonestClient(t *testing.T) {
	for seed := range uint64(20) {
		b := newBench(t)
		random := rand.New(rand.NewPCG(seed, 2))
		session, tokens := b.startOrImport(seed%2 == 1)
		for range 60 {
			got := b.mustRefresh(tokens.Refresh)
			switch random.IntN(4) {
			case 0: // the answer is lost
				b.clock.Move(time.Duration(random.IntN(100)) * time.Hour)
				continue
			case 1: // a second process of the client had the same thought
				b.use(b.mustRefresh(tokens.Refresh).Access)
			case 2:
				b.crash()
			}
			tokens = got
			b.use(tokens.Access)
			b.clock.Move(time.Duration(random.IntN(300)) * time.Second)
		}
		if !b.live(session.ID) {
			t.Fatalf("seed %d: the session ended", seed)
		}
	}
}

// startOrImport begins a session here, or imports one.
func (b *bench) startOrImport(imported bool) (model.Session, Tokens) {
	b.t.Helper()
	if !imported {
		return b.start("D")
	}
	of := &pair{tokens: Tokens{Access: "syt_first", Refresh: "syr_first", Life: 5 * time.Minute}, accessEnds: b.clock.Now().Add(5 * time.Minute)}
	return b.importPairs([]*pair{of}), of.tokens
}
