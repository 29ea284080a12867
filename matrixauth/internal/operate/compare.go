package operate

import (
	"context"
	"errors"
	"log/slog"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/reconcile"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Comparison asks for a part of the accounts to be compared with Synapse's, behind After, which is empty
// for the first part.
type Comparison struct {
	After string `json:"after,omitempty"`
}

// Compared is what came of a comparison.
type Compared struct {
	Differences []Difference `json:"differences"`
	// Compared counts the accounts of this part, Waiting those among them that were left out as a change of
	// theirs is on its way to Synapse, and Accounts all that there are.
	Compared int `json:"compared"`
	Waiting  int `json:"waiting"`
	Accounts int `json:"accounts"`
	// Next is the After of the next part; empty at the end.
	Next string `json:"next,omitempty"`
}

// The kinds of Difference.
const (
	// SessionWithoutDevice is a live session whose device Synapse lacks.
	SessionWithoutDevice = string(reconcile.SessionWithoutDevice)
	// DeviceWithoutSession is a device at Synapse on which nobody is signed in here.
	DeviceWithoutSession = string(reconcile.DeviceWithoutSession)
	// DeactivatedThere is an account that only Synapse has deactivated.
	DeactivatedThere = string(reconcile.DeactivatedThere)
	// DeactivatedHere is an account that only we have deactivated.
	DeactivatedHere = string(reconcile.DeactivatedHere)
	// LockedThere is an account that only Synapse has locked.
	LockedThere = string(reconcile.LockedThere)
	// UnknownThere is an account that Synapse does not have.
	UnknownThere = string(reconcile.UnknownThere)
)

// Difference is one thing in which Synapse and we differ.
type Difference struct {
	// Kind is one of the kinds above.
	Kind       string `json:"kind"`
	User       string `json:"user"`
	UserID     string `json:"user_id"`
	SessionID  string `json:"session_id,omitempty"`
	DeviceID   string `json:"device_id,omitempty"`
	DeviceName string `json:"device_name,omitempty"`
	// Certain differences can be mended by MendDifference: what was meant is known.
	Certain bool `json:"certain"`
}

func (d Difference) typedUser() string { return d.User }

// Mended is what became of a difference.
type Mended struct {
	Done bool `json:"done"`
	// Why says why nothing was done.
	Why string `json:"why,omitempty"`
}

// The operations by which an operator compares Synapse's side with ours, and mends what is certain.
const (
	CompareAccounts Operation[Comparison, Compared] = "doctor.compare"
	MendDifference  Operation[Difference, Mended]   = "doctor.mend"
)

// ComparedAtOnce is how many accounts one CompareAccounts looks at: a second or so.
const ComparedAtOnce = 100

func (o *Operations) compareAccounts(ctx context.Context, _ model.Actor, p Comparison) (Compared, error) {
	found, err := o.c.Reconciler.Compare(ctx, p.After, ComparedAtOnce)
	if e := new(homeserver.Error); errors.As(err, &e) {
		return Compared{}, model.Errorf(model.TemporarilyDown, "%s", err.Error()).WithCause(err)
	}
	if err != nil {
		return Compared{}, err
	}
	c := Compared{Differences: []Difference{}, Compared: found.Compared, Waiting: found.Waiting, Next: found.Next}
	for _, d := range found.Differences {
		c.Differences = append(c.Differences, Difference{
			Kind: string(d.Kind), User: d.Localpart, UserID: d.UserID, SessionID: d.SessionID, DeviceID: d.DeviceID, DeviceName: d.DeviceName, Certain: d.Certain,
		})
	}
	c.Accounts, err = view(ctx, o, (*store.Tx).CountUsers)
	return c, err
}

func (o *Operations) mendDifference(ctx context.Context, _ model.Actor, d Difference) (Mended, error) {
	err := o.c.Reconciler.Mend(ctx, reconcile.Difference{
		Kind: reconcile.Kind(d.Kind), UserID: d.UserID, Localpart: d.User, SessionID: d.SessionID, DeviceID: d.DeviceID,
	})
	note(ctx, model.User{ID: d.UserID, Localpart: d.User},
		slog.String("difference", d.Kind), slog.String("session_id", d.SessionID), slog.String("device_id", d.DeviceID), slog.Bool("mended", err == nil))
	switch {
	case err == nil:
		return Mended{Done: true}, nil
	case errors.Is(err, reconcile.ErrNotMended), errors.Is(err, reconcile.ErrRestored), errors.As(err, new(*homeserver.Error)):
		return Mended{Why: err.Error()}, nil
	}
	return Mended{}, err
}
