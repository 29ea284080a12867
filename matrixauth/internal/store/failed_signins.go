package store

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// AddFailedSignIns counts tries to sign in that failed. Those of an account that is gone are left out: nobody will ask for
// them. Of too many networks those go from which nobody tried for longest.
func (tx *Tx) AddFailedSignIns(f model.FailedSignIns) error {
	// Beyond its life a row is as good as gone, although retention has not come by: the count begins anew.
	if _, err := tx.exec("DELETE FROM failed_sign_ins WHERE user_id = ?1 AND network = ?2 AND last_at < ?3",
		f.UserID, clip(f.Network), tx.before(bound.KeepFailedSignIns)); err != nil {
		return err
	}
	if _, err := tx.exec(`INSERT INTO failed_sign_ins (user_id, network, user_agent, first_at, last_at, tries)
		SELECT id, ?2, ?3, ?4, ?5, ?6 FROM users WHERE id = ?1 AND deactivated_at IS NULL
		ON CONFLICT (user_id, network) DO UPDATE SET user_agent = excluded.user_agent, last_at = excluded.last_at, tries = failed_sign_ins.tries + excluded.tries`,
		f.UserID, clip(f.Network), clip(f.UserAgent), micros(f.First), micros(f.Last), f.Tries); err != nil {
		return err
	}
	_, err := tx.exec(`DELETE FROM failed_sign_ins WHERE user_id = ?1 AND network IN (
		SELECT network FROM failed_sign_ins WHERE user_id = ?1 ORDER BY last_at DESC, network`+beyond+`?2)`, f.UserID, bound.FailedSignIns)
	return err
}

const failedOfUser = `SELECT user_id, network, user_agent, first_at, last_at, tries FROM failed_sign_ins
	WHERE user_id = ?1 AND last_at >= ?2 ORDER BY last_at DESC, network LIMIT ?3`

// FailedSignIns lists the tries to sign in to an account that failed lately, the newest first.
func (tx *Tx) FailedSignIns(userID string) ([]model.FailedSignIns, error) {
	return many(tx, func(s scanner) (f model.FailedSignIns, err error) {
		return f, s.Scan(&f.UserID, &f.Network, &f.UserAgent, timeInto{&f.First}, timeInto{&f.Last}, &f.Tries)
	}, failedOfUser, userID, tx.before(bound.KeepFailedSignIns), bound.FailedSignIns)
}

// ForgetFailedSignIns removes those of an account.
func (tx *Tx) ForgetFailedSignIns(userID string) error {
	_, err := tx.exec("DELETE FROM failed_sign_ins WHERE user_id = ?1", userID)
	return err
}
