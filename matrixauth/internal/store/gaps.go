package store

import (
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const (
	// longestSilence is how old a note of life may be while the database lives: notes are made each minute.
	longestSilence = 2 * time.Minute
	// nearGaps are gaps so close to each other that they are one.
	nearGaps = 10 * time.Minute
)

// NoteAlive notes that the database lives. Since a note that is too old it may have been another file, or this one at
// an earlier time: that is a gap.
func (tx *Tx) NoteAlive() error {
	last, err := tx.alive()
	if err != nil {
		return err
	}
	if tx.Now.Sub(last).Abs() > longestSilence {
		if err := tx.addGap(last, tx.Now); err != nil {
			return err
		}
	}
	_, err = tx.exec("INSERT INTO alive (id, at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET at = excluded.at", micros(tx.Now))
	return err
}

// alive returns the last note of life; the beginning of time if there is none.
func (tx *Tx) alive() (time.Time, error) {
	at, err := one(tx, func(s scanner) (t time.Time, err error) { return t, s.Scan(timeInto{&t}) }, "SELECT at FROM alive WHERE id = 1")
	if errors.Is(err, model.ErrNotFound) {
		return time.Unix(0, 0).UTC(), nil
	}
	return at, err
}

// addGap adds a gap, together with those near it. Of too many the two oldest become one.
func (tx *Tx) addGap(from, until time.Time) error {
	if until.Before(from) { // the clock was set back
		from, until = until, from
	}
	near, err := many(tx, func(s scanner) (gap [2]time.Time, err error) {
		return gap, s.Scan(timeInto{&gap[0]}, timeInto{&gap[1]})
	},
		"SELECT began, ended FROM gaps WHERE ended >= ?1 AND began <= ?2", from.Add(-nearGaps).UnixMicro(), until.Add(nearGaps).UnixMicro())
	if err != nil {
		return err
	}
	for _, gap := range near {
		if gap[0].Before(from) {
			from = gap[0]
		}
		if gap[1].After(until) {
			until = gap[1]
		}
	}
	if _, err := tx.exec("DELETE FROM gaps WHERE began >= ?1 AND began <= ?2", from.UnixMicro(), until.UnixMicro()); err != nil {
		return err
	}
	if _, err := tx.exec("INSERT INTO gaps (began, ended) VALUES (?1, ?2)", from.UnixMicro(), until.UnixMicro()); err != nil {
		return err
	}
	return tx.boundGaps()
}

// boundGaps has the two oldest gaps become one if there are more than bound.Gaps.
func (tx *Tx) boundGaps() error {
	count, err := one(tx, scanCount, "SELECT COUNT(*) FROM gaps")
	if err != nil || count <= bound.Gaps {
		return err
	}
	oldest, err := many(tx, scanCount, "SELECT began FROM gaps ORDER BY began LIMIT 2")
	if err != nil {
		return err
	}
	if _, err := tx.exec("UPDATE gaps SET ended = (SELECT MAX(ended) FROM gaps WHERE began IN (?1, ?2)) WHERE began = ?1", oldest[0], oldest[1]); err != nil {
		return err
	}
	_, err = tx.exec("DELETE FROM gaps WHERE began = ?1", oldest[1])
	return err
}

// InGap reports whether the second that begins at a time is in a gap that ended after since. What is later than the last
// note of life is in one.
func (tx *Tx) InGap(at, since time.Time) (in bool, err error) {
	return one(tx, func(s scanner) (in bool, err error) { return in, s.Scan(&in) },
		"SELECT EXISTS (SELECT 1 FROM gaps WHERE began <= ?2 AND ended >= ?1 AND ended > ?3) OR NOT EXISTS (SELECT 1 FROM alive WHERE at > ?2)",
		at.UnixMicro(), at.Add(time.Second).UnixMicro(), since.UnixMicro())
}
