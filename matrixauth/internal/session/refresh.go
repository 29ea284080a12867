package session

import (
	"context"
	"errors"

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
	token, err := tx.Token(r.hash)
	if errors.Is(err, model.ErrNotFound) {
		r.answer = refused()
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.sessions.Registry.writeUses(tx, token.SessionID); err != nil {
		return err
	}
	session, err := tx.Session(token.SessionID)
	if err != nil {
		return err
	}
	user, err := tx.User(token.UserID)
	if err != nil {
		return err
	}
	if user.Locked() {
		r.answer = mayStart(user)
		return nil
	}
	// What was just written may have consumed this token.
	if token, err = tx.Token(r.hash); err != nil {
		return err
	}
	used, err := tx.GenerationUsedAt(session.ID, token.Generation+1)
	if err != nil {
		return err
	}
	switch judge(presented{
		Consumed:        !token.ConsumedAt.IsZero(),
		SuccessorUsed:   used,
		SuccessorPassed: used.IsZero() && session.UsedGeneration > token.Generation,
		Now:             tx.Now,
	}) {
	case replay:
		r.answer = refused()
		r.sessions.Logger.Warn("a consumed refresh token was presented again; its session is ended",
			"session_id", session.ID, "user_id", session.UserID, "client_ip", r.origin.IP)
		return r.sessions.End(tx, session, model.EndReplay)
	case refuse:
		r.answer = &model.Error{Kind: model.Unauthenticated, Code: model.RefreshPassed}
		return nil
	}
	return r.mint(tx, session, token)
}

// mint makes the successor pair. Presenting the token is a use of its generation.
func (r *rotation) mint(tx *store.Tx, session model.Session, token model.Token) error {
	err := markUsed(tx, session.ID, token.Hash, use{parent: token.Parent, generation: token.Generation, at: tx.Now})
	if err != nil {
		return err
	}
	next := token.Generation + 1
	r.tokens, err = mintPair(tx, session, token.Localpart, token.Hash, next, r.sessions.AccessLife)
	if err != nil {
		return err
	}
	if err := tx.TrimSiblings(session.ID, next, siblings); err != nil {
		return err
	}
	return tx.TouchSession(session.ID, tx.Now, r.origin.IP)
}
