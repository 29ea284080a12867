package store

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"

// RestrictRegistrations does again to a backup what the database that it replaces has of registration tokens and of
// registrations, as far as it only restricts: tokens that were revoked let nobody in, uses that were counted are used up,
// and registrations that were rejected do not wait again, and have no password any more. It returns how many tokens and registrations that concerns.
func (tx *Tx) RestrictRegistrations() (tokens, rejected int64, err error) {
	const olds = "FROM replaced.registration_tokens o WHERE o.id = registration_tokens.id"
	revoked, err := tx.exec("UPDATE registration_tokens SET revoked_at = (SELECT o.revoked_at " + olds + ") WHERE revoked_at IS NULL AND EXISTS (SELECT 1 " + olds + " AND o.revoked_at IS NOT NULL)")
	if err != nil {
		return 0, 0, err
	}
	used, err := tx.exec("UPDATE registration_tokens SET used = (SELECT o.used " + olds + ") WHERE revoked_at IS NULL AND EXISTS (SELECT 1 " + olds + " AND o.used > registration_tokens.used)")
	if err != nil {
		return 0, 0, err
	}
	const row = "FROM replaced.registrations o WHERE o.id = registrations.id"
	rejected, err = tx.exec("UPDATE registrations SET state = ?1, password = '', finished_at = (SELECT o.finished_at "+row+"), expires_at = (SELECT o.expires_at "+row+") WHERE state = ?2 AND EXISTS (SELECT 1 "+row+" AND o.state = ?1)",
		model.RegistrationRejected, model.RegistrationWaiting)
	return revoked + used, rejected, err
}
