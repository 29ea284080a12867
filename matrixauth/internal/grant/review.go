package grant

import (
	"errors"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Visitor is a browser with the user who is signed in there.
type Visitor struct {
	model.BrowserSession
	// Value is the value of the browser's cookie, from which its codes follow.
	Value string
}

// Review is what a user is to be asked about a request, by the state of things.
type Review struct {
	Pending
	// Remembered reports whether the user granted this before and need not be asked again.
	Remembered bool
	// Replaces reports whether another client's session has the device and would end (SCOPE-11).
	Replaces bool
}

// Review looks at a pending request with the eyes of the user who is signed in. Its errors: LoginRequired if the user
// has to prove again who they are; UserLocked, UserDeactivated; AccessDenied if the user may not administer Synapse and
// the client asks for that.
func (g *Grants) Review(tx *store.Tx, p Pending, v Visitor) (r Review, err error) {
	r.Pending = p
	if r.NeedsSignIn(v.BrowserSession, tx.Now) {
		return r, model.NewError(model.LoginRequired)
	}
	if err := g.mayApprove(tx, v.UserID, r.Asked.Scope); err != nil {
		return r, err
	}
	if r.Replaces, err = g.replaces(tx, r.Pending, v.UserID); err != nil {
		return r, err
	}
	place, err := g.remembered(r.Pending)
	if err != nil || place == "" || r.Asked.Consent || r.Asked.Select || r.Asked.Create || r.Replaces {
		return r, err
	}
	granted, err := tx.Consented(v.UserID, r.Client.ID, place)
	r.Remembered = granted != "" && within(model.RememberedScope(r.Asked.Scope), granted)
	return r, err
}

// reviewed is Review of a request by its id, with RequestExpired if that waits for nobody.
func (g *Grants) reviewed(tx *store.Tx, id string, v Visitor) (Review, error) {
	p, err := g.Pending(tx, id)
	if err != nil {
		return Review{Pending: p}, err
	}
	return g.Review(tx, p, v)
}

// mayApprove checks the user: one who is locked or deactivated cannot complete an authorization
// (AUTHZ-30), and administration is for those whom the operator gave it (SCOPE-13).
func (g *Grants) mayApprove(tx *store.Tx, userID, scope string) error {
	user, err := tx.User(userID)
	if err == nil {
		err = user.MayAct()
	}
	if err != nil {
		return err
	}
	if model.Administers(scope) && !user.Admin {
		return model.Errorf(model.AccessDenied, "this account may not administer the homeserver")
	}
	return nil
}

func (g *Grants) replaces(tx *store.Tx, p Pending, userID string) (bool, error) {
	live, err := tx.LiveSessionOnDevice(userID, p.Asked.DeviceID)
	if errors.Is(err, model.ErrNotFound) {
		return false, nil
	}
	return live.ClientID != p.ClientID, err
}

// remembered returns the place for which a consent to a request may stand for later ones; empty if each must ask, as
// for administration (SCOPE-13).
func (g *Grants) remembered(p Pending) (place string, err error) {
	d, err := g.delivery(p.Delivery)
	if err != nil || !model.Rememberable(p.Asked.Scope) {
		return "", err
	}
	return d.place(p.Client, p.Delivery), nil
}

// within reports whether a scope holds nothing that another lacks.
func within(scope, other string) bool {
	for token := range strings.FieldsSeq(scope) {
		if !model.HasScope(other, token) {
			return false
		}
	}
	return true
}
