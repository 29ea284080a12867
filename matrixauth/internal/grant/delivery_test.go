package grant

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// byPoll is a delivery of another make than ByRedirect, as devices without a browser have it: the client has its
// secret from the beginning and presents it until its user answered, and the browser carries nothing.
const byPoll model.DeliveryKind = "poll"

// stillWaiting is what a client is told that polls before its user answered.
const stillWaiting = model.TemporarilyDown

type polled struct{}

func (polled) approve(tx *store.Tx, a *model.Authorization, _ string) error {
	a.CodeExpiresAt = tx.Now.Add(bound.CodeLife)
	return nil
}

func (polled) carried(string) string { return "" }

func (polled) verify(tx *store.Tx, a model.Authorization, e Exchange) error {
	switch {
	case a.ClientID != e.Client.ID, !a.Answered() && !tx.Now.Before(a.ExpiresAt):
		return errUnproven
	case a.Declined():
		return model.NewError(model.AccessDenied)
	case !a.Answered():
		return model.NewError(stillWaiting)
	}
	return nil
}

func (polled) session(a model.Authorization, e Exchange) session.Start {
	return redirect{}.session(a, e)
}

func (polled) place(model.Client, model.Delivery) string { return "" }

// beginPolled keeps a request whose answer is polled by a secret.
func (h *house) beginPolled(clientID, secret string, changes ...func(*Ask)) (id string) {
	h.t.Helper()
	ask := goodAsk()
	for _, change := range changes {
		change(&ask)
	}
	asked, err := parseAsked(ask)
	h.must(err)
	id = model.NewRequestID()
	h.update(func(tx *store.Tx) error {
		return tx.InsertAuthorization(model.Authorization{
			ID: id, ClientID: clientID, Request: model.Request{Asked: asked, Delivery: model.Delivery{Kind: byPoll}},
			CodeHash: model.HashToken(secret), CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(bound.RequestLife),
		})
	})
	return id
}

func poll(e *Exchange) { e.Delivery, e.RedirectURI, e.Verifier = byPoll, "", "" }

// TestDelivery: another way than a redirect needs nothing of approving, declining and exchanging but its own methods.
func TestDelivery(t *testing.T) {
	t.Run("the client waits, and has its session once the user approved", func(t *testing.T) {
		h := newHouse(t)
		id := h.beginPolled("client", "secret")
		for range 2 {
			_, _, err := h.exchange("secret", poll)
			h.wantCode(err, stillWaiting)
		}
		o, err := h.grants.Approve(t.Context(), id, h.browser)
		if err != nil || !o.Approved || o.Code != "" || o.Done {
			t.Fatalf("%+v: %v", o, err)
		}
		if o, err := h.grants.Answered(t.Context(), id, h.browser.Value); err != nil || !o.Approved || o.Code != "" || o.Done {
			t.Errorf("told again: %+v: %v", o, err)
		}
		_, _, err = h.exchange("secret", poll)
		h.must(err)
		if o, err := h.grants.Answered(t.Context(), id, h.browser.Value); err != nil || !o.Done {
			t.Errorf("afterwards: %+v: %v", o, err)
		}
		if consents, err := h.grants.Consents(t.Context(), h.alice.ID); err != nil || len(consents) != 0 {
			t.Errorf("remembered: %v, %v", consents, err)
		}
	})
	t.Run("what its user declined is refused", func(t *testing.T) {
		h := newHouse(t)
		id := h.beginPolled("client", "secret")
		o, err := h.grants.Decline(t.Context(), id, h.browser.Value)
		if err != nil || o.Approved || o.Code != "" {
			t.Fatalf("%+v: %v", o, err)
		}
		_, _, err = h.exchange("secret", poll)
		h.wantCode(err, model.AccessDenied)
		if len(h.live()) != 0 {
			t.Error("a session began")
		}
	})
	t.Run("whoever approved can still decline", func(t *testing.T) {
		h := newHouse(t)
		id := h.beginPolled("client", "secret")
		_, err := h.grants.Approve(t.Context(), id, h.browser)
		h.must(err)
		o, err := h.grants.Decline(t.Context(), id, h.browser.Value)
		if err != nil || o.Approved {
			t.Fatalf("%+v: %v", o, err)
		}
		_, _, err = h.exchange("secret", poll)
		h.wantCode(err, model.AccessDenied)
	})
	t.Run("what one way gave is nothing on another, and stays good on its own", func(t *testing.T) {
		h := newHouse(t)
		polled := h.beginPolled("client", "secret")
		_, err := h.grants.Approve(t.Context(), polled, h.browser)
		h.must(err)
		code := h.approve(h.begin("client"))
		_, _, err = h.exchange("secret")
		h.wantCode(err, model.InvalidGrant)
		_, _, err = h.exchange(code, poll)
		h.wantCode(err, model.InvalidGrant)
		_, _, err = h.exchange(code)
		h.must(err)
		_, _, err = h.exchange("secret", poll)
		h.must(err)
	})
	t.Run("the wrong client learns nothing and spoils nothing that waits", func(t *testing.T) {
		h := newHouse(t)
		id := h.beginPolled("client", "secret")
		_, _, err := h.exchange("secret", poll, func(e *Exchange) { e.Client.ID = "native" })
		h.wantCode(err, model.InvalidGrant)
		_, err = h.grants.Approve(t.Context(), id, h.browser)
		h.must(err)
		_, _, err = h.exchange("secret", poll)
		h.must(err)
	})
	t.Run("a request that nobody answered in time", func(t *testing.T) {
		h := newHouse(t)
		h.beginPolled("client", "secret")
		h.clock.Move(bound.RequestLife + time.Second)
		_, _, err := h.exchange("secret", poll)
		h.wantCode(err, model.InvalidGrant)
	})
	t.Run("a way that is not there is a fault of ours", func(t *testing.T) {
		h := newHouse(t)
		id, secret := h.beginPolled("client", "secret"), h.beginPolled("client", "another")
		_, err := h.grants.Approve(t.Context(), secret, h.browser)
		h.must(err)
		delete(h.grants.deliveries, byPoll)
		_, err = h.grants.Approve(t.Context(), id, h.browser)
		h.wantCode(err, model.ServerError)
		_, _, err = h.exchange("another", poll)
		h.wantCode(err, model.ServerError)
	})
	t.Run("nothing of a fault is kept", func(t *testing.T) {
		h := newHouse(t)
		id := h.beginPolled("client", "secret")
		h.grants.deliveries[byPoll] = failing{}
		_, err := h.grants.Approve(t.Context(), id, h.browser)
		h.wantCode(err, model.ServerError)
		if p, err := h.grants.Pending(t.Context(), id); err != nil || p.Answered() {
			t.Errorf("the request is answered: %v", err)
		}
		_, _, err = h.exchange("secret", poll)
		h.wantCode(err, model.ServerError)
		h.grants.deliveries[byPoll] = polled{}
		_, _, err = h.exchange("secret", poll)
		h.wantCode(err, stillWaiting)
	})
}

// failing is a delivery that fails in the middle of its part.
type failing struct{ polled }

var errFault = errors.New("a fault")

func (failing) approve(*store.Tx, *model.Authorization, string) error { return errFault }

func (failing) verify(tx *store.Tx, a model.Authorization, _ Exchange) error {
	_, err := tx.ConsumeAuthorization(a.ID, "")
	return errors.Join(err, errFault)
}
