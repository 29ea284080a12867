package session

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/fault"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// refused is the answer to a refresh token that mints nothing any more (REF-7).
func refused() error { return &model.Error{Kind: model.Unauthenticated, Code: model.RefreshRefused} }

// Refresh mints a new pair for a refresh token of the given kind. The pair is durable before it is
// returned (REF-16). Its errors: RefreshRefused for a token that is unknown, replayed or of an ended
// session; RefreshPassed for one whose turn is over while the session lives on; UserLocked for a locked user, whose
// tokens keep their worth (MOD-6). A token of another kind is refused and harms nothing (LEG-36).
func (s *Sessions) Refresh(ctx context.Context, kind model.TokenKind, token string, origin Origin) (Tokens, error) {
	if found, ok := model.ParseToken(token); !ok || found != kind {
		return Tokens{}, refused()
	}
	r := rotation{sessions: s, origin: origin, hash: model.HashToken(token)}
	if err := s.Store.Update(ctx, r.run); err != nil {
		return Tokens{}, err
	}
	fault.Point("refresh-after-commit")
	return r.tokens, r.answer
}

// rotation is one refresh on its way through a transaction. What it decides is in answer: a replay
// must be committed although the client is refused.
type rotation struct {
	sessions *Sessions
	origin   Origin
	hash     model.TokenHash

	tokens Tokens
	answer error
}

func (r *rotation) run(tx *store.Tx) error {
	p, err := tx.Presented(r.hash)
	if errors.Is(err, model.ErrNotFound) {
		r.answer = refused()
		return nil
	}
	if err != nil {
		return err
	}
	written, err := r.sessions.Registry.writeUses(tx, p.Session.ID)
	if err != nil {
		return err
	}
	if written {
		// What was just written may have consumed this token.
		if p, err = tx.Presented(r.hash); err != nil {
			return err
		}
	}
	if r.sessions.Registry.Locked(p.Token.UserID) {
		r.answer = &model.Error{Kind: model.Unauthenticated, Code: model.UserLocked}
		return nil
	}
	state, err := stateOf(tx, p)
	if err != nil {
		return err
	}
	switch judge(state) {
	case replay:
		r.answer = refused()
		r.sessions.Logger.Warn("a consumed refresh token was presented again; its session is ended",
			"session_id", p.Session.ID, "user_id", p.Session.UserID, "client_ip", r.origin.IP)
		return r.sessions.End(tx, p.Session, model.EndReplay)
	case refuse:
		r.answer = &model.Error{Kind: model.Unauthenticated, Code: model.RefreshPassed}
		return nil
	}
	return r.mint(tx, p)
}

// stateOf reads what the verdict depends upon.
func stateOf(tx *store.Tx, p store.Presented) (state presented, err error) {
	state.Now = tx.Now
	if p.Session.UsedGeneration <= p.Token.Generation {
		return state, nil
	}
	if state.SuccessorUsed, err = tx.GenerationUsedAt(p.Session.ID, p.Token.Generation+1); err != nil {
		return state, err
	}
	state.SuccessorPassed = state.SuccessorUsed.IsZero()
	state.Consumed, err = tx.Consumed(p.Token)
	return state, err
}

// activityGrain is the resolution at which a refresh notes activity.
const activityGrain = time.Minute

// mint makes the successor pair. Its rows say that this token was presented, and when.
func (r *rotation) mint(tx *store.Tx, p store.Presented) (err error) {
	if r.tokens, err = mintPair(tx, p.Session, p.Token.Localpart, &p.Token, r.sessions.AccessLife); err != nil {
		return err
	}
	next := p.Token.Generation + 1
	if p.Session.Generation >= next {
		// Not the first of its generation: there may be too many now.
		if err := tx.TrimSiblings(p.Session.ID, next, siblings); err != nil {
			return err
		}
	}
	if tx.Now.Sub(p.Session.LastActiveAt).Abs() < activityGrain {
		return nil
	}
	return tx.TouchSession(p.Session.ID, tx.Now, r.origin.IP)
}
