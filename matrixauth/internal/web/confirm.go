package web

import (
	"errors"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Confirm is the error that has a client of the legacy API ask its user to confirm what they want (C-S
// "User-Interactive Authentication API"). On any other wire it is its cause alone.
type Confirm struct {
	// Session is what the client sends back with the proof.
	Session string
	// Stage is the one proof that there is.
	Stage string
	// Cause has the code ConfirmRequired at the first time, and says what was wrong with a proof that was sent.
	Cause *model.Error
}

// Error says why the request was not done.
func (c *Confirm) Error() string { return c.Cause.Error() }

// Unwrap returns the cause.
func (c *Confirm) Unwrap() error { return c.Cause }

// confirmFlow is one way to confirm: all of its stages.
type confirmFlow struct {
	Stages []string `json:"stages"`
}

// confirmAnswer is the body of the 401.
type confirmAnswer struct {
	Session   string        `json:"session"`
	Flows     []confirmFlow `json:"flows"`
	Params    struct{}      `json:"params"`
	Completed []string      `json:"completed"`
	// Errcode and Error are left out where nothing was proven yet: clients show them as a failure.
	Errcode string `json:"errcode,omitempty"`
	Error   string `json:"error,omitempty"`
}

// confirmOf returns the confirmation that an error asks for on a wire; nil for none.
func confirmOf(wire Wire, err error) *Confirm {
	var confirm *Confirm
	if wire != MatrixWire || !errors.As(err, &confirm) {
		return nil
	}
	return confirm
}

func (c *Confirm) write(w http.ResponseWriter, e *model.Error, said reply) {
	body := confirmAnswer{Session: c.Session, Flows: []confirmFlow{{Stages: []string{c.Stage}}}, Completed: []string{}}
	if e.Code != model.ConfirmRequired {
		body.Errcode, body.Error = said.code, said.text
	}
	if err := WriteJSON(w, http.StatusUnauthorized, body); err != nil {
		panic(err) // strings always marshal
	}
}
