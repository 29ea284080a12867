package session

import (
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Tokens that another server gave out go on as they are once their sessions came along. They have any form, and nothing in
// them tells what they are: only a row does, by their hash. Application services have tokens of any form too, which are
// the homeserver's to judge.

// mayKnow reports whether a token may have a row, or be worth anything without one, judged by its form. Where no session
// came from another server, and the database never went back in time, only ours are.
func (s *Sessions) mayKnow(token string) bool {
	if _, stored := model.StoredToken(token); stored {
		return true
	}
	return (s.config.Store.Imported() || s.config.Registry.back.at.Load() != nil) && model.ImportedToken(token)
}

// KnowsImported reports whether a token is of a session that came from another server, and lives or ended softly. If that cannot be read it is taken for one, as who asks then is told to wait.
func (s *Sessions) KnowsImported(token string) bool {
	if !s.config.Store.Imported() || !model.ImportedToken(token) {
		return false
	}
	_, err := s.config.Store.Token(model.HashToken(token))
	return !errors.Is(err, model.ErrNotFound)
}

// unknownImport is what becomes of a token that is none of ours and has no row. If the database went back in time, its
// session may have come from another server since: a backup of before the last import was put back. Nothing proves it, so
// that it waits as unproven tokens of ours do: for so long, and until somebody has ended what is lost. Then its client
// keeps what it has. Any other is ErrNotFound.
func (s *Sessions) unknownImport(tx *store.Tx, token string) error {
	at := s.config.Registry.back.at.Load()
	if at == nil || !model.ImportedToken(token) {
		return model.ErrNotFound
	}
	end, err := tx.LostEnd()
	if err != nil {
		return err
	}
	if !end.Before(at.Truncate(time.Millisecond)) || tx.Now.Sub(*at) >= bound.KeepEndedSession {
		return endedSoftly()
	}
	return lost().WithCause(&lostSession{unproven: true, imported: true})
}

// isLostImport reports whether an error is that of unknownImport for a token that waits.
func isLostImport(err error) bool {
	found := (*lostSession)(nil)
	return err != nil && errors.As(err, &found) && found.imported
}
