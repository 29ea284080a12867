package session

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// The networks of these tests.
const (
	home, mobile, office = "192.0.2.1", "198.51.100.9", "2001:db8::7"
	elsewhere            = "203.0.113.5"
)

// from refreshes from an address.
func (b *bench) from(ip, token string) (Tokens, error) {
	return b.sessions.Refresh(context.Background(), Refresh{Kind: model.CompatSession, Token: token, Source: model.Source{IP: ip}})
}

// mustFrom is from for a refresh that must mint, and uses the access token.
func (b *bench) mustFrom(ip, token string) Tokens {
	b.t.Helper()
	got, err := b.from(ip, token)
	b.must(err)
	b.use(got.Access)
	return got
}

// parties are two holders of the tokens of one session, who refresh in turn.
type parties struct {
	*served
	session model.Session
	one     Tokens
	other   Tokens
}

// newParties has a sign-in at home refreshed by one party from there and by another from ip, within the grace.
func newParties(t *testing.T, ip string) *parties {
	s := newServed(t, nil)
	s.clock.Move(time.Minute) // nobody knows what the database forgot of the second of its birth
	s.must(s.sessions.config.Registry.Flush(context.Background()))
	p := s.asked("D")
	p.Source.IP = home
	session, tokens, err := s.sessions.Start(context.Background(), p)
	s.must(err)
	s.use(tokens.Access)
	return &parties{served: s, session: session, one: s.mustFrom(home, tokens.Refresh), other: s.mustFrom(ip, tokens.Refresh)}
}

func (p *parties) wantEndedApart(err error) {
	p.t.Helper()
	wantCode(p.t.(*testing.T), err, model.EndedSoftly)
	p.wantEnded(p.session.ID, model.EndApart)
}

func (p *parties) wantMarked(want bool) {
	p.t.Helper()
	if marked := !p.row(p.session.ID).TwiceAt.IsZero(); marked != want {
		p.t.Errorf("that two parties refresh the session is marked: %v, want %v", marked, want)
	}
}

// TestCompare: of two parties that refresh one session, the one that comes from elsewhere ends it for both.
func TestCompare(t *testing.T) { // REF-5, REF-6
	// The owner may have moved between two refreshes, so the first of the thief's may be the owner's by its look.
	t.Run("a_thief_that_follows_ends_the_session_for_both", func(t *testing.T) {
		p := newParties(t, elsewhere)
		p.one = p.mustFrom(home, p.one.Refresh)
		p.clock.Move(bound.RefreshGrace)
		p.other = p.mustFrom(elsewhere, p.other.Refresh)
		p.wantMarked(true)
		_, err := p.from(home, p.one.Refresh)
		p.wantEndedApart(err)
		_, err = p.from(elsewhere, p.other.Refresh)
		wantCode(t, err, model.EndedSoftly)
	})
	t.Run("an_eager_thief_is_found_within_the_grace", func(t *testing.T) {
		p := newParties(t, elsewhere)
		p.other = p.mustFrom(elsewhere, p.other.Refresh)
		p.one = p.mustFrom(home, p.one.Refresh) // of the same generation
		_, err := p.from(elsewhere, p.other.Refresh)
		p.wantEndedApart(err)
	})
	t.Run("one_that_runs_ahead_is_too", func(t *testing.T) {
		p := newParties(t, elsewhere)
		for range 5 {
			p.other = p.mustFrom(elsewhere, p.other.Refresh)
		}
		p.clock.Move(bound.RefreshGrace)
		_, err := p.from(home, p.one.Refresh)
		p.wantEndedApart(err)
	})
	t.Run("a_thief_that_works_at_night_is_found_in_the_morning", func(t *testing.T) {
		p := newParties(t, elsewhere)
		for range 70 { // until the owner's row is gone
			p.clock.Move(100 * time.Second)
			p.must(p.sessions.config.Registry.Flush(context.Background()))
			p.other = p.mustFrom(elsewhere, p.other.Refresh)
		}
		if _, err := p.store.Token(model.HashToken(p.one.Refresh)); !errors.Is(err, model.ErrNotFound) {
			t.Errorf("the row of the owner's token: %v", err)
		}
		_, err := p.from(home, p.one.Refresh)
		p.wantEndedApart(err)
	})
	t.Run("a_second_window_goes_on_and_is_marked", func(t *testing.T) {
		p := newParties(t, home)
		p.wantMarked(false)
		for range 40 {
			p.clock.Move(10 * time.Minute)
			p.one = p.mustFrom(home, p.one.Refresh)
			p.clock.Move(2 * bound.RefreshGrace)
			p.other = p.mustFrom(home, p.other.Refresh)
		}
		p.wantMarked(true)
		if lines := p.log.Lines(t, 0, "two parties refresh"); len(lines) < 7 || len(lines) > 9 { // eight hours
			t.Errorf("%d lines of the log tell of it, want one an hour", len(lines))
		}
	})
	t.Run("two_windows_roam_together", func(t *testing.T) {
		p := newParties(t, home)
		for _, place := range []string{mobile, home, office, mobile, office, home} {
			p.clock.Move(10 * time.Minute)
			p.one = p.mustFrom(place, p.one.Refresh)
			p.clock.Move(2 * bound.RefreshGrace)
			p.other = p.mustFrom(place, p.other.Refresh)
		}
	})
	// Whose row went an hour after the other line had passed it twice may be a copy of long ago.
	for name, c := range map[string]struct {
		others, from string
		goes         bool
	}{
		"a_window_that_lagged_behind_goes_on_beside_the_other":          {home, home, true},
		"a_copy_of_long_ago_from_elsewhere_ends_the_session":            {home, elsewhere, false},
		"nor_does_it_help_a_copy_that_nobody_knows_of_places":           {"127.0.0.1", "127.0.0.1", false},
		"and_a_place_that_is_known_is_not_where_nobody_knows_of_others": {"127.0.0.1", elsewhere, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParties(t, home)
			for range 70 {
				p.clock.Move(100 * time.Second)
				p.must(p.sessions.config.Registry.Flush(context.Background()))
				p.one = p.mustFrom(c.others, p.one.Refresh)
			}
			if _, err := p.store.Token(model.HashToken(p.other.Refresh)); !errors.Is(err, model.ErrNotFound) {
				t.Fatalf("the row of the token: %v", err)
			}
			next, err := p.from(c.from, p.other.Refresh)
			if !c.goes {
				p.wantEndedApart(err)
				return
			}
			p.must(err)
			p.wantMarked(true)
			p.clock.Move(bound.RefreshGrace)
			p.mustFrom(home, next.Refresh)
		})
	}
	t.Run("where_an_answer_was_lost_counts", func(t *testing.T) {
		p := newParties(t, mobile)
		p.other = p.mustFrom(mobile, p.other.Refresh)
		p.one = p.mustFrom(home, p.one.Refresh)
		_, err := p.from(mobile, p.one.Refresh) // it never comes
		p.must(err)
		p.mustFrom(office, p.other.Refresh)
	})
	t.Run("a_token_whose_row_is_gone_was_consumed_if_rows_tell_of_its_successor", func(t *testing.T) {
		p := newParties(t, home)
		p.clock.Move(2 * time.Hour)
		p.must(p.sessions.config.Registry.Flush(context.Background()))
		stolen := p.other
		for range 40 { // which has the row tidied away
			p.other = p.mustFrom(elsewhere, p.other.Refresh)
		}
		p.clock.Move(bound.RefreshGrace)
		p.must(p.sessions.config.Registry.Flush(context.Background()))
		if _, err := p.store.Token(model.HashToken(stolen.Refresh)); !errors.Is(err, model.ErrNotFound) {
			t.Fatalf("the row of the token: %v", err)
		}
		_, err := p.from(home, stolen.Refresh) // where the other line is
		wantCode(t, err, model.EndedSoftly)
		p.wantEnded(p.session.ID, model.EndReplay)
	})
	t.Run("nobody_knows_where_this_machine_is", func(t *testing.T) {
		for _, ip := range []string{"127.0.0.1", "::1", "", "no address"} {
			p := newParties(t, ip)
			p.one = p.mustFrom(home, p.one.Refresh)
			p.clock.Move(bound.RefreshGrace)
			p.mustFrom(ip, p.other.Refresh)
			p.wantMarked(true)
		}
	})
	t.Run("one_party_alone_may_come_from_anywhere", func(t *testing.T) {
		p := newParties(t, home)
		tokens := p.one
		for range 5 {
			for _, place := range []string{mobile, elsewhere, office, home} {
				p.clock.Move(10 * time.Minute)
				tokens = p.mustFrom(place, tokens.Refresh)
			}
		}
		p.wantMarked(false)
	})
	t.Run("a_lost_answer_is_nobody_else", func(t *testing.T) { // S1
		p := newParties(t, home)
		tokens := p.one
		for _, place := range []string{home, mobile, office} {
			for _, again := range []string{elsewhere, mobile} { // answers that never came, each to another network
				_, err := p.from(again, tokens.Refresh)
				p.must(err)
				p.clock.Move(time.Hour)
			}
			tokens = p.mustFrom(place, tokens.Refresh)
		}
		p.wantMarked(false)
	})
	t.Run("the_next_/64_is_elsewhere", func(t *testing.T) {
		p := newParties(t, "2001:db8:0:1::7")
		p.one = p.mustFrom("2001:db8::8", p.one.Refresh)
		p.one = p.mustFrom("2001:db8::9", p.one.Refresh)
		p.clock.Move(bound.RefreshGrace)
		p.other = p.mustFrom("2001:db8:0:1::7", p.other.Refresh)
		_, err := p.from("2001:db8:0:1::7", p.other.Refresh)
		p.wantEndedApart(err)
	})
}

// TestCompanyOf: which lines count, seen from a token.
func TestCompanyOf(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	place := func(name string) model.Places {
		return model.Places{Minted: model.NetworkMark("\x01" + name), Before: model.NetworkMark("\x01" + name)}
	}
	hash := func(name string) model.TokenHash {
		if name == "" {
			return model.TokenHash{}
		}
		return model.HashToken(name)
	}
	number := int64(0)
	// pair are the rows of a pair that was used so long ago; never with a negative time.
	pair := func(name, parent string, used time.Duration) []model.Token {
		number++
		access := model.Token{Hash: hash(name + "'s access token"), Kind: model.CompatAccess, Pair: number, Parent: hash(parent)}
		if used >= 0 {
			access.UsedAt = now.Add(-used)
		}
		// Presented as soon as it was made, as far as its children tell.
		return []model.Token{access, {Hash: hash(name), Kind: model.CompatRefresh, Pair: number, Parent: hash(parent), CreatedAt: now.Add(-max(used, 0)), Places: place(name)}}
	}
	rows := func(all ...[]model.Token) (rows []model.Token) {
		for _, one := range all {
			rows = append(rows, one...)
		}
		return rows
	}
	const never = -1
	for name, c := range map[string]struct {
		rows []model.Token
		of   string
		want []string
	}{
		"its own line does not count, before and after": {rows(pair("a", "", time.Minute), pair("b", "a", time.Minute), pair("c", "b", time.Second)), "b", nil},
		"the end of another line":                       {rows(pair("a", "", 4*time.Minute), pair("b", "a", 3*time.Minute), pair("x", "a", 2*time.Minute), pair("y", "x", time.Minute)), "b", []string{"y"}},
		"an answer that never came is no line":          {rows(pair("a", "", 4*time.Minute), pair("b", "a", time.Minute), pair("x", "a", never)), "b", nil},
		"a line that was left long ago does not count":  {rows(pair("a", "", 5*time.Hour), pair("b", "a", time.Minute), pair("x", "a", 3*time.Hour), pair("y", "a", time.Minute)), "b", []string{"y"}},
		"if all were, the one that was used last does":  {rows(pair("a", "", 5*time.Hour), pair("b", "a", time.Minute), pair("x", "a", 3*time.Hour), pair("y", "a", 2*time.Hour)), "b", []string{"y"}},
		"a token without a row, with what it minted":    {rows(pair("b", "gone", time.Minute), pair("x", "other", time.Minute)), "gone", []string{"x"}},
		"a pair whose refresh token is gone":            {append(rows(pair("b", "", time.Minute)), pair("x", "", time.Minute)[0]), "b", nil},
	} {
		t.Run(name, func(t *testing.T) {
			all := companyOf(hash(c.of), c.rows, time.Hour, now)
			var got []string
			for _, one := range all {
				got = append(got, string(one.other[1][1:]))
			}
			if len(got) != len(c.want) || len(got) == 1 && got[0] != c.want[0] {
				t.Errorf("the other ends are %v, want %v", got, c.want)
			}
		})
	}
}

// TestPlaces: what is kept of where refreshes came from.
func TestPlaces(t *testing.T) {
	p := newParties(t, mobile)
	mark := p.sessions.config.Keys.Network
	p.must(p.store.View(context.Background(), func(tx *store.Tx) error {
		rows, err := tx.SessionTokens(p.session.ID)
		for _, row := range rows {
			want := map[model.TokenHash]model.Places{
				model.HashToken(p.one.Refresh):   {Minted: mark(home), Before: mark(home)},
				model.HashToken(p.other.Refresh): {Minted: mark(mobile), Before: mark(home)},
			}
			if places, ours := want[row.Hash]; ours && row.Places != places {
				t.Errorf("kept is %x, want %x", row.Places, places)
			}
			if !row.Kind.Refresh() && row.Places != (model.Places{}) {
				t.Error("an access token has places")
			}
		}
		return err
	}))
}
