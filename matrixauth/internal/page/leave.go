package page

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"

// Leave asks whether somebody wants to deactivate their account, and says what is lost with it and what stays (ACCT-5).
type Leave struct {
	inLeaving
	// Proof has the problem InvalidUsername too, for a Matrix id that is not the one of the account.
	Proof
	// Typed is what was typed for the Matrix id, and Erase whether the box was ticked.
	Typed string
	Erase bool
	// Addresses reports whether the account has mail addresses.
	Addresses bool
}

func (Leave) template() string { return "leave" }

func (Leave) action() string { return LeavePath }

func (Leave) problems() map[model.Code]string { return leaveProblems }

var leaveProblems = withProofProblems(map[model.Code]string{model.InvalidUsername: "leave.mismatch"})

// withProofProblems returns the problems of a page beside those of the proof that it asks for.
func withProofProblems(own map[model.Code]string) map[model.Code]string {
	for code, text := range proofProblems {
		own[code] = text
	}
	return own
}

// Left says that an account was deactivated.
type Left struct{}

func (Left) template() string { return "left" }

// OtherAccount asks somebody who came by a link for one account, and is signed in as another, which it is to be (ACCT-9).
type OtherAccount struct {
	// Goal is what the link was for.
	Goal
	// Account is the Matrix id of who is signed in, Other the one that the link is for.
	Account, Other string
	// Hint is how the link names the other.
	Hint string
}

func (OtherAccount) template() string { return "other_account" }

// Onward returns the address of what the link was for, for who is signed in.
func (p OtherAccount) Onward() string { return AccountPath + p.query() }

// Switch returns the query of the way to a sign-in as the other.
func (p OtherAccount) Switch() string {
	values := p.values()
	values.Set("login_hint", p.Hint)
	return "?" + values.Encode()
}

func leaveSamples() []Page {
	leave := Leave{Proof: sampleProof(false), Addresses: true}
	asked, wrong := leave, leave
	asked.Proof, asked.Erase = sampleProof(true), true
	wrong.Typed, wrong.Problem = "@alcie:example.com", model.InvalidUsername
	other := OtherAccount{Account: "@alice:example.com", Other: "@bob:example.com", Hint: "bob"}
	device := other
	device.Goal = Goal{Action: "org.matrix.device_delete", DeviceID: "PHONE"}
	return []Page{leave, asked, wrong, Left{}, other, device}
}
