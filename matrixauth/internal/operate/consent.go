package operate

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// The operations on consents.
const (
	ListConsents     Operation[Name, []Consent]       = "consent.list"
	WithdrawConsents Operation[Withdrawal, Withdrawn] = "consent.withdraw"
)

// Consent is a consent that is remembered, as operators see it: the app need not ask the user again.
type Consent struct {
	User     string `json:"user"`
	ClientID string `json:"client_id"`
	// ClientName is empty for a client that is gone.
	ClientName  string    `json:"client_name,omitempty"`
	RedirectURI string    `json:"redirect_uri"`
	Scope       string    `json:"scope"`
	GrantedAt   time.Time `json:"granted_at"`
}

// Withdrawal names the consents of a user to take back: those to a client, or all.
type Withdrawal struct {
	Name
	// ClientID is the client; empty with All.
	ClientID string `json:"client_id,omitempty"`
	All      bool   `json:"all,omitempty"`
}

// Withdrawn tells what a Withdrawal took back.
type Withdrawn struct {
	Consents int `json:"consents"`
}

func (o *Operations) listConsents(ctx context.Context, _ model.Actor, p Name) ([]Consent, error) {
	return view(ctx, o, func(tx *store.Tx) ([]Consent, error) {
		all := []Consent{}
		found, err := o.find(ctx, tx, p.User)
		if err != nil {
			return nil, err
		}
		remembered, err := tx.Consents(found.ID)
		if err != nil {
			return nil, err
		}
		for _, one := range remembered {
			c, err := o.c.Clients.In(tx, one.ClientID)
			if err != nil && !errors.Is(err, model.UnknownClient) {
				return nil, err
			}
			all = append(all, Consent{
				User: found.Localpart, ClientID: one.ClientID, ClientName: c.Name(""), RedirectURI: one.RedirectURI, Scope: one.Scope, GrantedAt: one.GrantedAt,
			})
		}
		return all, nil
	})
}

// withdrawConsents returns an Error with code ConsentNotFound if there is none to a client that is named.
func (o *Operations) withdrawConsents(ctx context.Context, by model.Actor, p Withdrawal) (Withdrawn, error) {
	if p.All == (p.ClientID != "") {
		return Withdrawn{}, model.Errorf(model.InvalidParam, "name one client, or all")
	}
	note(ctx, model.User{}, slog.String("client_id", cmp.Or(p.ClientID, "all")))
	return update(ctx, o, func(tx *store.Tx) (Withdrawn, error) {
		found, err := o.find(ctx, tx, p.User)
		if err != nil {
			return Withdrawn{}, err
		}
		if p.All {
			n, err := o.c.Grants.WithdrawAll(tx, by, found.ID)
			return Withdrawn{n}, err
		}
		n, err := o.c.Grants.Withdraw(tx, by, found.ID, p.ClientID)
		if err == nil && n == 0 {
			err = model.Errorf(model.ConsentNotFound, "%s has no consent to %s that is remembered", found.Localpart, p.ClientID)
		}
		return Withdrawn{n}, err
	})
}
