package grant

import (
	"slices"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// remembered lists the clients to which alice consented, sorted.
func (h *house) remembered() (clients []string) {
	h.t.Helper()
	all, err := h.grants.Consents(h.t.Context(), h.alice.ID)
	h.must(err)
	for _, c := range all {
		clients = append(clients, c.ClientID)
	}
	slices.Sort(clients)
	return clients
}

// withdrawals lists what events say of consents that were withdrawn, the newest first.
func (h *house) withdrawals() (details []model.Details) {
	h.t.Helper()
	h.must(h.store.View(h.t.Context(), func(tx *store.Tx) error {
		events, err := tx.Events(store.EventFilter{UserID: h.alice.ID, Limit: 100})
		for _, e := range events {
			if e.Action == model.ActionWithdrawConsent {
				details = append(details, e.Details)
			}
		}
		return err
	}))
	return details
}

// TestWithdraw: a consent that is taken back takes the codes with it that were not exchanged, and no session; one that is
// not there is no event.
func TestWithdraw(t *testing.T) {
	by := model.TheServer()
	withdraw := func(h *house, f func(tx *store.Tx) (int, error), want int) {
		t.Helper()
		h.update(func(tx *store.Tx) error {
			n, err := f(tx)
			if n != want {
				t.Errorf("%d consents were there, want %d", n, want)
			}
			return err
		})
	}
	// consented approves a request of each of two clients, and has one of each exchanged.
	consented := func(t *testing.T) (h *house, code, other string) {
		h = newHouse(t)
		_, _, err := h.exchange(h.approve(h.begin("client")))
		h.must(err)
		return h, h.approve(h.begin("client")), h.approve(h.begin("other"))
	}
	t.Run("of a client", func(t *testing.T) {
		h, code, other := consented(t)
		one := func(tx *store.Tx) (int, error) { return h.grants.Withdraw(tx, by, h.alice.ID, "client") }
		withdraw(h, one, 1)
		withdraw(h, one, 0)
		if got := h.remembered(); !slices.Equal(got, []string{"other"}) {
			t.Errorf("remembered are %q", got)
		}
		if got := h.withdrawals(); len(got) != 1 || got[0]["client_id"] != "client" || got[0]["consents"] != float64(1) {
			t.Errorf("the events say %v", got)
		}
		_, _, err := h.exchange(code)
		h.wantCode(err, model.InvalidGrant)
		if len(h.live()) != 1 {
			t.Error("a session ended")
		}
		_, _, err = h.exchange(other, func(e *Exchange) { e.Client.ID = "other" })
		h.must(err)
	})
	t.Run("of all", func(t *testing.T) {
		h, code, other := consented(t)
		all := func(tx *store.Tx) (int, error) { return h.grants.WithdrawAll(tx, by, h.alice.ID) }
		withdraw(h, all, 2)
		withdraw(h, all, 0)
		if got := h.withdrawals(); len(h.remembered()) != 0 || len(got) != 1 || got[0]["client_id"] != "all" || got[0]["consents"] != float64(2) {
			t.Errorf("the events say %v", got)
		}
		for id, c := range map[string]string{"client": code, "other": other} {
			_, _, err := h.exchange(c, func(e *Exchange) { e.Client.ID = id })
			h.wantCode(err, model.InvalidGrant)
		}
	})
	t.Run("by the user, and again", func(t *testing.T) {
		h, _, _ := consented(t)
		for range 2 {
			h.must(h.grants.WithdrawOwn(t.Context(), model.Holder(h.alice.ID, model.Source{}), "client"))
		}
		if got := h.remembered(); !slices.Equal(got, []string{"other"}) || len(h.withdrawals()) != 1 {
			t.Errorf("remembered are %q", got)
		}
	})
}
