package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const selectToken = `SELECT hash, kind, session_id, generation, pair, parent, created_at, expires_at, used_at,
	user_id, localpart, device_id, scope, client_id FROM tokens`

func scanToken(s scanner) (t model.Token, err error) {
	err = s.Scan(hashInto{&t.Hash}, &t.Kind, &t.SessionID, &t.Generation, &t.Pair, hashInto{&t.Parent},
		timeInto{&t.CreatedAt}, timeInto{&t.ExpiresAt}, timeInto{&t.UsedAt},
		&t.UserID, &t.Localpart, &t.DeviceID, &t.Scope, &t.ClientID)
	return t, err
}

// hashInto scans a token hash; NULL is the zero hash.
type hashInto struct{ h *model.TokenHash }

// Scan implements sql.Scanner.
func (d hashInto) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d.h = model.TokenHash{}
		return nil
	case []byte:
		if copy(d.h[:], v) == len(d.h) && len(v) == len(d.h) {
			return nil
		}
	}
	return errors.New("a token hash is stored in the wrong form")
}

// markSize is the size of a network's mark as it is stored. Zeros are the mark of a network that nobody knows.
const markSize = 9

// placesInto scans places; NULL are those that nobody knows.
type placesInto struct{ p *model.Places }

// Scan implements sql.Scanner.
func (d placesInto) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d.p = model.Places{}
		return nil
	case []byte:
		if len(v) == 2*markSize {
			*d.p = model.Places{Minted: readMark(v[:markSize]), Before: readMark(v[markSize:])}
			return nil
		}
	}
	return errors.New("the places of a token are stored in the wrong form")
}

func readMark(stored []byte) model.NetworkMark {
	if stored[0] == 0 { // no key has this number
		return ""
	}
	return model.NetworkMark(stored)
}

func placesOrNull(p model.Places) any {
	if p == (model.Places{}) {
		return nil
	}
	stored := make([]byte, 2*markSize)
	copy(stored, p.Minted)
	copy(stored[markSize:], p.Before)
	return stored
}

func hashOrNull(h model.TokenHash) any {
	if h == (model.TokenHash{}) {
		return nil
	}
	return h[:]
}

// Token finds a token outside of any transaction. A single row is consistent in itself, and the homeserver asks this
// for every request. A refresh token is returned without the columns of its session that never change; they are read
// with the session. The look-up takes microseconds and is not cancelled: watching a context would cost the driver a
// goroutine for each call.
func (s *Store) Token(hash model.TokenHash) (model.Token, error) {
	ctx := context.Background()
	t, err := scanToken(s.token.QueryRowContext(ctx, hash[:]))
	if err == nil && t.Kind.Refresh() {
		err = s.reader.QueryRowContext(ctx, "SELECT user_id, device_id, scope, client_id FROM sessions WHERE id = ?1", t.SessionID).
			Scan(&t.UserID, &t.DeviceID, &t.Scope, &t.ClientID)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return t, model.ErrNotFound
	}
	if err != nil {
		return t, s.met(err, false)
	}
	return t, nil
}

// Token finds a token of either kind, without what a refresh token's session has.
func (tx *Tx) Token(hash model.TokenHash) (model.Token, error) {
	return one(tx, scanToken, selectToken+" WHERE hash = ?1", hash[:])
}

// RefreshToken finds a token as a refresh token, which its Kind tells, without the columns of its session: two reads cost
// half of a join.
func (tx *Tx) RefreshToken(hash model.TokenHash) (model.Token, error) {
	return one(tx, func(s scanner) (t model.Token, err error) {
		t.Hash = hash
		return t, s.Scan(&t.Kind, &t.SessionID, &t.Generation, hashInto{&t.Parent}, timeInto{&t.CreatedAt}, timeInto{&t.ExpiresAt}, &t.Localpart, placesInto{&t.Places}, &t.Imported)
	}, "SELECT kind, session_id, generation, parent, created_at, expires_at, localpart, places, imported IS NOT NULL FROM tokens WHERE hash = ?1", hash[:])
}

const insertToken = `INSERT INTO tokens (hash, kind, session_id, generation, pair, parent, created_at, expires_at, used_at,
	user_id, localpart, device_id, scope, client_id, places) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func tokenArgs(t model.Token) []any {
	return []any{t.Hash[:], t.Kind, t.SessionID, t.Generation, t.Pair, hashOrNull(t.Parent), micros(t.CreatedAt), micros(t.ExpiresAt),
		micros(t.UsedAt), t.UserID, t.Localpart, t.DeviceID, t.Scope, t.ClientID, placesOrNull(t.Places)}
}

// InsertToken adds a token.
func (tx *Tx) InsertToken(t model.Token) error {
	_, err := tx.exec(insertToken, tokenArgs(t)...)
	return err
}

// InsertTokenPair adds an access token and its refresh token in one statement, as refreshes are the most frequent
// writes.
func (tx *Tx) InsertTokenPair(access, refresh model.Token) error {
	refresh.UserID, refresh.DeviceID, refresh.Scope, refresh.ClientID = "", "", "", "" // its session has them
	_, err := tx.exec(insertToken+", (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", append(tokenArgs(access), tokenArgs(refresh)...)...)
	return err
}

// MarkTokenUsed notes the first use of an access token. Later calls change nothing.
func (tx *Tx) MarkTokenUsed(hash model.TokenHash, at time.Time) error {
	_, err := tx.exec("UPDATE tokens SET used_at = ?2 WHERE hash = ?1 AND used_at IS NULL", hash[:], micros(at))
	return err
}

// GenerationUsedAt returns the time at which a token of a generation was first used, as far as rows still
// tell; zero if none was. The first token of the next generation was created when a refresh token of
// this one was first presented.
func (tx *Tx) GenerationUsedAt(s model.Session, generation int64) (time.Time, error) {
	access, refresh := s.Kind.Tokens()
	return one(tx, func(s scanner) (t time.Time, err error) { return t, s.Scan(timeInto{&t}) },
		`SELECT MIN(at) FROM (
			SELECT used_at AS at FROM tokens WHERE session_id = ?1 AND kind = ?3 AND generation = ?2
			UNION ALL SELECT created_at FROM tokens WHERE session_id = ?1 AND kind = ?4 AND generation = ?2 + 1)`,
		s.ID, generation, access, refresh)
}

// Consumed reports whether a token that a refresh token minted has been used: the access token was
// seen, or the refresh token has minted in turn.
func (tx *Tx) Consumed(s model.Session, t model.Token) (bool, error) {
	access, refresh := s.Kind.Tokens()
	return one(tx, func(s scanner) (consumed bool, err error) { return consumed, s.Scan(&consumed) },
		`SELECT EXISTS (SELECT 1 FROM tokens WHERE session_id = ?1 AND kind = ?4 AND generation = ?2 + 1 AND parent = ?3 AND used_at IS NOT NULL)
		OR EXISTS (SELECT 1 FROM tokens child JOIN tokens grandchild ON grandchild.parent = child.hash
			AND grandchild.session_id = ?1 AND grandchild.kind = ?5 AND grandchild.generation = ?2 + 2
			WHERE child.session_id = ?1 AND child.kind = ?5 AND child.generation = ?2 + 1 AND child.parent = ?3)`,
		s.ID, t.Generation, t.Hash[:], access, refresh)
}

// Parted reports whether a pair of the generation of a refresh token was used that another token minted: two lines of
// refreshes have come as far. A parent that is not known tells nothing.
func (tx *Tx) Parted(s model.Session, t model.Token) (bool, error) {
	if t.Parent == (model.TokenHash{}) {
		return false, nil
	}
	access, refresh := s.Kind.Tokens()
	return one(tx, func(s scanner) (parted bool, err error) { return parted, s.Scan(&parted) },
		`SELECT EXISTS (SELECT 1 FROM tokens WHERE session_id = ?1 AND kind = ?4 AND generation = ?2 AND parent <> ?3 AND used_at IS NOT NULL)
		OR EXISTS (SELECT 1 FROM tokens other JOIN tokens child ON child.parent = other.hash
			AND child.session_id = ?1 AND child.kind = ?5 AND child.generation = ?2 + 1
			WHERE other.session_id = ?1 AND other.kind = ?5 AND other.generation = ?2 AND other.parent <> ?3)`,
		s.ID, t.Generation, t.Parent[:], access, refresh)
}

// SessionTokens lists the tokens of a session, as far as tells how they follow from each other.
func (tx *Tx) SessionTokens(sessionID string) ([]model.Token, error) {
	return many(tx, func(s scanner) (t model.Token, err error) {
		return t, s.Scan(hashInto{&t.Hash}, &t.Kind, &t.Pair, hashInto{&t.Parent}, timeInto{&t.CreatedAt}, timeInto{&t.UsedAt}, placesInto{&t.Places})
	}, "SELECT hash, kind, pair, parent, created_at, used_at, places FROM tokens WHERE session_id = ?1", sessionID)
}

// TrimSiblings deletes the oldest pairs of a generation of which no token was used, so that keep of
// them remain.
func (tx *Tx) TrimSiblings(s model.Session, generation int64, keep int) error {
	access, refresh := s.Kind.Tokens()
	_, err := tx.exec(`DELETE FROM tokens WHERE session_id = ?1 AND kind IN (?4, ?5) AND generation = ?2 AND pair IN (
		SELECT pair FROM tokens sibling WHERE session_id = ?1 AND kind IN (?4, ?5) AND generation = ?2
		GROUP BY pair HAVING MAX(used_at) IS NULL AND 0 = MAX(CASE WHEN EXISTS (SELECT 1 FROM tokens child
			WHERE child.session_id = ?1 AND child.kind = ?5 AND child.generation = ?2 + 1 AND child.parent = sibling.hash) THEN 1 ELSE 0 END)
		ORDER BY pair DESC`+beyond+`?3)`, s.ID, generation, keep, access, refresh)
	return err
}

// isAccess is the condition of access tokens, whatever the session.
var isAccess = func() string {
	var kinds []string
	for _, kind := range model.AccessKinds() {
		kinds = append(kinds, "'"+string(kind)+"'")
	}
	return "kind IN (" + strings.Join(kinds, ", ") + ")"
}()

// LiveAccessTokens lists the access tokens of a session that have not expired, with hash and localpart alone.
func (tx *Tx) LiveAccessTokens(sessionID string) ([]model.Token, error) {
	return many(tx, func(s scanner) (t model.Token, err error) { return t, s.Scan(hashInto{&t.Hash}, &t.Localpart) },
		"SELECT hash, localpart FROM tokens WHERE session_id = ?1 AND "+isAccess+" AND (expires_at IS NULL OR expires_at > ?2)", sessionID, micros(tx.Now))
}

// ExpireTokens ends the life of all tokens of a session and keeps their rows, which tell that they were given out.
func (tx *Tx) ExpireTokens(sessionID string) error {
	_, err := tx.exec("UPDATE tokens SET expires_at = ?2 WHERE session_id = ?1 AND (expires_at IS NULL OR expires_at > ?2)", sessionID, micros(tx.Now))
	return err
}

// DeleteTokens removes all tokens of a session.
func (tx *Tx) DeleteTokens(sessionID string) error {
	_, err := tx.exec("DELETE FROM tokens WHERE session_id = ?1", sessionID)
	return err
}
