package operate

import (
	"context"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// The operations on registrations that wait for an operator.
const (
	ListRegistrations   Operation[RegistrationQuery, RegistrationPage] = "registration.list"
	ApproveRegistration Operation[Name, User]                          = "registration.approve"
	RejectRegistration  Operation[Name, Registration]                  = "registration.reject"
)

// Registration is an account that somebody asks for, as operators see it.
type Registration struct {
	ID          string `json:"id"`
	Localpart   string `json:"localpart"`
	MatrixID    string `json:"matrix_id"`
	DisplayName string `json:"display_name,omitempty"`
	// Email is the address that was proven; empty for none.
	Email string `json:"email,omitempty"`
	// IP is where it came from, TokenID the invitation that let the person in.
	IP      string `json:"ip,omitempty"`
	TokenID string `json:"token_id,omitempty"`
	// WaitsSince is when it was complete, and ExpiresAt when it goes.
	WaitsSince time.Time `json:"waits_since"`
	ExpiresAt  time.Time `json:"expires_at"`
}

// RegistrationQuery asks for a page of registrations that wait.
type RegistrationQuery struct {
	// After is the Next of the page before; empty for the first. Limit bounds the page.
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// RegistrationPage is a page of registrations in the order of their names.
type RegistrationPage struct {
	Registrations []Registration `json:"registrations"`
	Next          string         `json:"next,omitempty"`
}

func (o *Operations) describeRegistration(r model.Registration) Registration {
	return Registration{
		ID: r.ID, Localpart: r.Localpart, MatrixID: model.MatrixID(r.Localpart, o.c.ServerName), DisplayName: r.DisplayName, Email: r.Email.Address,
		IP: r.IP, TokenID: r.TokenID, WaitsSince: r.FinishedAt, ExpiresAt: r.ExpiresAt,
	}
}

func (o *Operations) listRegistrations(ctx context.Context, _ model.Actor, p RegistrationQuery) (RegistrationPage, error) {
	return view(ctx, o, func(tx *store.Tx) (RegistrationPage, error) {
		size := pageSize(p.Limit)
		found, err := tx.WaitingRegistrations(p.After, size+1)
		if err != nil {
			return RegistrationPage{}, err
		}
		found, next := cutPage(found, size, func(r model.Registration) string { return r.Localpart })
		page := RegistrationPage{Registrations: []Registration{}, Next: next}
		for _, r := range found {
			page.Registrations = append(page.Registrations, o.describeRegistration(r))
		}
		return page, nil
	})
}

func (o *Operations) approveRegistration(ctx context.Context, by model.Actor, p Name) (User, error) {
	made, err := o.c.Registrations.Approve(ctx, by, p.User)
	if err != nil {
		return User{}, err
	}
	note(ctx, made)
	return view(ctx, o, func(tx *store.Tx) (User, error) { return o.describe(tx, made) })
}

func (o *Operations) rejectRegistration(ctx context.Context, by model.Actor, p Name) (Registration, error) {
	return update(ctx, o, func(tx *store.Tx) (Registration, error) {
		rejected, err := o.c.Registrations.Reject(tx, by, p.User)
		return o.describeRegistration(rejected), err
	})
}
