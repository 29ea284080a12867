package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/fault"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// refused is the answer to a refresh token that mints nothing any more (REF-7).
func refused() error { return model.NewError(model.RefreshRefused) }

// Refresh is a refresh token that was presented.
type Refresh struct {
	Token string
	// Kind is that of the sessions which the asking API refreshes. A token of another kind is refused
	// and harms nothing (LEG-36).
	Kind model.SessionKind
	// ClientID is the client that presents the token, and must be the one that it was given to (REF-1).
	ClientID string
	// Scope narrows what the new access token grants; empty leaves it as it is (SCOPE-14).
	Scope  string
	Source model.Source
}

// Refresh mints a new pair for a refresh token. The pair is durable before it is returned (REF-16). Its errors:
// RefreshRefused for a token that is unknown, of another client, replayed or of an ended session; RefreshPassed for
// one that mints no more while the session lives on; UserLocked for a locked user, whose tokens stay valid (MOD-6);
// InvalidScope for a scope that was not granted; and one of kind Unavailable for a session that refreshes without a
// pause.
func (s *Sessions) Refresh(ctx context.Context, p Refresh) (Tokens, error) {
	_, kind := p.Kind.Tokens()
	if found, ok := model.ParseToken(p.Token); !ok || found != kind {
		return Tokens{}, refused()
	}
	r := rotation{sessions: s, asked: p, hash: model.HashToken(p.Token)}
	if err := s.config.Store.Update(ctx, r.run); err != nil {
		return Tokens{}, err
	}
	fault.Point("refresh-after-commit")
	if r.answer == nil && s.config.Refreshed != nil {
		s.config.Refreshed(r.userID)
	}
	return r.tokens, r.answer
}

// rotation is one refresh on its way through a transaction. What it decides is in answer: a replay
// must be committed although the client is refused.
type rotation struct {
	sessions *Sessions
	asked    Refresh
	hash     model.TokenHash

	// scope is what the new access token grants; empty for all that the session has.
	scope  string
	userID string
	tokens Tokens
	answer error
	// counted tells that the refresh was counted, and limited that it was one too many.
	counted bool
	limited error
}

// resolveRefresh finds a refresh token and the live session that it belongs to.
func resolveRefresh(tx *store.Tx, hash model.TokenHash) (token model.Token, session model.Session, err error) {
	if token, err = tx.RefreshToken(hash); err != nil {
		return token, session, err
	}
	session, err = tx.LiveSession(token.SessionID)
	_, token.Kind = session.Kind.Tokens()
	token.UserID, token.DeviceID, token.Scope, token.ClientID = session.UserID, session.DeviceID, session.Scope, session.ClientID
	return token, session, err
}

func (r *rotation) run(tx *store.Tx) error {
	token, session, err := resolveRefresh(tx, r.hash)
	if errors.Is(err, model.ErrNotFound) {
		token, session, err = r.sessions.findRowless(tx, r.asked.Token)
	}
	if errors.Is(err, model.ErrNotFound) {
		r.answer = refused()
		return nil
	}
	if err != nil {
		return err
	}
	if r.scope, r.answer = r.narrow(session); r.answer != nil {
		return nil
	}
	written, err := r.sessions.config.Registry.writeUses(tx, session.ID)
	if err != nil {
		return err
	}
	if written {
		// What was just written may have consumed this token.
		if session, err = tx.LiveSession(session.ID); err != nil {
			return err
		}
	}
	if r.answer = r.sessions.mayUse(token); r.answer != nil {
		return nil
	}
	use, err := useOf(tx, session, token)
	if err != nil {
		return err
	}
	if token.Rowless {
		return r.runRowless(tx, session, token, use)
	}
	switch use.verdict() {
	case replay:
		r.answer = refused()
		return r.sessions.EndStolen(tx, session.ID, model.EndReplay, r.asked.Source.IP)
	case refuse:
		r.answer = model.NewError(model.RefreshPassed)
		return nil
	}
	return r.mint(tx, session, token)
}

// runRowless goes on with a token that has no row. If the database may never have had one, nobody knows what else was
// minted by it, and it mints. If not, its row was tidied away as its turn was long over.
func (r *rotation) runRowless(tx *store.Tx, session model.Session, token model.Token, use successorUse) error {
	if use.verdict() != mint {
		never, err := neverHad(tx, token.CreatedAt)
		if err != nil {
			return err
		}
		if !never {
			r.answer = refused()
			return nil
		}
	}
	if err := restore(tx, token); err != nil {
		return err
	}
	session, err := tx.LiveSession(session.ID)
	if err != nil {
		return err
	}
	tx.AfterCommit(func() {
		r.sessions.config.Logger.Info("a refresh token that the database had forgotten was taken", model.LogUser(token.Localpart, r.sessions.config.ServerName, token.UserID), "session_id", session.ID,
			"generation", token.Generation, "minted_at", token.CreatedAt)
	})
	return r.mint(tx, session, token)
}

// mayMint bounds how often a session refreshes, as each refresh keeps two rows for an hour. The limit is far above
// what any working client does. A refusal is temporary and changes nothing: the same token works a moment later, so
// that nobody loses a session to a limit (REF-8, TOK-23). Only a refresh that would mint a pair counts: a limit must
// not hide a theft, and a token that mints no more must not use it up.
func (s *Sessions) mayMint(sessionID string) error {
	err := s.config.Limiter.Take(limit.Refreshes, sessionID, s.config.Refreshes)
	if err == nil {
		return nil
	}
	return model.Errorf(model.TemporarilyDown, "this session refreshes too often").WithRetry(model.AsError(err).Retry)
}

// narrow refuses what is not the asking client's to have, and returns the scope that it asks for, in the
// spelling in which it asks: a client that has learned the stable names since its sign-in may use them,
// and finds in the answer what it looks for (SCOPE-3, SCOPE-14). It comes before the token is judged, so
// that nobody can spoil the session of another client.
func (r *rotation) narrow(session model.Session) (scope string, err error) {
	if session.ClientID != r.asked.ClientID {
		return "", refused()
	}
	var kept []string
	for token := range strings.FieldsSeq(r.asked.Scope) {
		if _, _, known := model.FindScope(token); !known {
			continue // left out when it was asked for at first, and so it is now (SCOPE-8)
		}
		if !model.HasScope(session.Scope, token) {
			return "", model.Errorf(model.InvalidScope, "the scope was not granted to this session")
		}
		if !slices.Contains(kept, token) { // a scope is kept with each token, and no client makes it long
			kept = append(kept, token)
		}
	}
	return strings.Join(kept, " "), nil
}

// useOf reads what has become of the successors of a refresh token.
func useOf(tx *store.Tx, session model.Session, token model.Token) (use successorUse, err error) {
	use.Now = tx.Now
	if session.UsedGeneration <= token.Generation {
		return use, nil
	}
	if use.FirstAt, err = tx.GenerationUsedAt(session, token.Generation+1); err != nil {
		return use, err
	}
	use.Forgotten = use.FirstAt.IsZero()
	use.Own, err = tx.Consumed(session, token)
	return use, err
}

// activityGrain is the resolution at which a refresh notes activity.
const activityGrain = time.Minute

// mint makes the successor pair. Its rows say that this token was presented, and when.
func (r *rotation) mint(tx *store.Tx, session model.Session, token model.Token) (err error) {
	if !r.counted { // a transaction may run it twice
		r.counted, r.limited = true, r.sessions.mayMint(session.ID)
	}
	if r.limited != nil {
		return r.limited
	}
	r.userID = token.UserID
	if r.tokens, err = r.sessions.mintPair(tx, minting{
		session: session, localpart: token.Localpart, parent: &token, life: r.sessions.config.AccessLife, scope: r.scope,
	}); err != nil {
		return err
	}
	next := token.Generation + 1
	if session.Generation >= next {
		// Not the first of its generation: there may be too many now.
		if err := tx.TrimSiblings(session, next, bound.UnusedPairs); err != nil {
			return err
		}
	}
	moved, err := tx.NoteMove(token.UserID, r.asked.Source.IP, session.LastIP, token.CreatedAt)
	if err != nil || !moved && tx.Now.Sub(session.LastActiveAt).Abs() < activityGrain {
		return err
	}
	return tx.TouchSession(session.ID, tx.Now, r.asked.Source.IP)
}
