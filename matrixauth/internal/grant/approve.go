package grant

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Outcome is what came of a request that a browser answered.
type Outcome struct {
	Pending
	// Approved reports whether the user consented; if not, they declined.
	Approved bool
	// Code is what the browser carries to the client; empty if there is nothing to carry.
	Code string
	// Done reports whether the client had its answer.
	Done bool
}

// Approve notes the consent of the user who is signed in and prepares the answer for the client. Errors are
// those of Review. A browser whose answer was lost, or was given twice, gets the same outcome again, even
// if it declined the first time: the client may know of that already. To any other browser an answered
// request has expired.
func (g *Grants) Approve(tx *store.Tx, id string, v Visitor) (Outcome, error) {
	r, err := g.reviewed(tx, id, v)
	r.Remembered = false // the user was asked
	return g.settle(tx, r, v, err)
}

// ApproveRemembered is Approve for a user who is not asked again. It returns ConsentRequired if they must
// be: what Review said of that may have changed since.
func (g *Grants) ApproveRemembered(tx *store.Tx, id string, v Visitor) (Outcome, error) {
	r, err := g.reviewed(tx, id, v)
	if err == nil && !r.Remembered {
		return Outcome{}, model.NewError(model.ConsentRequired)
	}
	return g.settle(tx, r, v, err)
}

// settle approves what was reviewed, or finds the outcome of an earlier answer.
func (g *Grants) settle(tx *store.Tx, r Review, v Visitor, err error) (Outcome, error) {
	if errors.Is(err, model.RequestExpired) {
		return g.answered(tx, r.Authorization, v.Value)
	}
	o := Outcome{Pending: r.Pending}
	if err == nil {
		o.Code, err = g.approve(tx, r, v)
		o.Approved = err == nil
	}
	return o, err
}

func (g *Grants) approve(tx *store.Tx, r Review, v Visitor) (code string, err error) {
	d, err := g.delivery(r.Delivery)
	if err != nil {
		return "", err
	}
	answer := model.AnswerCode(v.Value, r.ID)
	a := r.Authorization
	a.UserID, a.BrowserSessionID, a.Remembered, a.AnswerHash = v.UserID, v.ID, r.Remembered, model.HashToken(answer)
	if err := d.approve(tx, &a, answer); err != nil {
		return "", err
	}
	a.ExpiresAt = a.CodeExpiresAt.Add(bound.KeepAnswered)
	first, err := tx.ApproveAuthorization(a)
	if err != nil {
		return "", err
	}
	if !first {
		return "", requestExpired()
	}
	return d.carried(answer), g.remember(tx, r, v.UserID)
}

func (g *Grants) remember(tx *store.Tx, r Review, userID string) error {
	if err := tx.ProveClient(r.Client.ID); err != nil {
		return err
	}
	if r.Remembered {
		return nil
	}
	place, err := g.remembered(r.Pending)
	if err != nil || place == "" {
		return err
	}
	return tx.SaveConsent(model.Consent{
		UserID: userID, ClientID: r.Client.ID, RedirectURI: place, Scope: model.RememberedScope(r.Asked.Scope),
	})
}

// Decline closes a request without a code (AUTHZ-20). value is the browser's. Of a browser that approved
// before, the later word counts as long as the code was not exchanged, and no consent is remembered. Again
// and again it returns the same outcome, and for any other browser that of Approve.
func (g *Grants) Decline(ctx context.Context, id, value string) (o Outcome, err error) {
	err = g.config.Store.Update(ctx, func(tx *store.Tx) error {
		if o.Pending, err = g.Pending(tx, id); errors.Is(err, model.RequestExpired) {
			o, err = g.answered(tx, o.Authorization, value)
		}
		if err != nil || o.Done || o.Declined() {
			return err
		}
		if o.Approved {
			o.Approved, o.Code = false, ""
			if _, err := tx.DeleteConsents(o.UserID, o.ClientID); err != nil {
				return err
			}
		}
		a := o.Authorization
		a.AnswerHash, a.CodeExpiresAt = model.HashToken(model.AnswerCode(value, id)), tx.Now.Add(bound.CodeLife)
		closed, err := tx.DeclineAuthorization(a)
		if err == nil && !closed {
			err = requestExpired()
		}
		return err
	})
	return o, err
}

// Answered finds what came of a request that the browser of a value answered before. For any other, and
// for one of which nothing is left to say, it returns an Error with code RequestExpired.
func (g *Grants) Answered(tx *store.Tx, id, value string) (Outcome, error) {
	a, err := tx.Authorization(id)
	if errors.Is(err, model.ErrNotFound) {
		return Outcome{}, requestExpired()
	}
	if err != nil {
		return Outcome{}, err
	}
	return g.answered(tx, a, value)
}

// answered is Answered for a request that was looked for, and is empty if there is none.
func (g *Grants) answered(tx *store.Tx, a model.Authorization, value string) (o Outcome, err error) {
	answer := model.AnswerCode(value, a.ID)
	if value == "" || a.AnswerHash != model.HashToken(answer) || !tx.Now.Before(a.ExpiresAt) {
		return o, requestExpired()
	}
	o.Authorization = a
	if o.Client, err = g.clientOf(tx, a); err != nil {
		return o, err
	}
	d, err := g.delivery(a.Delivery)
	if err != nil {
		return o, err
	}
	o.Approved, o.Done = !a.Declined(), a.SessionID != ""
	switch {
	case o.Done:
	case !tx.Now.Before(a.CodeExpiresAt), !a.ConsumedAt.IsZero() && !a.Declined():
		return o, requestExpired() // it was given to the client, and nothing came of it
	case !a.Declined():
		o.Code = d.carried(answer)
	}
	return o, nil
}
