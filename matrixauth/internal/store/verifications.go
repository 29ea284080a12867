package store

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const selectVerification = `SELECT id, subject_kind, subject_id, address, key, language, code, tries, mails, created_at, accepted_at, refused_at, proven_at
	FROM verifications`

func scanVerification(s scanner) (v model.Verification, err error) {
	err = s.Scan(&v.ID, &v.Kind, &v.Subject.ID, &v.Address, &v.Key, &v.Language, &v.SealedCode, &v.Tries, &v.Mails,
		timeInto{&v.CreatedAt}, timeInto{&v.AcceptedAt}, timeInto{&v.RefusedAt}, timeInto{&v.ProvenAt})
	return v, err
}

// surplusVerifications keeps the ?1 that began last.
const surplusVerifications = "DELETE FROM verifications WHERE id IN (SELECT id FROM verifications ORDER BY created_at DESC, id DESC" + beyond + "?1)"

// InsertVerification adds a verification. The caller has made sure that its subject has none. Of more than
// bound.Verifications those go that began first.
func (tx *Tx) InsertVerification(v model.Verification) error {
	_, err := tx.exec(`INSERT INTO verifications (id, subject_kind, subject_id, address, key, language, code, tries, mails, created_at, accepted_at, refused_at, proven_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)`,
		v.ID, v.Kind, v.Subject.ID, v.Address, v.Key, v.Language, v.SealedCode, v.Tries, v.Mails,
		micros(v.CreatedAt), micros(v.AcceptedAt), micros(v.RefusedAt), micros(v.ProvenAt))
	if err != nil {
		return err
	}
	_, err = tx.exec(surplusVerifications, bound.Verifications)
	return err
}

// UpdateVerification writes what may change of a verification: how often its code was tried and mailed, and what came of
// that.
func (tx *Tx) UpdateVerification(v model.Verification) error {
	_, err := tx.exec("UPDATE verifications SET tries = ?2, mails = ?3, accepted_at = ?4, refused_at = ?5, proven_at = ?6 WHERE id = ?1",
		v.ID, v.Tries, v.Mails, micros(v.AcceptedAt), micros(v.RefusedAt), micros(v.ProvenAt))
	return err
}

// Verification finds a verification by its id.
func (tx *Tx) Verification(id string) (model.Verification, error) {
	return one(tx, scanVerification, selectVerification+" WHERE id = ?1", id)
}

// VerificationOf finds the verification of a subject.
func (tx *Tx) VerificationOf(of model.Subject) (model.Verification, error) {
	return one(tx, scanVerification, selectVerification+" WHERE subject_kind = ?1 AND subject_id = ?2", of.Kind, of.ID)
}

// DeleteVerification removes the verification of a subject, if it has one.
func (tx *Tx) DeleteVerification(of model.Subject) error {
	_, err := tx.exec("DELETE FROM verifications WHERE subject_kind = ?1 AND subject_id = ?2", of.Kind, of.ID)
	return err
}
