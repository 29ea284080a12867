package store

import (
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const selectRegistration = `SELECT id, state, browser, localpart, lost_localpart, password, password_at, display_name, email, email_key, email_skipped, token_id, terms,
	user_id, language, ip, network, created_at, finished_at, expires_at, existing FROM registrations`

func scanRegistration(s scanner) (r model.Registration, err error) {
	err = s.Scan(&r.ID, &r.State, hashInto{&r.Browser}, &r.Localpart, &r.LostLocalpart, &r.PasswordHash, timeInto{&r.PasswordAt}, &r.DisplayName, &r.Email.Address, &r.Email.Key, &r.EmailSkipped,
		&r.TokenID, &r.Terms, &r.UserID, &r.Language, &r.IP, &r.Network, timeInto{&r.CreatedAt}, timeInto{&r.FinishedAt}, timeInto{&r.ExpiresAt}, &r.Existing)
	return r, err
}

// registrationSize returns the size of a registration's text, by which room is counted.
func registrationSize(r model.Registration) int {
	return len(r.Localpart) + len(r.LostLocalpart) + len(r.PasswordHash) + len(r.DisplayName) + len(r.Email.Address) + len(r.Email.Key) + len(r.Terms)
}

// InsertRegistration adds a registration that is open. If there is no room, other open registrations are removed (see
// makeRoom); of one network the newest are kept.
func (tx *Tx) InsertRegistration(r model.Registration) error {
	size := registrationSize(r)
	if err := tx.makeRoom(openCrowd, size); err != nil {
		return err
	}
	if _, err := tx.exec(`INSERT INTO registrations (id, state, browser, localpart, lost_localpart, password, password_at, display_name, email, email_key, email_skipped, token_id, terms,
		user_id, language, ip, network, size, created_at, finished_at, expires_at, existing)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)`,
		r.ID, r.State, r.Browser[:], r.Localpart, r.LostLocalpart, r.PasswordHash, micros(r.PasswordAt), r.DisplayName, r.Email.Address, r.Email.Key, r.EmailSkipped, r.TokenID, r.Terms,
		r.UserID, clip(r.Language), clip(r.IP), r.Network, size, micros(r.CreatedAt), micros(r.FinishedAt), micros(r.ExpiresAt), r.Existing); err != nil {
		return err
	}
	_, err := tx.exec(crowdedRegistrations, r.Network, bound.OpenRegistrationsOfNetwork)
	return err
}

// crowdedRegistrations removes the open registrations of a network that are too many: those without a password first,
// and of these the oldest.
const crowdedRegistrations = `DELETE FROM registrations WHERE id IN (SELECT id FROM registrations
	WHERE state = 'open' AND network = ?1 ORDER BY password_at IS NOT NULL DESC, created_at DESC, id` + beyond + `?2)`

// UpdateRegistration writes all that may change of a registration. The names of those that wait are unique: the caller
// has made sure of that.
func (tx *Tx) UpdateRegistration(r model.Registration) error {
	_, err := tx.exec(`UPDATE registrations SET state = ?2, localpart = ?3, lost_localpart = ?4, password = ?5, password_at = ?6, display_name = ?7, email = ?8, email_key = ?9,
		email_skipped = ?10, token_id = ?11, terms = ?12, user_id = ?13, size = ?14, finished_at = ?15, expires_at = ?16 WHERE id = ?1`,
		r.ID, r.State, r.Localpart, r.LostLocalpart, r.PasswordHash, micros(r.PasswordAt), r.DisplayName, r.Email.Address, r.Email.Key, r.EmailSkipped, r.TokenID, r.Terms,
		r.UserID, registrationSize(r), micros(r.FinishedAt), micros(r.ExpiresAt))
	return err
}

// Registration finds a registration by its id, in whatever state.
func (tx *Tx) Registration(id string) (model.Registration, error) {
	return one(tx, scanRegistration, selectRegistration+" WHERE id = ?1", id)
}

// DeleteRegistrationOf forgets the registration of which an account came.
func (tx *Tx) DeleteRegistrationOf(userID string) error {
	_, err := tx.exec("DELETE FROM registrations WHERE user_id = ?1", userID)
	return err
}

// WaitingRegistration finds the registration that waits for an operator and has reserved a name.
func (tx *Tx) WaitingRegistration(localpart string) (model.Registration, error) {
	return one(tx, scanRegistration, selectRegistration+" WHERE state = 'waiting' AND localpart = ?1", localpart)
}

// WaitingRegistrations lists at most limit registrations that wait for an operator, in the order of their names, beginning
// behind after.
func (tx *Tx) WaitingRegistrations(after string, limit int) ([]model.Registration, error) {
	return many(tx, scanRegistration, selectRegistration+" WHERE state = 'waiting' AND localpart > ?1 ORDER BY localpart LIMIT ?2", after, limit)
}

// WaitingWeight returns how many registrations of a network wait, and what all that wait weigh together, in bytes.
func (tx *Tx) WaitingWeight(network string) (ofNetwork, weight int64, err error) {
	ofNetwork, err = one(tx, scanNumber, "SELECT COUNT(*) FROM registrations WHERE state = 'waiting' AND network = ?1", network)
	if err == nil {
		weight, err = one(tx, scanNumber, "SELECT COALESCE(SUM(size + ?1), 0) FROM registrations WHERE state = 'waiting'", rowWeight)
	}
	return ofNetwork, weight, err
}

// WaitingOfToken counts the registrations that wait and were let in by a token.
func (tx *Tx) WaitingOfToken(id string) (int64, error) {
	return one(tx, scanNumber, "SELECT COUNT(*) FROM registrations WHERE state = 'waiting' AND token_id = ?1", id)
}

func scanNumber(s scanner) (n int64, err error) {
	err = s.Scan(&n)
	return n, err
}

const selectRegistrationToken = "SELECT id, hash, sealed, COALESCE(uses, 0), used, localpart, email, created_at, expires_at, revoked_at FROM registration_tokens"

func scanRegistrationToken(s scanner) (t model.RegistrationToken, err error) {
	err = s.Scan(&t.ID, hashInto{&t.Hash}, &t.Sealed, &t.Uses, &t.Used, &t.Localpart, &t.Email, timeInto{&t.CreatedAt}, timeInto{&t.ExpiresAt}, timeInto{&t.RevokedAt})
	return t, err
}

// InsertRegistrationToken adds a registration token. The caller has made sure that there is none of its hash.
func (tx *Tx) InsertRegistrationToken(t model.RegistrationToken) error {
	_, err := tx.exec(`INSERT INTO registration_tokens (id, hash, sealed, uses, used, localpart, email, created_at, expires_at)
		VALUES (?1, ?2, ?3, NULLIF(?4, 0), 0, ?5, ?6, ?7, ?8)`,
		t.ID, t.Hash[:], t.Sealed, t.Uses, t.Localpart, t.Email, micros(t.CreatedAt), micros(t.ExpiresAt))
	return err
}

// RegistrationToken finds a registration token by its id.
func (tx *Tx) RegistrationToken(id string) (model.RegistrationToken, error) {
	return one(tx, scanRegistrationToken, selectRegistrationToken+" WHERE id = ?1", id)
}

// RegistrationTokenByHash finds a registration token by the hash of what somebody typed.
func (tx *Tx) RegistrationTokenByHash(hash model.TokenHash) (model.RegistrationToken, error) {
	return one(tx, scanRegistrationToken, selectRegistrationToken+" WHERE hash = ?1", hash[:])
}

// RegistrationTokens lists at most limit registration tokens, the newest first, beginning behind the id before.
func (tx *Tx) RegistrationTokens(before string, limit int) ([]model.RegistrationToken, error) {
	return many(tx, scanRegistrationToken, selectRegistrationToken+" WHERE ?1 = '' OR id < ?1 ORDER BY id DESC LIMIT ?2", before, limit)
}

// UseRegistrationToken counts a use of a token, whose time is judged at a time: that of who waited for an operator is when
// they began to. It reports false, and counts nothing, if it has none left.
func (tx *Tx) UseRegistrationToken(id string, at time.Time) (bool, error) {
	n, err := tx.exec(`UPDATE registration_tokens SET used = used + 1 WHERE id = ?1 AND (uses IS NULL OR used < uses)
		AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)`, id, micros(at))
	return n == 1, err
}

// RevokeRegistrationToken has a token let nobody in any more. It reports false if it was revoked before.
func (tx *Tx) RevokeRegistrationToken(id string) (bool, error) {
	n, err := tx.exec("UPDATE registration_tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL", id, micros(tx.Now))
	return n == 1, err
}

// AcceptTerms notes that an account accepted a version of the terms of service.
func (tx *Tx) AcceptTerms(userID, version string) error {
	_, err := tx.exec("INSERT INTO accepted_terms (user_id, version, accepted_at) VALUES (?1, ?2, ?3) ON CONFLICT (user_id, version) DO NOTHING", userID, version, micros(tx.Now))
	return err
}

// AcceptedTerms lists the versions of the terms of service that an account accepted, oldest first.
func (tx *Tx) AcceptedTerms(userID string) ([]model.AcceptedTerms, error) {
	return many(tx, func(s scanner) (a model.AcceptedTerms, err error) { return a, s.Scan(&a.Version, timeInto{&a.At}) },
		"SELECT version, accepted_at FROM accepted_terms WHERE user_id = ?1 ORDER BY accepted_at, version", userID)
}
