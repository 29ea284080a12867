package grant

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// codeLife is how long a client may take to exchange a code: enough for a phone that changes between
// apps, and for a homeserver that restarts (AUTHZ-14).
const codeLife = 5 * time.Minute

// keepAnswered is how much longer than its code a request is kept, to recognise a code that comes again.
const keepAnswered = 24 * time.Hour

// Review is what a user is to be asked about a request, by the state of things.
type Review struct {
	Pending
	// Remembered tells that the user granted this before and need not be asked again.
	Remembered bool
	// Replaces tells that another client's session has the device and would end (SCOPE-11).
	Replaces bool
}

// Review looks at a pending request with the eyes of the user who is signed in. Its errors:
// RequestExpired; LoginRequired if the user has to prove again who they are; UserLocked, UserDeactivated;
// AccessDenied if the user may not administer Synapse and the client asks for that.
func (g *Grants) Review(ctx context.Context, id string, b model.BrowserSession) (r Review, err error) {
	err = g.Store.View(ctx, func(tx *store.Tx) error {
		r, err = g.review(tx, id, b)
		return err
	})
	return r, err
}

func (g *Grants) review(tx *store.Tx, id string, b model.BrowserSession) (r Review, err error) {
	if r.Pending, err = g.pendingIn(tx, id); err != nil {
		return r, err
	}
	if r.NeedsSignIn(b, tx.Now) {
		return r, &model.Error{Kind: model.Unauthenticated, Code: model.LoginRequired}
	}
	if err := g.mayApprove(tx, b.UserID, r.Request.Scope); err != nil {
		return r, err
	}
	if r.Replaces, err = g.replaces(tx, r.Pending, b.UserID); err != nil {
		return r, err
	}
	asks := r.Request.Consent || r.Request.Select || r.Request.Create || r.Replaces
	if asks || !rememberable(r.Client, r.Request) {
		return r, nil
	}
	granted, err := tx.Consented(b.UserID, r.Client.ID, r.Request.RedirectURI)
	r.Remembered = granted != "" && within(withoutDevice(r.Request.Scope), granted)
	return r, err
}

// mayApprove judges the user: one who is locked or deactivated cannot complete an authorization
// (AUTHZ-30), and administration is for those whom the operator gave it (SCOPE-13).
func (g *Grants) mayApprove(tx *store.Tx, userID, scope string) error {
	user, err := tx.User(userID)
	switch {
	case err != nil:
		return err
	case user.Deactivated():
		return &model.Error{Kind: model.Denied, Code: model.UserDeactivated}
	case user.Locked():
		return &model.Error{Kind: model.Unauthenticated, Code: model.UserLocked}
	case model.HasScope(scope, model.ScopeSynapseAdmin) && !user.Admin:
		return &model.Error{Kind: model.Denied, Code: model.AccessDenied, Text: "this account may not administer the homeserver"}
	}
	return nil
}

func (g *Grants) replaces(tx *store.Tx, p Pending, userID string) (bool, error) {
	live, err := tx.LiveSessionOnDevice(userID, p.Request.DeviceID)
	if errors.Is(err, model.ErrNotFound) {
		return false, nil
	}
	return live.ClientID != p.ClientID, err
}

// rememberable tells whether a consent may stand for later ones. A web client is known by its https
// address, which nobody else answers at; any app on a machine can claim a scheme or a loopback port, so
// native clients ask each time (AUTHZ-18, AMB-19). So does who asks for administration.
func rememberable(c model.Client, r model.AuthorizationRequest) bool {
	return c.Metadata.ApplicationType == model.WebApplication && strings.HasPrefix(r.RedirectURI, "https://") &&
		!model.HasScope(r.Scope, model.ScopeSynapseAdmin)
}

func within(tokens []string, scope string) bool {
	return !slices.ContainsFunc(tokens, func(token string) bool { return !model.HasScope(scope, token) })
}

// Approve notes the consent of the user who is signed in and gives the code for the client. Errors are
// those of Review. Of two answers to one request the second finds it expired.
func (g *Grants) Approve(ctx context.Context, id string, b model.BrowserSession) (r Review, code string, err error) {
	err = g.Store.Update(ctx, func(tx *store.Tx) error {
		if r, err = g.review(tx, id, b); err != nil {
			return err
		}
		code, err = g.approve(tx, r, b)
		return err
	})
	return r, code, err
}

// ApproveRemembered is Approve for a user who is not asked again. It gives ConsentRequired if they must
// be: what Review said of that may have changed since.
func (g *Grants) ApproveRemembered(ctx context.Context, id string, b model.BrowserSession) (r Review, code string, err error) {
	err = g.Store.Update(ctx, func(tx *store.Tx) error {
		if r, err = g.review(tx, id, b); err != nil {
			return err
		}
		if !r.Remembered {
			return &model.Error{Kind: model.Denied, Code: model.ConsentRequired}
		}
		code, err = g.approve(tx, r, b)
		return err
	})
	return r, code, err
}

func (g *Grants) approve(tx *store.Tx, r Review, b model.BrowserSession) (code string, err error) {
	code = model.NewCode()
	a := r.Authorization
	a.UserID, a.BrowserSessionID, a.CodeHash = b.UserID, b.ID, model.HashToken(code)
	a.CodeExpiresAt = tx.Now.Add(codeLife)
	a.ExpiresAt = a.CodeExpiresAt.Add(keepAnswered)
	first, err := tx.ApproveAuthorization(a)
	if err != nil {
		return "", err
	}
	if !first {
		return "", requestExpired()
	}
	return code, g.remember(tx, r, b.UserID)
}

func (g *Grants) remember(tx *store.Tx, r Review, userID string) error {
	if err := tx.TouchClient(r.Client.ID); err != nil {
		return err
	}
	if r.Remembered || !rememberable(r.Client, r.Request) {
		return nil
	}
	return tx.SaveConsent(model.Consent{
		UserID: userID, ClientID: r.Client.ID, RedirectURI: r.Request.RedirectURI, Scope: strings.Join(withoutDevice(r.Request.Scope), " "),
	})
}

// Decline closes a pending request without a code (AUTHZ-20).
func (g *Grants) Decline(ctx context.Context, id string) (p Pending, err error) {
	err = g.Store.Update(ctx, func(tx *store.Tx) error {
		if p, err = g.pendingIn(tx, id); err != nil {
			return err
		}
		first, err := tx.ConsumeAuthorization(id, "")
		if err == nil && !first {
			err = requestExpired()
		}
		return err
	})
	return p, err
}
