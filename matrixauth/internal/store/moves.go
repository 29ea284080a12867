package store

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TakenAccount is a row of the journal of what was taken over from another server.
type TakenAccount struct {
	// Name is the Matrix id at the other server.
	Name string
	// UserID is the account here; empty for one that waits for an operator.
	UserID string
	// Fingerprint is of all that the other server had of it, Taken what was made of it, in the form of package move.
	Fingerprint []byte
	Taken       []byte
}

func scanTaken(s scanner) (t TakenAccount, err error) {
	return t, s.Scan(&t.Name, &t.UserID, &t.Fingerprint, &t.Taken)
}

// TakenAccounts lists at most limit rows of the journal without what was taken, by name, beginning behind after.
func (tx *Tx) TakenAccounts(after string, limit int) ([]TakenAccount, error) {
	return many(tx, scanTaken, "SELECT name, user_id, fingerprint, '' FROM taken_accounts WHERE name > ?1 ORDER BY name LIMIT ?2", after, limit)
}

// CountTaken counts the rows of the journal.
func (tx *Tx) CountTaken() (int64, error) {
	return one(tx, func(s scanner) (n int64, err error) { return n, s.Scan(&n) }, "SELECT COUNT(*) FROM taken_accounts")
}

// TakenAccount finds a row of the journal.
func (tx *Tx) TakenAccount(name string) (TakenAccount, error) {
	return one(tx, scanTaken, "SELECT name, user_id, fingerprint, taken FROM taken_accounts WHERE name = ?1", name)
}

// KeepTaken writes a row of the journal in place of an earlier one.
func (tx *Tx) KeepTaken(t TakenAccount) error {
	_, err := tx.exec(`INSERT INTO taken_accounts (name, user_id, fingerprint, taken, taken_at) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (name) DO UPDATE SET user_id = excluded.user_id, fingerprint = excluded.fingerprint, taken = excluded.taken, taken_at = excluded.taken_at`,
		t.Name, t.UserID, t.Fingerprint, string(t.Taken), micros(tx.Now))
	return err
}

// ForgetTaken deletes a row of the journal.
func (tx *Tx) ForgetTaken(name string) error {
	_, err := tx.exec("DELETE FROM taken_accounts WHERE name = ?1", name)
	return err
}

// TakenPosition returns how far the other server had come when its accounts were taken last; zero if none were.
func (tx *Tx) TakenPosition() (int64, error) {
	at, err := one(tx, func(s scanner) (at int64, err error) { return at, s.Scan(&at) }, "SELECT position FROM taken_position")
	if errors.Is(err, model.ErrNotFound) {
		err = nil
	}
	return at, err
}

// KeepTakenPosition notes how far the other server has come.
func (tx *Tx) KeepTakenPosition(position int64) error {
	_, err := tx.exec("INSERT INTO taken_position (one, position) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET position = excluded.position", position)
	return err
}

// TakenToken finds how often a registration token had been used at the other server when it was taken last, and whether
// that server had it no more.
func (tx *Tx) TakenToken(hash model.TokenHash) (used int64, gone bool, err error) {
	type row struct {
		used int64
		gone bool
	}
	r, err := one(tx, func(s scanner) (r row, err error) { return r, s.Scan(&r.used, &r.gone) },
		"SELECT used, gone FROM taken_registration_tokens WHERE hash = ?1", hash[:])
	return r.used, r.gone, err
}

// TakenTokens lists the hashes of all registration tokens that were taken and are not gone at the other server.
func (tx *Tx) TakenTokens() ([]model.TokenHash, error) {
	return many(tx, func(s scanner) (h model.TokenHash, err error) { return h, s.Scan(hashInto{&h}) }, "SELECT hash FROM taken_registration_tokens WHERE NOT gone")
}

// KeepTakenToken notes how a registration token stands at the other server.
func (tx *Tx) KeepTakenToken(hash model.TokenHash, used int64, gone bool) error {
	_, err := tx.exec(`INSERT INTO taken_registration_tokens (hash, used, gone) VALUES (?1, ?2, ?3)
		ON CONFLICT (hash) DO UPDATE SET used = excluded.used, gone = excluded.gone`, hash[:], used, gone)
	return err
}

// AddTokenUses counts uses of a registration token that were made elsewhere.
func (tx *Tx) AddTokenUses(id string, uses int64) error {
	_, err := tx.exec("UPDATE registration_tokens SET used = used + ?2 WHERE id = ?1", id, uses)
	return err
}

// UpdateTakenSession writes what another server tells anew of a session: its name, counters, last activity and end.
func (tx *Tx) UpdateTakenSession(s model.Session) error {
	_, err := tx.exec(`UPDATE sessions SET device_name = ?2, generation = ?3, used_generation = ?4, pairs = ?5, last_active_at = ?6, ends_at = ?7 WHERE id = ?1`,
		s.ID, clip(s.DeviceName), s.Generation, s.UsedGeneration, s.Pairs, micros(s.LastActiveAt), micros(s.EndsAt))
	return err
}

// AcceptTermsAt is AcceptTerms at another time.
func (tx *Tx) AcceptTermsAt(userID, version string, at time.Time) error {
	_, err := tx.exec("INSERT INTO accepted_terms (user_id, version, accepted_at) VALUES (?1, ?2, ?3) ON CONFLICT (user_id, version) DO NOTHING", userID, version, micros(at))
	return err
}

// ExternalLink is an account at an identity provider.
type ExternalLink struct{ Provider, Subject string }

// AddExternalLink ties an account to one at a provider, and reports false if that one is another account's.
func (tx *Tx) AddExternalLink(userID string, l ExternalLink) (bool, error) {
	n, err := tx.exec(`INSERT INTO external_links (provider, subject, user_id) VALUES (?1, ?2, ?3)
		ON CONFLICT (provider, subject) DO UPDATE SET user_id = user_id WHERE user_id = excluded.user_id`, l.Provider, l.Subject, userID)
	return n == 1, err
}

// ExternalLinks lists an account's, by provider and subject.
func (tx *Tx) ExternalLinks(userID string) ([]ExternalLink, error) {
	return many(tx, func(s scanner) (l ExternalLink, err error) { return l, s.Scan(&l.Provider, &l.Subject) },
		"SELECT provider, subject FROM external_links WHERE user_id = ?1 ORDER BY provider, subject", userID)
}

// DeleteExternalLinks forgets all of an account's.
func (tx *Tx) DeleteExternalLinks(userID string) error {
	_, err := tx.exec("DELETE FROM external_links WHERE user_id = ?1", userID)
	return err
}

// AddOtherThreepid keeps a third-party id that is no mail address.
func (tx *Tx) AddOtherThreepid(userID, medium, address string, addedAt time.Time) error {
	_, err := tx.exec("INSERT INTO other_threepids (user_id, medium, address, added_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING", userID, medium, address, micros(addedAt))
	return err
}

// DeleteOtherThreepids forgets all of an account's.
func (tx *Tx) DeleteOtherThreepids(userID string) error {
	_, err := tx.exec("DELETE FROM other_threepids WHERE user_id = ?1", userID)
	return err
}

// DeletePassword leaves an account without a password.
func (tx *Tx) DeletePassword(userID string) error {
	_, err := tx.exec("DELETE FROM passwords WHERE user_id = ?1", userID)
	return err
}

// SessionsOfTokens returns the ids of the sessions that tokens belong to, whatever their kind.
func (tx *Tx) SessionsOfTokens(hashes []model.TokenHash) (ids []string, err error) {
	for some := range slices.Chunk(hashes, 100) {
		args := make([]any, len(some))
		for i, hash := range some {
			args[i] = hash[:]
		}
		found, err := many(tx, scanText, "SELECT DISTINCT session_id FROM tokens WHERE hash IN (?"+strings.Repeat(", ?", len(some)-1)+")", args...)
		if err != nil {
			return nil, err
		}
		ids = append(ids, found...)
	}
	return ids, nil
}

// HasLiveToken reports whether a session has a token that has not expired.
func (tx *Tx) HasLiveToken(sessionID string) (bool, error) {
	return one(tx, scanBool, "SELECT EXISTS (SELECT 1 FROM tokens WHERE session_id = ?1 AND (expires_at IS NULL OR expires_at > ?2))", sessionID, micros(tx.Now))
}

// SetScope changes what a live session may, with the access tokens of which there are rows.
func (tx *Tx) SetScope(sessionID, scope string) error {
	if _, err := tx.exec("UPDATE sessions SET scope = ?2 WHERE id = ?1", sessionID, scope); err != nil {
		return err
	}
	_, err := tx.exec("UPDATE tokens SET scope = ?2 WHERE session_id = ?1 AND "+isAccess, sessionID, scope)
	return err
}

// PasswordOf is the password hash of an account.
type PasswordOf struct {
	Localpart, Hash string
	ChangedAt       time.Time
}

// Passwords lists at most limit hashes of accounts that are not deactivated, by localpart, beginning behind after.
func (tx *Tx) Passwords(after string, limit int) ([]PasswordOf, error) {
	return many(tx, func(s scanner) (p PasswordOf, err error) {
		return p, s.Scan(&p.Localpart, &p.Hash, timeInto{&p.ChangedAt})
	},
		`SELECT u.localpart, p.hash, p.changed_at FROM users u JOIN passwords p ON p.user_id = u.id
		WHERE u.localpart > ?1 AND u.deactivated_at IS NULL ORDER BY u.localpart LIMIT ?2`, after, limit)
}
