package synapsedb

import (
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// chains are the refresh tokens of a user, as they follow from each other. What Synapse takes is decided by the rows as
// they are: a refresh token that was consumed is taken until something of the pair that it gave out was used, so that an
// app which lost the answer may ask again.
type chains struct {
	rows []row
	now  time.Time
	byID map[int64]int
	// before has, for a refresh token, the first one of which it is the successor.
	before map[int]int
	// used reports for a refresh token whether an access token of its pair was used.
	used map[int]bool
}

func newChains(rows, accesses []row, now time.Time) *chains {
	c := &chains{rows: rows, now: now, byID: map[int64]int{}, before: map[int]int{}, used: map[int]bool{}}
	for i, r := range rows {
		if id, ok := r.number(refreshID); ok {
			if _, twice := c.byID[id]; !twice {
				c.byID[id] = i
			}
		}
	}
	for _, r := range accesses {
		if i, has := c.of(r); has && r.is(accessUsed) {
			c.used[i] = true
		}
	}
	for i := range rows {
		if next, has := c.next(i); has && next != i && c.taken(i) {
			if first, known := c.before[next]; !known || c.id(i) < c.id(first) {
				c.before[next] = i
			}
		}
	}
	return c
}

func (c *chains) id(i int) int64 {
	id, _ := c.rows[i].number(refreshID)
	return id
}

// of returns the refresh token that was given out with an access token.
func (c *chains) of(access row) (i int, has bool) {
	id, ok := access.number(accessRefresh)
	if !ok {
		return 0, false
	}
	i, has = c.byID[id]
	return i, has
}

// next returns the successor of a refresh token. One that there is not tells nothing, to Synapse as to us.
func (c *chains) next(i int) (next int, has bool) {
	id, ok := c.rows[i].number(refreshNext)
	if !ok {
		return 0, false
	}
	next, has = c.byID[id]
	return next, has
}

// taken reports whether Synapse takes a refresh token, its life aside: no access token of the next pair was used, and
// the next refresh token has no next.
func (c *chains) taken(i int) bool {
	next, has := c.next(i)
	return !has || !c.used[next] && c.rows[next][refreshNext] == nil
}

// ends is when a refresh token is not taken any more: by its own life or its session's.
func (c *chains) ends(i int) expiry {
	return c.rows[i].end(refreshExpiry, c.now).sooner(c.rows[i].end(refreshEnd, c.now))
}

// end is when the session of a refresh token is over, or was; zero for never.
func (c *chains) end(i int) time.Time { return c.rows[i].end(refreshEnd, c.now).at }

// generation places a pair: what follows a refresh token that may still be exchanged is one generation on.
func (c *chains) generation(i int) (generation int64, parent model.TokenHash) {
	before, has := c.before[i]
	if !has || c.ends(before).ended {
		return 0, parent
	}
	token, _ := c.rows[before].text(refreshToken)
	if token == "" || c.device(before) != c.device(i) {
		return 0, parent
	}
	return 1, model.HashToken(token)
}

func (c *chains) device(i int) string {
	device, _ := c.rows[i].text(refreshDevice)
	return device
}
