package operate

import (
	"context"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// The operations on registration tokens, by which an operator invites people.
const (
	CreateInvitation Operation[NewInvitation, Invitation]        = "registration-token.create"
	ListInvitations  Operation[InvitationQuery, InvitationPage]  = "registration-token.list"
	ShowInvitation   Operation[InvitationRef, Invitation]        = "registration-token.show"
	RevokeInvitation Operation[InvitationRef, RegistrationToken] = "registration-token.revoke"
)

// RegistrationToken is a registration token as operators see it, without what people type.
type RegistrationToken struct {
	ID string `json:"id"`
	// State is "valid", "used", "expired" or "revoked".
	State string `json:"state"`
	// Uses is how many accounts it is good for, zero for any number; Used is how many were made.
	Uses int64 `json:"uses"`
	Used int64 `json:"used"`
	// Localpart and Email are the name and the address that it fixes.
	Localpart string    `json:"localpart,omitempty"`
	Email     string    `json:"email,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// Invitation is a registration token with what people type, and the link that does it for them.
type Invitation struct {
	RegistrationToken
	Token string `json:"token"`
	Link  string `json:"link"`
	// Off reports that nobody can register by the present configuration, so that the link leads nowhere.
	Off bool `json:"off,omitempty"`
}

// NewInvitation is a registration token to make.
type NewInvitation struct {
	// Token is what people type; empty for a random one.
	Token string `json:"token,omitempty"`
	// Uses is how many accounts it is good for; zero is any number.
	Uses int64 `json:"uses"`
	// Life is for how long it is good; zero is for ever.
	Life time.Duration `json:"life,omitempty"`
	// Localpart and Email are the name and the address that it fixes.
	Localpart string `json:"localpart,omitempty"`
	Email     string `json:"email,omitempty"`
}

// InvitationQuery asks for a page of registration tokens.
type InvitationQuery struct {
	// After is the Next of the page before; empty for the first. Limit bounds the page.
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// InvitationPage is a page of registration tokens, the newest first.
type InvitationPage struct {
	Tokens []RegistrationToken `json:"tokens"`
	Next   string              `json:"next,omitempty"`
}

// InvitationRef names a registration token by its id, or by what people type.
type InvitationRef struct {
	Token string `json:"token"`
}

func describeToken(tx *store.Tx, t model.RegistrationToken) RegistrationToken {
	return RegistrationToken{
		ID: t.ID, State: t.State(tx.Now), Uses: t.Uses, Used: t.Used, Localpart: t.Localpart, Email: t.Email,
		CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, RevokedAt: t.RevokedAt,
	}
}

// noteToken has the line of the log name a token by its id.
func noteToken(ctx context.Context, t model.RegistrationToken) {
	note(ctx, model.User{}, slog.String("invitation", t.ID))
}

func (o *Operations) invitation(tx *store.Tx, t model.RegistrationToken, clear string) Invitation {
	return Invitation{RegistrationToken: describeToken(tx, t), Token: clear, Link: o.c.Issuer + registration.InvitationPath(clear), Off: !o.c.Registrations.On()}
}

func (o *Operations) createInvitation(ctx context.Context, by model.Actor, p NewInvitation) (Invitation, error) {
	return update(ctx, o, func(tx *store.Tx) (Invitation, error) {
		made, clear, err := o.c.Registrations.CreateToken(tx, by, registration.NewToken(p))
		if err != nil {
			return Invitation{}, err
		}
		noteToken(ctx, made)
		return o.invitation(tx, made, clear), nil
	})
}

func (o *Operations) listInvitations(ctx context.Context, _ model.Actor, p InvitationQuery) (InvitationPage, error) {
	return view(ctx, o, func(tx *store.Tx) (InvitationPage, error) {
		size := pageSize(p.Limit)
		found, err := tx.RegistrationTokens(p.After, size+1)
		if err != nil {
			return InvitationPage{}, err
		}
		found, next := cutPage(found, size, func(t model.RegistrationToken) string { return t.ID })
		page := InvitationPage{Tokens: []RegistrationToken{}, Next: next}
		for _, t := range found {
			page.Tokens = append(page.Tokens, describeToken(tx, t))
		}
		return page, nil
	})
}

func (o *Operations) showInvitation(ctx context.Context, _ model.Actor, p InvitationRef) (Invitation, error) {
	return view(ctx, o, func(tx *store.Tx) (Invitation, error) {
		found, err := o.c.Registrations.FindToken(tx, p.Token)
		if err != nil {
			return Invitation{}, err
		}
		noteToken(ctx, found)
		clear, err := o.c.Registrations.RevealToken(found)
		if err != nil {
			return Invitation{}, err
		}
		return o.invitation(tx, found, clear), nil
	})
}

func (o *Operations) revokeInvitation(ctx context.Context, by model.Actor, p InvitationRef) (RegistrationToken, error) {
	return update(ctx, o, func(tx *store.Tx) (RegistrationToken, error) {
		found, err := o.c.Registrations.FindToken(tx, p.Token)
		if err != nil {
			return RegistrationToken{}, err
		}
		noteToken(ctx, found)
		if err := o.c.Registrations.RevokeToken(tx, by, found); err != nil {
			return RegistrationToken{}, err
		}
		if found.RevokedAt.IsZero() {
			found.RevokedAt = tx.Now
		}
		return describeToken(tx, found), nil
	})
}
