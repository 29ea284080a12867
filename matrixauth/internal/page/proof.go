package page

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"

// Proof is what every page has whose form takes a password that was given a moment ago (SESS-5). Its template shows
// the part "proof", which has a field for the password where it is needed.
type Proof struct {
	// Form has the problem InvalidCredentials, LoginRequired, RateLimited, TemporarilyDown or CrossOrigin, beside those of
	// the page.
	Form
	// Account is the Matrix id of who is signed in, Username their localpart.
	Account, Username string
	// AskPassword reports whether the password was not given within the last minutes.
	AskPassword bool
}

func (Proof) problems() map[model.Code]string { return proofProblems }

var proofProblems = map[model.Code]string{
	model.InvalidCredentials: "address.wrong",
	model.LoginRequired:      "address.late",
	model.RateLimited:        "login.limited",
	model.TemporarilyDown:    "address.down",
	model.CrossOrigin:        "address.stale",
}

// sampleProof is that of samples.
func sampleProof(ask bool) Proof {
	return Proof{Account: "@alice:example.com", Username: "alice", AskPassword: ask}
}
