package matrixauth

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"

// What commands need of the operations on registrations: see package operate.
type (
	// RegistrationToken is a registration token, without what people type.
	RegistrationToken = operate.RegistrationToken
	// Invitation is a registration token with what people type, and its link.
	Invitation = operate.Invitation
	// NewInvitation is a registration token to make.
	NewInvitation = operate.NewInvitation
	// InvitationQuery asks for a page of registration tokens.
	InvitationQuery = operate.InvitationQuery
	// InvitationPage is a page of them.
	InvitationPage = operate.InvitationPage
	// InvitationRef names a registration token.
	InvitationRef = operate.InvitationRef
	// WaitingRegistration is an account that somebody asks for.
	WaitingRegistration = operate.Registration
	// RegistrationQuery asks for a page of those that wait.
	RegistrationQuery = operate.RegistrationQuery
	// RegistrationPage is a page of them.
	RegistrationPage = operate.RegistrationPage
)

// The operations on registrations.
const (
	CreateInvitation    = operate.CreateInvitation
	ListInvitations     = operate.ListInvitations
	ShowInvitation      = operate.ShowInvitation
	RevokeInvitation    = operate.RevokeInvitation
	ListRegistrations   = operate.ListRegistrations
	ApproveRegistration = operate.ApproveRegistration
	RejectRegistration  = operate.RejectRegistration
)
