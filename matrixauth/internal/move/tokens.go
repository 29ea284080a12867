package move

import (
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TakeTokens takes over all the registration tokens that the other server has. Uses that were made there since the last run
// are added to those here, and a token that it has no more is revoked here.
func (i *Importer) TakeTokens(tx *store.Tx, by model.Actor, all []RegistrationToken, taken *Taken, findings *Findings) error {
	there := map[model.TokenHash]bool{}
	for _, t := range all {
		hash := model.HashToken(t.Token)
		there[hash] = true
		if err := i.takeToken(tx, by, t, hash, taken, findings); err != nil {
			return err
		}
	}
	known, err := tx.TakenTokens()
	if err != nil {
		return err
	}
	for _, hash := range known {
		if there[hash] {
			continue
		}
		ours, err := tx.RegistrationTokenByHash(hash)
		if err == nil {
			err = i.Registrations.RevokeToken(tx, by, ours)
		}
		if err != nil && !errors.Is(err, model.ErrNotFound) {
			return err
		}
		if err := tx.KeepTakenToken(hash, ours.Used, true); err != nil {
			return err
		}
	}
	return nil
}

func (i *Importer) takeToken(tx *store.Tx, by model.Actor, t RegistrationToken, hash model.TokenHash, taken *Taken, findings *Findings) error {
	before, gone, err := tx.TakenToken(hash)
	switch {
	case err == nil && !gone:
		if t.Used <= before {
			return nil
		}
		ours, err := tx.RegistrationTokenByHash(hash)
		if err == nil {
			err = tx.AddTokenUses(ours.ID, t.Used-before)
		}
		if err != nil && !errors.Is(err, model.ErrNotFound) {
			return err
		}
		return tx.KeepTakenToken(hash, t.Used, false)
	case err != nil && !errors.Is(err, model.ErrNotFound):
		return err
	}
	uses := int64(0)
	if t.Uses != nil {
		uses = *t.Uses
	}
	err = i.Registrations.TakeToken(tx, by, t.Token, uses, t.Used, t.ExpiresAt)
	if errors.Is(err, model.InvalidParam) {
		findings.Note(RegistrationTokenRefused, "")
		return nil
	}
	if err != nil {
		return err
	}
	taken.RegistrationTokens++
	return tx.KeepTakenToken(hash, t.Used, false)
}
