package session

import (
	"context"
	"errors"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/tokenkey"
)

// A database that went back in time, because a backup was restored or a machine rolled back, has no row of the tokens
// that were given out since. Who refreshed since then must not be told that they are signed out: clients destroy
// their keys upon it. So a token without a row is asked what it says of itself, and believed if that is proven.

// lostRetry is when a client whose session is lost may ask again: somebody has to put a database back.
const lostRetry = time.Minute

// lost is the answer to a token that was given out, and that the database may have forgotten: a passing condition, as
// nothing else keeps the client from signing out.
func lost() error {
	return model.Errorf(model.TemporarilyDown, "the server does not know this session at present; its owner may have restored a backup").WithRetry(lostRetry)
}

// findRowless finds a token without a row by what it says of itself. Its errors: model.ErrNotFound for one that is
// worth nothing; one of kind Unavailable for one that may be, if only the database knew.
func (s *Sessions) findRowless(tx *store.Tx, token string) (model.Token, model.Session, error) {
	proof := s.config.Keys.Check(token)
	switch proof.Standing {
	case tokenkey.Foreign:
		return model.Token{}, model.Session{}, model.ErrNotFound
	case tokenkey.Unproven:
		// The key may be gone together with the database.
		forgotten, err := tx.InGap(proof.Claims.MintedAt, tx.Now.Add(-bound.KeepEndedSession))
		return model.Token{}, model.Session{}, errOr(err, forgotten)
	}
	session, err := tx.Session(proof.Claims.SessionID)
	if errors.Is(err, model.ErrNotFound) {
		forgotten, err := neverHadSession(tx, proof.Claims)
		return model.Token{}, model.Session{}, errOr(err, forgotten)
	}
	if err != nil {
		return model.Token{}, model.Session{}, err
	}
	access, refresh := session.Kind.Tokens()
	if session.Ended() || !proof.Authentic(session.Seed) || proof.Kind != access && proof.Kind != refresh {
		return model.Token{}, model.Session{}, model.ErrNotFound
	}
	owner, err := tx.User(session.UserID)
	if err != nil {
		return model.Token{}, model.Session{}, err
	}
	found := model.Token{
		Hash: model.HashToken(token), Kind: proof.Kind, SessionID: session.ID, Generation: proof.Claims.Generation, CreatedAt: proof.Claims.MintedAt,
		UserID: session.UserID, Localpart: owner.Localpart, DeviceID: session.DeviceID, Scope: session.Scope, ClientID: session.ClientID,
		Rowless: true, Narrowed: proof.Claims.Narrowed,
	}
	if proof.Kind == access {
		// One without an end would never be forgotten: it counts by its row alone.
		if found.ExpiresAt = proof.Claims.ExpiresAt(); found.ExpiresAt.IsZero() {
			return model.Token{}, model.Session{}, model.ErrNotFound
		}
	}
	return found, session, nil
}

// errOr returns an error, or what becomes of a token that the database may have forgotten or not.
func errOr(err error, forgotten bool) error {
	switch {
	case err != nil:
		return err
	case forgotten:
		return lost()
	}
	return model.ErrNotFound
}

// neverHad reports whether the database may never have had a row of a token that it has not: it was given out while
// the database was not this one, or so lately that no row of its time was tidied away.
func neverHad(tx *store.Tx, mintedAt time.Time) (bool, error) {
	if tx.Now.Sub(mintedAt) < bound.KeepConsumedToken {
		return true, nil
	}
	return tx.InGap(mintedAt, time.Time{})
}

// neverHadSession is neverHad for a session that the database has not, by one of its tokens.
func neverHadSession(tx *store.Tx, c model.Claims) (bool, error) {
	id, err := ulid.ParseStrict(c.SessionID)
	if err != nil {
		return false, err
	}
	if tx.Now.Sub(ulid.Time(id.Time())) < bound.KeepEndedSession {
		return true, nil
	}
	return tx.InGap(c.MintedAt, time.Time{})
}

// restore writes the row of a token that has none, unless its session has ended since.
func restore(tx *store.Tx, t model.Token) error {
	session, lives, err := live(tx, t.SessionID)
	if err != nil || !lives {
		return err
	}
	if _, err := tx.Token(t.Hash); !errors.Is(err, model.ErrNotFound) {
		return err // it has come back meanwhile
	}
	// Whoever got the token had used the generation before.
	if t.Pair, err = tx.CountPair(session, t.Generation, max(0, t.Generation-1)); err != nil {
		return err
	}
	if t.Kind.Refresh() {
		t.UserID, t.DeviceID, t.Scope, t.ClientID = "", "", "", ""
	}
	return tx.InsertToken(t)
}

// CheckLost returns an error of kind Unavailable for a token that was given out, and that the database may have
// forgotten. It returns nil for any other, good or bad.
func (s *Sessions) CheckLost(token string) error {
	if _, err := s.Find(token); !errors.Is(err, model.UnknownToken) {
		return err
	}
	return nil
}

// byClaims is findRowless outside of a transaction, with the errors of Find.
func (s *Sessions) byClaims(token string) (found model.Token, err error) {
	err = s.config.Store.View(context.Background(), func(tx *store.Tx) error {
		found, _, err = s.findRowless(tx, token)
		return err
	})
	if errors.Is(err, model.ErrNotFound) {
		return model.Token{}, unknownToken()
	}
	return found, err
}
