package session

import (
	"slices"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Whoever copies a refresh token begins a line of refreshes of their own, beside its owner's; and so does a second
// window of the owner's that raced with the first. The two are told apart by the networks that they come from.

// linked is a pair that one refresh or login gave out, as far as rows tell.
type linked struct {
	hash, parent model.TokenHash
	// before is where the pair before it was minted, places are where it was itself and where it was presented since.
	before model.NetworkMark
	places []model.NetworkMark
	// usedAt is when one of its tokens was first used; zero if none was.
	usedAt time.Time
	// passed reports whether a pair that this one minted was used.
	passed bool
}

func (p *linked) use(at time.Time) {
	if p.usedAt.IsZero() || at.Before(p.usedAt) {
		p.usedAt = at
	}
}

// pairsOf puts the tokens of a session together to pairs, by the hashes of their refresh tokens. A pair of which that
// is gone was passed long ago.
func pairsOf(rows []model.Token) map[model.TokenHash]*linked {
	byNumber, pairs := map[int64]*linked{}, map[model.TokenHash]*linked{}
	for _, row := range rows {
		p := byNumber[row.Pair]
		if p == nil {
			p = &linked{}
			byNumber[row.Pair] = p
		}
		if row.Kind.Refresh() {
			p.hash, p.parent = row.Hash, row.Parent
			p.before, p.places = row.Places.Before, append(p.places, row.Places.Minted)
			pairs[row.Hash] = p
		} else if !row.UsedAt.IsZero() {
			p.use(row.UsedAt)
		}
	}
	for _, row := range rows { // a refresh token was used when its first child was made
		if parent := pairs[row.Parent]; parent != nil && row.Kind.Refresh() {
			parent.use(row.CreatedAt)
			if len(parent.places) < bound.LinePlaces {
				parent.places = append(parent.places, row.Places.Minted)
			}
		}
	}
	for _, p := range pairs {
		if parent := pairs[p.parent]; parent != nil && !p.usedAt.IsZero() {
			parent.passed = true
		}
	}
	return pairs
}

// lines are the pairs of a session, seen from a refresh token.
type lines struct {
	token model.TokenHash
	pairs map[model.TokenHash]*linked
	// own are the token and those that led to it, of which the row may be gone.
	own map[model.TokenHash]bool
	// rootless reports whether nobody knows what led to one of the pairs: it is a login's, or the database had forgotten it.
	rootless bool
	// forks remembers what fork found, so that each pair is passed once: a session may have thousands.
	forks map[model.TokenHash]model.TokenHash
}

func linesOf(token model.TokenHash, rows []model.Token) *lines {
	l := &lines{token: token, pairs: pairsOf(rows), own: map[model.TokenHash]bool{token: true}, forks: map[model.TokenHash]model.TokenHash{}}
	for p := l.pairs[token]; p != nil; p = l.pairs[p.parent] {
		l.own[p.hash] = true
		if p.parent != (model.TokenHash{}) {
			l.own[p.parent] = true
		}
	}
	for _, p := range l.pairs {
		l.rootless = l.rootless || p.parent == (model.TokenHash{})
	}
	return l
}

// fork returns the last pair that led to another and to the token too; the zero hash if no row tells of one.
func (l *lines) fork(of model.TokenHash) (fork model.TokenHash) {
	var passed []model.TokenHash
	for at := of; at != (model.TokenHash{}); {
		if l.own[at] {
			fork = at
			break
		}
		if known, ok := l.forks[at]; ok {
			fork = known
			break
		}
		passed = append(passed, at)
		p := l.pairs[at]
		if p == nil {
			break
		}
		at = p.parent
	}
	for _, hash := range passed {
		l.forks[hash] = fork
	}
	return fork
}

// placesSince returns where the pairs came from that led from a fork to a pair, the last of them. The place before the
// pair counts even if it is from before the fork: whoever has refreshed once since may have moved. Of a fork that nobody
// knows, as the database went back, the last two refreshes count alone: what is older may be of before a token was stolen.
// Rows that are gone by their age have left none without a root.
func (l *lines) placesSince(fork, of model.TokenHash) (places []model.NetworkMark) {
	if last := l.pairs[of]; last != nil {
		places = append(places, last.before)
	}
	unknown := fork == (model.TokenHash{}) && l.rootless
	for p := l.pairs[of]; p != nil && p.hash != fork && len(places) < bound.LinePlaces; p = l.pairs[p.parent] {
		if places = append(places, p.places...); unknown {
			break
		}
	}
	return places
}

// company is a line of refreshes that goes on beside that of a token. Both are told by the places that they came from
// since they parted, as far as rows tell.
type company struct{ own, other []model.NetworkMark }

// companyOf returns the other lines of a session, seen from a refresh token: those whose last pair was used within a
// time until now; if there is none of that time, the one that was used last.
func companyOf(token model.TokenHash, rows []model.Token, within time.Duration, now time.Time) (all []company) {
	l := linesOf(token, rows)
	tell := func(end *linked) {
		fork := l.fork(end.hash)
		all = append(all, company{l.placesSince(fork, token), l.placesSince(fork, end.hash)})
	}
	var last *linked
	for _, p := range l.pairs {
		if p.usedAt.IsZero() || p.passed || l.own[p.hash] || l.fork(p.hash) == token {
			continue
		}
		if now.Sub(p.usedAt) < within {
			tell(p)
		}
		if last == nil || p.usedAt.After(last.usedAt) {
			last = p
		}
	}
	if len(all) == 0 && last != nil {
		tell(last)
	}
	return all
}

// near reports whether a refresh comes from where all the other lines of the session do: the place of the request, of
// those before with the same token, of the one that minted it or of the one before meets those of each. What nobody
// knows counts as near, but for a token whose row was tidied away: that may have been consumed, so only a place that is known
// speaks for it.
func (r *rotation) near(tx *store.Tx, token model.Token, tidied bool) (bool, error) {
	rows, err := tx.SessionTokens(token.SessionID)
	if err != nil {
		return false, err
	}
	all := companyOf(token.Hash, rows, max(bound.LivingLine, r.sessions.config.AccessLife), tx.Now)
	if tidied {
		return r.place != "" && len(all) > 0 && !slices.ContainsFunc(all, func(c company) bool { return !slices.Contains(c.other, r.place) }), nil
	}
	unknown := token.Rowless // where it was minted
	return unknown || !slices.ContainsFunc(all, func(c company) bool { return !meet(append(c.own, r.place), c.other) }), nil
}

// meet reports whether two lines have a place in common.
func meet(one, other []model.NetworkMark) bool {
	return slices.ContainsFunc(one, func(m model.NetworkMark) bool { return slices.ContainsFunc(other, m.Meets) })
}
