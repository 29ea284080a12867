package grant

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"regexp"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Exchange is a code that a client presents.
type Exchange struct {
	Client      model.Client
	Code        string
	RedirectURI string
	Verifier    string
	Origin      model.Origin
}

func invalidGrant() error { return model.NewError(model.InvalidGrant) }

// Exchange turns a code into a session. Errors: InvalidGrant for a code that is unknown, over, used, or
// another client's, and for a wrong redirect URI or verifier, which spoil a code that was not used yet
// (TOK-9, TOK-13); of kind Unavailable if the homeserver does not answer, after which the same code works (TOK-15).
func (g *Grants) Exchange(ctx context.Context, e Exchange) (model.Session, session.Tokens, error) {
	x := exchange{grants: g, Exchange: e}
	if err := g.config.Store.Update(ctx, x.judge); err != nil {
		return model.Session{}, session.Tokens{}, err
	}
	if x.answer != nil {
		return model.Session{}, session.Tokens{}, x.answer
	}
	r := x.found.Request
	begun, tokens, err := g.config.Sessions.Start(ctx, session.Start{
		Kind: model.OAuthSession, User: x.user, DeviceID: r.DeviceID, NoDevice: r.DeviceID == "", DeviceName: e.Client.DeviceName(),
		Scope: r.Scope, Refreshable: true, ClientID: e.Client.ID, BrowserSessionID: x.found.BrowserSessionID,
		Origin: e.Origin, Consume: x.consume,
	})
	if err != nil {
		return model.Session{}, session.Tokens{}, asGrant(err)
	}
	return begun, tokens, nil
}

// exchange is one exchange on its way. What it decides is in answer: a code that is spoiled must be
// committed although the client is refused.
type exchange struct {
	Exchange
	grants *Grants
	found  model.Authorization
	user   model.User
	answer error
}

func (x *exchange) judge(tx *store.Tx) (err error) {
	x.answer = invalidGrant()
	x.found, err = tx.AuthorizationByCode(model.HashToken(x.Code))
	switch {
	case errors.Is(err, model.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	used, proves := !x.found.ConsumedAt.IsZero(), x.proves()
	switch {
	case used && proves:
		return x.replayed(tx)
	case used, !tx.Now.Before(x.found.CodeExpiresAt):
		return nil
	case !proves:
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

// proves reports whether the code comes from the client that it was given to: with its redirect URI, and with
// the verifier that nobody else knows. Codes stand in addresses, and so in histories and logs; whoever read
// one there has shown no more than that.
func (x *exchange) proves() bool {
	r := x.found.Request
	return x.found.ClientID == x.Client.ID && r.RedirectURI == x.RedirectURI && verifies(x.Verifier, r.Challenge)
}

// mayBegin judges again what may have changed since the approval. A code does not outlive the browser
// session that approved it: whoever throws an intruder's browser out, or changes the password, must not
// meet a session that the intruder had up the sleeve. Only who signed in anew in the same browser meant
// no such thing, and idle ones did nothing wrong.
func (x *exchange) mayBegin(tx *store.Tx) error {
	if err := x.grants.mayApprove(tx, x.found.UserID, x.found.Request.Scope); err != nil {
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

// asGrant turns what was lost since the approval into the words of the token endpoint. A lock passes,
// and so the code keeps its worth.
func asGrant(err error) error {
	if e := model.AsError(err); e.Code == model.UserDeactivated || e.Code == model.AccessDenied {
		return invalidGrant()
	}
	return err
}

// doubleSubmit is how long after its use a code may come again without harm: a client that was slow to
// hear the answer asks twice. It gets nothing, and its session lives on.
const doubleSubmit = 20 * time.Second

// replayed ends the session that a code began if the code comes again with all that it was used with:
// somebody else has that too (TOK-12, RFC 6749 section 10.5). Where less comes with it nothing ends: else
// whoever found a code could sign its owner out, and with them their encryption keys.
func (x *exchange) replayed(tx *store.Tx) error {
	if x.found.SessionID == "" || tx.Now.Sub(x.found.ConsumedAt).Abs() < doubleSubmit {
		return nil
	}
	return x.grants.config.Sessions.EndStolen(tx, x.found.SessionID, model.EndCodeReplay, x.Origin.IP)
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

// verifier is the syntax of RFC 7636 section 4.1 (TOK-10).
var verifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// verifies checks the proof of RFC 7636 section 4.6.
func verifies(given, challenge string) bool {
	if !verifier.MatchString(given) || challenge == "" {
		return false
	}
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}
