package store

import (
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// The rows that anybody can make us keep are bounded in total. The weight of a row is the size of its text in bytes,
// plus rowWeight for its other columns and its index entries.
const (
	rowWeight = 1 << 10
	// roomBatch is how many rows are removed at a time, so that a flood does not cost a choice for each row.
	roomBatch = 512
)

// crowd is a kind of rows that anybody can make. When there is no room for one more, the network with the largest
// total weight loses its oldest rows first. So a flood mostly removes itself, and one from many networks must outweigh
// each other network. Rows that a person is using at the moment are removed last, and only those of the heaviest
// network.
type crowd struct {
	weigh, evict string
	most         int64
	// clear removes what is of no use any more; empty if there is no such thing. ?1 is the time.
	clear string
}

// crowdOf makes a crowd of the rows of a table that match a condition. Protected rows are those that somebody uses at
// the moment; used orders rows by age.
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

// asked are the clients with a request that a browser shows at the moment.
const asked = "id IN (SELECT client_id FROM authorizations WHERE user_id IS NULL AND shown_at IS NOT NULL)"

var (
	waitingCrowd = crowdOf("authorizations", "user_id IS NULL", "created_at", "shown_at IS NOT NULL", bound.WaitingRequests).cleared(clearWaiting)
	// Who has typed a password was let through the limits on hashes; who only asked for a name was not.
	openCrowd     = crowdOf("registrations", "state = 'open'", "created_at", "password_at IS NOT NULL", bound.OpenRegistrations).cleared(clearRegistrations)
	unprovenCrowd = crowdOf("clients", "proven_at IS NULL", "used_at", asked, bound.UnprovenClients)
)

// clearRegistrations removes registrations that can no longer be finished.
const clearRegistrations = "DELETE FROM registrations WHERE expires_at <= ?1"

// weights are upper bounds of what crowds weigh, by their statements: the weight at the last look, and what was added
// since. Only the writer uses them. Rows that were removed in between make a weight too high, so a crowd is weighed
// again when it reaches its bound.
type weights map[string]int64

// makeRoom removes rows of a crowd until one of the given size fits.
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

// clearWaiting removes requests that can no longer be answered, before they expire.
const clearWaiting = "DELETE FROM authorizations WHERE user_id IS NULL AND (expires_at <= ?1 OR code_expires_at <= ?1)"
