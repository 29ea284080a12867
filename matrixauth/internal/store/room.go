package store

import (
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// What anybody can have us keep is bounded in sum. A row weighs as much as its text in bytes, and rowWeight
// for its other columns and its place in indexes.
const (
	rowWeight = 1 << 10
	// roomBatch is how many rows give way at once, so that a flood does not cost a choice each.
	roomBatch = 512
)

// crowd is a kind of rows that anybody can make. When there is no room for one more, the network that holds
// most gives way first, with its oldest: a row stands as high as all that its network made after it, and
// the highest go. So a flood crowds out itself, and from many networks it must outweigh each of the others.
// What a person has before their eyes goes after all else, of the network that holds most.
type crowd struct {
	weigh, evict string
	most         int64
	// clear removes what is of no use any more; empty if there is no such thing. ?1 is the time.
	clear string
}

// crowdOf makes a crowd of the rows of a table that fulfil a condition. Protected are those that are in
// use by somebody, and used orders by age.
func crowdOf(table, where, used, protected string, most int64) crowd {
	return crowd{
		weigh: fmt.Sprintf("SELECT COALESCE(SUM(size + %d), 0) FROM %s WHERE %s", rowWeight, table, where),
		evict: fmt.Sprintf(`DELETE FROM %[1]s WHERE id IN (SELECT id FROM (
			SELECT id, %[3]s AS used, %[4]s AS protected,
				SUM(size + %[5]d) OVER (PARTITION BY network ORDER BY %[4]s DESC, %[3]s DESC, id ROWS UNBOUNDED PRECEDING) AS height
			FROM %[1]s WHERE %[2]s) ORDER BY protected, height DESC, used LIMIT ?1)`, table, where, used, protected, rowWeight),
		most: most,
	}
}

func (c crowd) cleared(statement string) crowd {
	c.clear = statement
	return c
}

// asked are the clients whose requests somebody has before their eyes.
const asked = "id IN (SELECT client_id FROM authorizations WHERE user_id IS NULL AND shown_at IS NOT NULL)"

var (
	waitingCrowd  = crowdOf("authorizations", "user_id IS NULL", "created_at", "shown_at IS NOT NULL", bound.WaitingRequests).cleared(clearWaiting)
	unprovenCrowd = crowdOf("clients", "proven_at IS NULL", "used_at", asked, bound.UnprovenClients)
)

// weights are what crowds weigh at most, by their statements: what was found at the last look, and came
// since. Only the writer touches them. What goes in between makes one too high, and it is looked at again
// when it reaches the bound.
type weights map[string]int64

// makeRoom has rows of a crowd give way until one of a size fits.
func (tx *Tx) makeRoom(c crowd, size int) error {
	weight := int64(size) + rowWeight
	if known, ok := tx.weights[c.evict]; ok && known+weight <= c.most {
		tx.weights[c.evict] += weight
		return nil
	}
	cleared := c.clear == ""
	for {
		present, err := one(tx, func(s scanner) (n int64, err error) { return n, s.Scan(&n) }, c.weigh)
		if err != nil {
			return err
		}
		if present+weight <= c.most {
			tx.weights[c.evict], tx.looked = present+weight, true
			return nil
		}
		if !cleared {
			cleared = true
			if _, err := tx.exec(c.clear, micros(tx.Now)); err != nil {
				return err
			}
			continue
		}
		if removed, err := tx.exec(c.evict, roomBatch); err != nil || removed == 0 {
			return err
		}
	}
}

// clearWaiting removes requests of which nothing can come any more before their time.
const clearWaiting = "DELETE FROM authorizations WHERE user_id IS NULL AND (expires_at <= ?1 OR code_expires_at <= ?1)"
