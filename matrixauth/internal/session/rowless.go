package session

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/tokenkey"
)

// A database that went back in time, because a backup was restored or a machine rolled back, has no row of the tokens
// that were given out since. Who refreshed since then must not be told that they are signed out: clients destroy
// their keys upon it. So a token without a row is asked what it says of itself, and believed if that is proven.

// findRowless finds a token without a row by what it says of itself. Its errors: model.ErrNotFound for one that is
// worth nothing; one of kind Unavailable for one that may be, if only the database knew; EndedSoftly if that was settled.
func (s *Sessions) findRowless(tx *store.Tx, token string) (model.Token, model.Session, error) {
	proof := s.config.Keys.Check(token)
	switch proof.Standing {
	case tokenkey.Foreign:
		return model.Token{}, model.Session{}, s.unknownImport(tx, token)
	case tokenkey.Unproven:
		return model.Token{}, model.Session{}, unproven(tx, proof.Claims)
	}
	session, err := tx.Session(proof.Claims.SessionID)
	if errors.Is(err, model.ErrNotFound) {
		return model.Token{}, model.Session{}, unknownSession(tx, proof)
	}
	if err != nil {
		return model.Token{}, model.Session{}, err
	}
	access, refresh := session.Kind.Tokens()
	hard := session.Ended() && !session.EndedSoftly()
	if hard || !proof.Authentic(session.Seed) || proof.Kind != access && proof.Kind != refresh {
		return model.Token{}, model.Session{}, model.ErrNotFound
	}
	owner, err := tx.User(session.UserID)
	if err != nil {
		return model.Token{}, model.Session{}, err
	}
	found := model.Token{
		Hash: model.HashToken(token), Kind: proof.Kind, SessionID: session.ID, Generation: proof.Claims.Generation, CreatedAt: proof.Claims.MintedAt,
		UserID: session.UserID, Localpart: owner.Localpart, DeviceID: session.DeviceID, Scope: session.Scope, ClientID: session.ClientID,
		Rowless: true, Narrowed: proof.Claims.Narrowed, KnownGeneration: session.Generation,
	}
	switch {
	case session.Ended():
		found.ExpiresAt = session.EndedAt
	case proof.Kind == access:
		// One without an end would never be forgotten: it counts by its row alone.
		if found.ExpiresAt = proof.Claims.ExpiresAt(); found.ExpiresAt.IsZero() {
			return model.Token{}, model.Session{}, model.ErrNotFound
		}
	}
	return found, session, nil
}

// unproven is what becomes of a token that no key proves: the key may be gone together with the database. Anybody can
// make one, so that it waits only for so long, and until somebody has ended what is lost; then its client keeps what it has.
func unproven(tx *store.Tx, c model.Claims) error {
	forgotten, err := tx.InGap(c.MintedAt, time.Time{})
	if err != nil || !forgotten {
		return errOrNotFound(err)
	}
	since, err := tx.LostEnd()
	if err != nil {
		return err
	}
	if long := tx.Now.Add(-bound.KeepEndedSession); since.Before(long) {
		since = long
	}
	waits, err := tx.InGap(c.MintedAt, since)
	switch {
	case err != nil:
		return err
	case !waits:
		return endedSoftly()
	}
	return lost().WithCause(&lostSession{unproven: true})
}

// unknownSession is what becomes of a token that was made here for a session which the database does not know.
func unknownSession(tx *store.Tx, proof tokenkey.Proof) error {
	forgotten, err := neverHadSession(tx, proof.Claims)
	if err != nil || !forgotten {
		return errOrNotFound(err)
	}
	ended, err := tx.LostSessionEnded(proof.Claims.SessionID)
	if err != nil {
		return err
	}
	if ended {
		return endedSoftly()
	}
	return lost().WithCause(&lostSession{id: proof.Claims.SessionID, kind: ofToken(proof.Kind)})
}

// errOrNotFound returns an error, or ErrNotFound if there is none.
func errOrNotFound(err error) error {
	if err == nil {
		err = model.ErrNotFound
	}
	return err
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
	if tx.Now.Sub(model.IDTime(c.SessionID)) < bound.KeepEndedSession {
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

// withoutRow is findRowless outside of a transaction, with the errors of Find.
func (s *Sessions) withoutRow(token string) (found model.Token, err error) {
	if _, ours := model.ParseToken(token); !ours && s.config.Registry.back.at.Load() == nil {
		return model.Token{}, unknownToken() // without a look at the store
	}
	err = s.config.Store.View(context.Background(), func(tx *store.Tx) error {
		found, _, err = s.findRowless(tx, token)
		return err
	})
	if errors.Is(err, model.ErrNotFound) {
		return model.Token{}, unknownToken()
	}
	return found, err
}
