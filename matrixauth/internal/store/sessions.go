package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const selectSession = `SELECT id, kind, user_id, device_id, device_name, scope, generation, used_generation, pairs,
	created_at, last_active_at, last_ip, user_agent, ended_at, end_reason, client_id, browser_session_id, seed, twice_at, ends_at FROM sessions`

func scanSession(s scanner) (v model.Session, err error) {
	err = s.Scan(&v.ID, &v.Kind, &v.UserID, &v.DeviceID, &v.DeviceName, &v.Scope, &v.Generation, &v.UsedGeneration, &v.Pairs,
		timeInto{&v.CreatedAt}, timeInto{&v.LastActiveAt}, &v.LastIP, &v.UserAgent, timeInto{&v.EndedAt}, &v.EndReason,
		&v.ClientID, &v.BrowserSessionID, (*[]byte)(&v.Seed), timeInto{&v.TwiceAt}, timeInto{&v.EndsAt})
	return v, err
}

// InsertSession adds a live session. There must be no other on its device. One that was not active yet was so when it
// began.
func (tx *Tx) InsertSession(s model.Session) error {
	if s.LastActiveAt.IsZero() {
		s.LastActiveAt = s.CreatedAt
	}
	_, err := tx.exec(`INSERT INTO sessions (id, kind, user_id, device_id, device_name, scope, generation, used_generation, pairs,
		created_at, last_active_at, last_ip, user_agent, client_id, browser_session_id, seed, ends_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)`,
		s.ID, s.Kind, s.UserID, s.DeviceID, clip(s.DeviceName), s.Scope, s.Generation, s.UsedGeneration, s.Pairs,
		micros(s.CreatedAt), micros(s.LastActiveAt), clip(s.LastIP), clip(s.UserAgent), s.ClientID, s.BrowserSessionID, []byte(s.Seed), micros(s.EndsAt))
	return err
}

// Session finds a session, live or ended.
func (tx *Tx) Session(id string) (model.Session, error) {
	return one(tx, scanSession, selectSession+" WHERE id = ?1", id)
}

// LiveSession finds a session that has not ended; any other is model.ErrNotFound.
func (tx *Tx) LiveSession(id string) (model.Session, error) {
	return one(tx, scanSession, selectSession+" WHERE id = ?1 AND ended_at IS NULL", id)
}

// liveOnDevice repeats the condition of the index on devices: SQLite would not use it otherwise.
const liveOnDevice = " WHERE user_id = ?1 AND device_id = ?2 AND device_id <> '' AND ended_at IS NULL"

// LiveSessionOnDevice finds the session that a user has on a device.
func (tx *Tx) LiveSessionOnDevice(userID, deviceID string) (model.Session, error) {
	return one(tx, scanSession, selectSession+liveOnDevice, userID, deviceID)
}

const liveOfUser = " WHERE user_id = ?1 AND ended_at IS NULL ORDER BY created_at, id"

// LiveSessions lists all live sessions of a user, oldest first.
func (tx *Tx) LiveSessions(userID string) ([]model.Session, error) {
	return many(tx, scanSession, selectSession+liveOfUser, userID)
}

// endedOnDevice repeats the condition of the index: SQLite would not use it otherwise.
const endedOnDevice = " WHERE user_id = ?1 AND device_id = ?2 AND device_id <> '' AND ended_at IS NOT NULL ORDER BY id DESC LIMIT 1"

// LastEndedOnDevice finds the session that a user had on a device, the last one if there were several.
func (tx *Tx) LastEndedOnDevice(userID, deviceID string) (model.Session, error) {
	return one(tx, scanSession, selectSession+endedOnDevice, userID, deviceID)
}

// SessionsNear lists live sessions of other users with devices that were active after since: at most limit
// that started before s, each of another user, and as many that started after it, the nearest first. Ids
// are in the order of starts.
func (tx *Tx) SessionsNear(s model.Session, limit int, since time.Time) ([]model.Session, error) {
	var near []model.Session
	for _, side := range []string{" id < ?1 %s ORDER BY id DESC", " id > ?1 %s ORDER BY id"} {
		found, err := many(tx, scanSession, selectSession+" WHERE"+fmt.Sprintf(side,
			"AND user_id <> ?2 AND device_id <> '' AND ended_at IS NULL AND last_active_at > ?3")+" LIMIT ?4", s.ID, s.UserID, micros(since), 8*limit)
		if err != nil {
			return nil, err
		}
		near = append(near, firstOfEach(found, limit)...)
	}
	return near, nil
}

// firstOfEach keeps the first session of each user, at most limit.
func firstOfEach(all []model.Session, limit int) (kept []model.Session) {
	seen := map[string]bool{}
	for _, s := range all {
		if len(kept) < limit && !seen[s.UserID] {
			seen[s.UserID] = true
			kept = append(kept, s)
		}
	}
	return kept
}

// EndSession marks a live session as over.
func (tx *Tx) EndSession(id string, reason model.EndReason) error {
	_, err := tx.exec("UPDATE sessions SET ended_at = ?2, end_reason = ?3 WHERE id = ?1 AND ended_at IS NULL", id, micros(tx.Now), reason)
	return err
}

// CountPair counts one more pair of tokens of a session, minted at one generation by a token of another, and
// returns its number. The session is as this transaction has read it, or written: a statement that reads and
// returns what it writes costs five times as much.
func (tx *Tx) CountPair(s model.Session, minted, used int64) (pair int64, err error) {
	pair = s.Pairs + 1
	_, err = tx.exec("UPDATE sessions SET pairs = ?2, generation = ?3, used_generation = ?4 WHERE id = ?1",
		s.ID, pair, max(s.Generation, minted), max(s.UsedGeneration, used))
	return pair, err
}

// RaiseUsedGeneration notes that a token of generation was used.
func (tx *Tx) RaiseUsedGeneration(sessionID string, generation int64) error {
	_, err := tx.exec("UPDATE sessions SET used_generation = ?2 WHERE id = ?1 AND used_generation < ?2", sessionID, generation)
	return err
}

// NameDevice keeps a new name of a session's device.
func (tx *Tx) NameDevice(sessionID, name string) error {
	_, err := tx.exec("UPDATE sessions SET device_name = ?2 WHERE id = ?1", sessionID, clip(name))
	return err
}

// NoteTwice notes that two parties refresh a session at once.
func (tx *Tx) NoteTwice(id string) error {
	_, err := tx.exec("UPDATE sessions SET twice_at = ?2 WHERE id = ?1", id, micros(tx.Now))
	return err
}

// endedSoftly is the condition of sessions that ended softly.
var endedSoftly = func() string {
	var reasons []string
	for _, reason := range model.EndReasons {
		if reason.Soft() {
			reasons = append(reasons, "'"+string(reason)+"'")
		}
	}
	return "ended_at IS NOT NULL AND end_reason IN (" + strings.Join(reasons, ", ") + ")"
}()

// OldSoftEnds lists sessions that ended softly and are no longer kept, the oldest first and at most limit. Retain leaves
// them, as their devices are still at the homeserver.
func (tx *Tx) OldSoftEnds(limit int) ([]model.Session, error) {
	return many(tx, scanSession, selectSession+" WHERE "+endedSoftly+" AND ended_at < ?1 ORDER BY ended_at LIMIT ?2", tx.before(bound.KeepEndedSession), limit)
}

// overdue repeats the condition of the index: SQLite would not use it otherwise.
const overdue = " WHERE ends_at IS NOT NULL AND ended_at IS NULL AND ends_at <= ?1 ORDER BY ends_at LIMIT ?2"

// OverdueSessions lists live sessions whose time is over, at most limit.
func (tx *Tx) OverdueSessions(limit int) ([]model.Session, error) {
	return many(tx, scanSession, selectSession+overdue, micros(tx.Now), limit)
}

// DeleteSession removes a session that has ended, with what is left of its tokens.
func (tx *Tx) DeleteSession(id string) error {
	if err := tx.DeleteTokens(id); err != nil {
		return err
	}
	_, err := tx.exec("DELETE FROM sessions WHERE id = ?1 AND ended_at IS NOT NULL", id)
	return err
}

// TouchSession notes activity. An empty ip leaves the last known one.
func (tx *Tx) TouchSession(id string, at time.Time, ip string) error {
	_, err := tx.exec(`UPDATE sessions SET last_active_at = CASE WHEN last_active_at > ?2 THEN last_active_at ELSE ?2 END,
		last_ip = CASE WHEN ?3 = '' THEN last_ip ELSE ?3 END WHERE id = ?1`, id, micros(at), clip(ip))
	return err
}
