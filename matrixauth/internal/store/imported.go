package store

import (
	"context"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// InsertImported adds a live session that another server began, with the tokens that it gave out, which go on as they
// are. There must be no other session on its device. Of the session Generation, UsedGeneration, Pairs and Seed follow from
// the tokens, and what stands in each of its tokens from the session; a time that is not known is now. Of a token count
// Hash, Kind, Generation, Pair, Parent, ExpiresAt and UsedAt, and CreatedAt if it is known; no token outlives the session.
func (tx *Tx) InsertImported(s model.Session, localpart string, tokens []model.Token) error {
	if s.CreatedAt.IsZero() {
		s.CreatedAt = tx.Now
	}
	s.Seed, s.Generation, s.UsedGeneration, s.Pairs = model.NewSeed(), 0, 0, 0
	for _, t := range tokens {
		s.Generation, s.Pairs = max(s.Generation, t.Generation), max(s.Pairs, t.Pair)
		used := t.Generation - 1 // by the refresh token that minted it
		if !t.UsedAt.IsZero() {
			used = t.Generation
		}
		s.UsedGeneration = max(s.UsedGeneration, used)
	}
	if err := tx.InsertSession(s); err != nil {
		return err
	}
	for _, t := range tokens {
		if err := tx.InsertImportedToken(s, localpart, t); err != nil {
			return err
		}
	}
	return nil
}

// insertImported is insertToken for a token that another server made.
var insertImported = strings.NewReplacer("places)", "places, imported)", "?)", "?, TRUE)").Replace(insertToken)

// InsertImportedToken adds one more token to a session, as InsertImported does. The numbers of the session stay.
func (tx *Tx) InsertImportedToken(s model.Session, localpart string, t model.Token) error {
	t.SessionID, t.Localpart = s.ID, localpart
	t.UserID, t.DeviceID, t.Scope, t.ClientID = s.UserID, s.DeviceID, s.Scope, s.ClientID
	if t.Kind.Refresh() { // its session has them
		t.UserID, t.DeviceID, t.Scope, t.ClientID = "", "", "", ""
	}
	if t.CreatedAt.IsZero() {
		t.CreatedAt = tx.Now
	}
	if !s.EndsAt.IsZero() && (t.ExpiresAt.IsZero() || t.ExpiresAt.After(s.EndsAt)) {
		t.ExpiresAt = s.EndsAt
	}
	if _, err := tx.exec(insertImported, tokenArgs(t)...); err != nil {
		return err
	}
	tx.AfterCommit(func() { tx.imported.Store(true) })
	return nil
}

// anyImported repeats the condition of the index: SQLite would not use it otherwise.
const anyImported = "SELECT EXISTS (SELECT 1 FROM tokens WHERE imported)"

func (s *Store) lookForImported(ctx context.Context) error {
	var found bool
	err := s.reader.QueryRowContext(ctx, anyImported).Scan(&found)
	s.imported.Store(found)
	return err
}

// Imported reports whether there are tokens that another server made, which are found by their hashes alone. It costs an
// atomic load, so that where none came nobody pays for a look-up.
func (s *Store) Imported() bool { return s.imported.Load() }
