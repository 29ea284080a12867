package store

import (
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const (
	noteLost = `INSERT INTO lost_sessions (session_id, kind, first_seen_at, last_seen_at, refreshes, introspections, last_ip, user_agent, ended_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL)
		ON CONFLICT (session_id) DO UPDATE SET last_seen_at = excluded.last_seen_at,
			refreshes = lost_sessions.refreshes + excluded.refreshes, introspections = lost_sessions.introspections + excluded.introspections,
			last_ip = CASE WHEN excluded.refreshes = 0 THEN lost_sessions.last_ip ELSE excluded.last_ip END,
			user_agent = CASE WHEN excluded.refreshes = 0 THEN lost_sessions.user_agent ELSE excluded.user_agent END`
	// surplusLost keeps the ?1 that were seen last.
	surplusLost = "DELETE FROM lost_sessions WHERE session_id IN (SELECT session_id FROM lost_sessions ORDER BY last_seen_at DESC" + beyond + "?1)"
	// stillLost is the condition of those that did not come back, waitingLost of those that have not ended either: ?1 is
	// the least id of one that began later than the end of all.
	stillLost   = " NOT EXISTS (SELECT 1 FROM sessions WHERE id = lost_sessions.session_id)"
	waitingLost = stillLost + " AND ended_at IS NULL AND session_id >= ?1"
)

// NoteLostSessions adds what was seen of lost sessions to what is noted of them. Of more than bound.LostSessions those go
// that were seen longest ago.
func (tx *Tx) NoteLostSessions(seen []model.LostSession) error {
	for _, s := range seen {
		if _, err := tx.exec(noteLost, s.ID, s.Kind, micros(s.FirstSeenAt), micros(s.LastSeenAt), s.Refreshes, s.Introspections, clip(s.LastIP), clip(s.UserAgent)); err != nil {
			return err
		}
	}
	_, err := tx.exec(surplusLost, bound.LostSessions)
	return err
}

// EndLostSession notes that the holder of a token has ended a lost session. Only its id and its kind are asked of s. A
// later call changes nothing.
func (tx *Tx) EndLostSession(s model.LostSession) error {
	s.FirstSeenAt, s.LastSeenAt, s.Refreshes, s.Introspections = tx.Now, tx.Now, 0, 0
	if err := tx.NoteLostSessions([]model.LostSession{s}); err != nil {
		return err
	}
	_, err := tx.exec("UPDATE lost_sessions SET ended_at = ?2 WHERE session_id = ?1 AND ended_at IS NULL", s.ID, micros(tx.Now))
	return err
}

// SetLostEnd has all lost sessions count as ended that began before a time, of which the milliseconds count, and no
// others that their holders did not end.
func (tx *Tx) SetLostEnd(began time.Time) error {
	_, err := tx.exec("INSERT INTO lost_ended (id, began_before) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET began_before = excluded.began_before",
		micros(began.Truncate(time.Millisecond)))
	return err
}

// LostEnd returns the time of SetLostEnd; zero if there was none.
func (tx *Tx) LostEnd() (time.Time, error) {
	at, err := one(tx, func(s scanner) (t time.Time, err error) { return t, s.Scan(timeInto{&t}) }, "SELECT began_before FROM lost_ended WHERE id = 1")
	if errors.Is(err, model.ErrNotFound) {
		return time.Time{}, nil
	}
	return at, err
}

// LostSessionEnded reports whether a session that the database does not know has ended: its holder ended it, or it
// began before the time of SetLostEnd.
func (tx *Tx) LostSessionEnded(id string) (bool, error) {
	return one(tx, func(s scanner) (ended bool, err error) { return ended, s.Scan(&ended) },
		`SELECT EXISTS (SELECT 1 FROM lost_sessions WHERE session_id = ?1 AND ended_at IS NOT NULL)
		OR EXISTS (SELECT 1 FROM lost_ended WHERE began_before > ?2)`, id, model.IDTime(id).UnixMicro())
}

// LostFilter says which lost sessions to list. What is empty chooses all.
type LostFilter struct {
	// BeganBefore is when they began at the latest, exclusive.
	BeganBefore time.Time
	// Ended chooses those that have ended too.
	Ended bool
	// After is the id behind which the page begins.
	After string
	Limit int
}

// LostSessions lists lost sessions in the order in which they began.
func (tx *Tx) LostSessions(f LostFilter) ([]model.LostSession, error) {
	least, err := tx.leastWaiting()
	if err != nil {
		return nil, err
	}
	query := `SELECT session_id, kind, first_seen_at, last_seen_at, refreshes, introspections, last_ip, user_agent, ended_at FROM lost_sessions WHERE`
	if f.Ended {
		query += stillLost
	} else {
		query += waitingLost
	}
	return many(tx, func(s scanner) (l model.LostSession, err error) {
		return l, s.Scan(&l.ID, &l.Kind, timeInto{&l.FirstSeenAt}, timeInto{&l.LastSeenAt}, &l.Refreshes, &l.Introspections, &l.LastIP, &l.UserAgent, timeInto{&l.EndedAt})
	}, query+" AND session_id > ?2 AND session_id < ?3 ORDER BY session_id LIMIT ?4", least, f.After, f.lastID(), f.Limit)
}

// CountLostSessions counts the lost sessions that began before a time, were seen after another, and have not ended. A
// zero time is none.
func (tx *Tx) CountLostSessions(began, seen time.Time) (int64, error) {
	least, err := tx.leastWaiting()
	if err != nil {
		return 0, err
	}
	if seen.IsZero() {
		seen = time.Unix(0, 0)
	}
	return one(tx, scanCount, "SELECT COUNT(*) FROM lost_sessions WHERE"+waitingLost+" AND session_id < ?2 AND last_seen_at > ?3",
		least, LostFilter{BeganBefore: began}.lastID(), seen.UnixMicro())
}

// leastWaiting is the least id of a lost session that has not ended with all.
func (tx *Tx) leastWaiting() (string, error) {
	end, err := tx.LostEnd()
	return model.FirstID(end), err
}

// lastID is an id that those which are listed are less than.
func (f LostFilter) lastID() string {
	if f.BeganBefore.IsZero() {
		return "~" // behind every letter of an id
	}
	return model.FirstID(f.BeganBefore)
}
