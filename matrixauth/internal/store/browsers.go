package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const selectBrowser = `SELECT id, user_id, created_at, authenticated_at, methods, last_active_at, last_ip, user_agent, ended_at, end_reason
	FROM browser_sessions`

func scanBrowser(s scanner) (b model.BrowserSession, err error) {
	err = s.Scan(&b.ID, &b.UserID, timeInto{&b.CreatedAt}, timeInto{&b.AuthenticatedAt}, methodsInto{&b.Methods}, timeInto{&b.LastActiveAt}, &b.LastIP, &b.UserAgent,
		timeInto{&b.EndedAt}, &b.EndReason)
	return b, err
}

// InsertBrowserSession adds a live browser session under the hash of its cookie.
func (tx *Tx) InsertBrowserSession(b model.BrowserSession, hash model.TokenHash) error {
	_, err := tx.exec(`INSERT INTO browser_sessions (id, hash, user_id, created_at, authenticated_at, methods, last_active_at, last_ip, user_agent)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?4, ?7, ?8)`,
		b.ID, hash[:], b.UserID, micros(b.CreatedAt), micros(b.AuthenticatedAt), methodsText(b.Methods), clip(b.LastIP), clip(b.UserAgent))
	return err
}

// BrowserSession finds a browser session, live or ended.
func (tx *Tx) BrowserSession(id string) (model.BrowserSession, error) {
	return one(tx, scanBrowser, selectBrowser+" WHERE id = ?1", id)
}

// BrowserSessionByHash finds the browser session of a cookie, live or ended.
func (tx *Tx) BrowserSessionByHash(hash model.TokenHash) (model.BrowserSession, error) {
	return one(tx, scanBrowser, selectBrowser+" WHERE hash = ?1", hash[:])
}

// LiveBrowserSessions lists the live browser sessions of a user, oldest first.
func (tx *Tx) LiveBrowserSessions(userID string) ([]model.BrowserSession, error) {
	return many(tx, scanBrowser, selectBrowser+liveOfUser, userID)
}

// EndBrowserSession marks a live browser session as over.
func (tx *Tx) EndBrowserSession(id string, reason model.EndReason) error {
	_, err := tx.exec("UPDATE browser_sessions SET ended_at = ?2, end_reason = ?3 WHERE id = ?1 AND ended_at IS NULL", id, micros(tx.Now), reason)
	return err
}

// RenewBrowserSession puts a live browser session under the hash of another cookie. That of the one before finds nothing any
// more.
func (tx *Tx) RenewBrowserSession(id string, hash model.TokenHash) error {
	_, err := tx.exec("UPDATE browser_sessions SET hash = ?2 WHERE id = ?1 AND ended_at IS NULL", id, hash[:])
	return err
}

// ProveBrowserSession notes that the person has proved again who they are. A proof older than the one that is known
// changes nothing.
func (tx *Tx) ProveBrowserSession(id string, p model.Proof) error {
	_, err := tx.exec("UPDATE browser_sessions SET authenticated_at = ?2, methods = ?3 WHERE id = ?1 AND ended_at IS NULL AND authenticated_at <= ?2",
		id, micros(p.At), methodsText(p.Methods))
	return err
}

// TouchBrowserSession notes activity.
func (tx *Tx) TouchBrowserSession(id string, at time.Time, ip string) error {
	_, err := tx.exec(`UPDATE browser_sessions SET last_active_at = CASE WHEN last_active_at > ?2 THEN last_active_at ELSE ?2 END,
		last_ip = CASE WHEN ?3 = '' THEN last_ip ELSE ?3 END WHERE id = ?1`, id, micros(at), clip(ip))
	return err
}

// methodsText returns how methods stand in a row.
func methodsText(methods []model.Method) string {
	names := make([]string, 0, len(methods))
	for _, m := range methods {
		names = append(names, string(m))
	}
	return strings.Join(names, " ")
}

// methodsInto reads methodsText.
type methodsInto struct{ to *[]model.Method }

// Scan implements sql.Scanner.
func (m methodsInto) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("methods are %T", value)
	}
	*m.to = nil
	for name := range strings.FieldsSeq(text) {
		*m.to = append(*m.to, model.Method(name))
	}
	return nil
}
