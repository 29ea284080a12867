package grant

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Exchange is what a client presents for its tokens.
type Exchange struct {
	// Delivery is the way on which it had its answer. A code of another one is unknown.
	Delivery model.DeliveryKind
	Client   model.Client
	Code     string
	// RedirectURI and Verifier go with a code that came ByRedirect.
	RedirectURI string
	Verifier    string
	Source      model.Source
}

func invalidGrant() error { return model.NewError(model.InvalidGrant) }

// Exchange turns a code into a session. Errors: InvalidGrant for a code that is unknown, over, used, or
// another client's, and for a wrong redirect URI or verifier, which spoil a code that was not used yet
// (TOK-9, TOK-13); of kind Unavailable if the homeserver does not answer, after which the same code works (TOK-15).
func (g *Grants) Exchange(ctx context.Context, e Exchange) (model.Session, session.Tokens, error) {
	x := exchange{grants: g, Exchange: e}
	if err := g.config.Store.Update(ctx, x.check); err != nil {
		return model.Session{}, session.Tokens{}, err
	}
	if x.answer != nil {
		return model.Session{}, session.Tokens{}, x.answer
	}
	start := x.delivery.session(x.found, e)
	start.User, start.BrowserSessionID, start.Source, start.Consume = x.user, x.found.BrowserSessionID, e.Source, x.consume
	begun, tokens, err := g.config.Sessions.Start(ctx, start)
	if err != nil {
		return model.Session{}, session.Tokens{}, asGrant(err)
	}
	return begun, tokens, nil
}

// exchange is one exchange on its way. What it decides is in answer: a code that is spoiled must be
// committed although the client is refused.
type exchange struct {
	Exchange
	grants   *Grants
	delivery delivery
	found    model.Authorization
	user     model.User
	answer   error
}

// check looks the code up and decides what the client is told. A code that is spoiled is consumed here.
func (x *exchange) check(tx *store.Tx) (err error) {
	x.answer = invalidGrant()
	x.found, err = tx.AuthorizationByCode(model.HashToken(x.Code))
	switch {
	case errors.Is(err, model.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	if x.found.Delivery.Kind != x.Exchange.Delivery {
		return nil
	}
	if x.delivery, err = x.grants.delivery(x.found.Delivery); err != nil {
		return err
	}
	proof := x.delivery.verify(tx, x.found, x.Exchange)
	if proof != nil && !errors.Is(proof, errUnproven) {
		x.answer = proof
		return internal(proof)
	}
	used := !x.found.ConsumedAt.IsZero()
	switch {
	case used && proof == nil:
		return x.replayed(tx)
	case used, !x.found.Answered(), !tx.Now.Before(x.found.CodeExpiresAt):
		return nil
	case proof != nil:
		_, err := tx.ConsumeAuthorization(x.found.ID, "")
		return err
	}
	if x.user, err = tx.User(x.found.UserID); err != nil {
		return err
	}
	if err := x.mayBegin(tx); err != nil {
		x.answer = asGrant(err)
		return nil
	}
	x.answer = nil
	return nil
}

// internal returns an error if nothing follows from it, so that nothing may be committed.
func internal(err error) error {
	if model.Inconclusive(err) {
		return err
	}
	return nil
}

// mayBegin checks again what may have changed since the approval. A code does not outlive the browser session that
// approved it: whoever ends an intruder's browser session, or changes the password, must not find a new session that
// the intruder had prepared. A browser session that ended by another sign-in in the same browser, or by idling, leaves
// its codes valid.
func (x *exchange) mayBegin(tx *store.Tx) error {
	if err := x.grants.mayApprove(tx, x.found.UserID, x.found.Asked.Scope); err != nil {
		return err
	}
	browser, err := tx.BrowserSession(x.found.BrowserSessionID)
	if errors.Is(err, model.ErrNotFound) {
		return invalidGrant()
	}
	if err == nil && browser.Ended() && browser.EndReason != model.EndReplaced && browser.EndReason != model.EndIdle {
		return invalidGrant()
	}
	return err
}

// asGrant turns what was lost since the approval into an error of the token endpoint. A lock is temporary, so the code
// stays valid.
func asGrant(err error) error {
	if e := model.AsError(err); e.Code == model.UserDeactivated || e.Code == model.AccessDenied {
		return invalidGrant()
	}
	return err
}

// replayed ends the session that a code began if the code comes again with all that it was used with:
// somebody else has that too (TOK-12, RFC 6749 section 10.5). Where less comes with it nothing ends: else
// whoever found a code could sign its owner out, and with them their encryption keys.
func (x *exchange) replayed(tx *store.Tx) error {
	if x.found.SessionID == "" || tx.Now.Sub(x.found.ConsumedAt).Abs() < bound.DoubleSubmit {
		return nil
	}
	return x.grants.config.Sessions.EndStolen(tx, x.found.SessionID, model.EndCodeReplay, x.Source.IP)
}

// consume uses up the code in the transaction that starts the session: of two exchanges one succeeds
// (TOK-12).
func (x *exchange) consume(tx *store.Tx, begun model.Session) error {
	if err := x.mayBegin(tx); err != nil {
		return asGrant(err)
	}
	first, err := tx.ConsumeAuthorization(x.found.ID, begun.ID)
	if err != nil {
		return err
	}
	if !first {
		return invalidGrant()
	}
	return tx.ProveClient(x.Client.ID)
}
