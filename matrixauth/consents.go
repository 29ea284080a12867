package matrixauth

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
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

// The actions about consents.
var (
	ListConsents     = newQuery("consent.list", (*Server).listConsents)
	WithdrawConsents = newAction("consent.withdraw", (*Server).withdrawConsents)
)

func (s *Server) listConsents(ctx context.Context, p Name) ([]Consent, error) {
	all := []Consent{}
	err := s.core.store.View(ctx, func(tx *store.Tx) error {
		found, err := s.users.ByName(tx, p.User)
		if err != nil {
			return err
		}
		remembered, err := tx.Consents(found.ID)
		if err != nil {
			return err
		}
		for _, one := range remembered {
			c, err := s.clients.In(tx, one.ClientID)
			if err != nil && !errors.Is(err, model.UnknownClient) {
				return err
			}
			all = append(all, Consent{
				User: found.Localpart, ClientID: one.ClientID, ClientName: c.Name(""), RedirectURI: one.RedirectURI, Scope: one.Scope, GrantedAt: one.GrantedAt,
			})
		}
		return nil
	})
	return all, err
}

// withdrawConsents returns an Error with code ConsentNotFound if there is none to a client that is named.
func (s *Server) withdrawConsents(ctx context.Context, p Withdrawal) (done Withdrawn, err error) {
	if p.All == (p.ClientID != "") {
		return done, model.Errorf(model.InvalidParam, "name one client, or all")
	}
	err = s.core.store.Update(ctx, func(tx *store.Tx) error {
		found, err := s.users.ByName(tx, p.User)
		if err != nil {
			return err
		}
		noteSubject(ctx, found, slog.String("client_id", cmp.Or(p.ClientID, "all")))
		if p.All {
			done.Consents, err = s.grants.WithdrawAll(tx, found.ID)
			return err
		}
		done.Consents, err = s.grants.Withdraw(tx, found.ID, p.ClientID)
		if err == nil && done.Consents == 0 {
			err = model.Errorf(model.ConsentNotFound, "%s has no consent to %s that is remembered", found.Localpart, p.ClientID)
		}
		return err
	})
	return done, err
}
