package matrixauth

import (
	"context"
	"errors"
	"fmt"
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

// Mended is what became of a difference.
type Mended struct {
	Done bool `json:"done"`
	// Why says why nothing was done.
	Why string `json:"why,omitempty"`
}

// The actions by which an operator compares Synapse's side with ours, and mends what is certain.
var (
	CompareAccounts = newQuery("doctor.compare", (*Server).compareAccounts)
	MendDifference  = newAction("doctor.mend", (*Server).mendDifference)
)

// comparedAtOnce is how many accounts one CompareAccounts looks at: a second or so.
const comparedAtOnce = 100

func (s *Server) compareAccounts(ctx context.Context, p Comparison) (Compared, error) {
	found, err := s.reconciler.Compare(ctx, p.After, comparedAtOnce)
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
	err = s.core.store.View(ctx, func(tx *store.Tx) (err error) {
		c.Accounts, err = tx.CountUsers()
		return err
	})
	return c, err
}

func (s *Server) mendDifference(ctx context.Context, d Difference) (Mended, error) {
	err := s.reconciler.Mend(ctx, reconcile.Difference{
		Kind: reconcile.Kind(d.Kind), UserID: d.UserID, Localpart: d.User, SessionID: d.SessionID, DeviceID: d.DeviceID,
	})
	noteSubject(ctx, model.User{ID: d.UserID, Localpart: d.User},
		slog.String("difference", d.Kind), slog.String("session_id", d.SessionID), slog.String("device_id", d.DeviceID), slog.Bool("mended", err == nil))
	switch {
	case err == nil:
		return Mended{Done: true}, nil
	case errors.Is(err, reconcile.ErrNotMended), errors.Is(err, reconcile.ErrRestored), errors.As(err, new(*homeserver.Error)):
		return Mended{Why: err.Error()}, nil
	}
	return Mended{}, err
}

// ComparisonCheck names the comparison among the checks of the doctor.
const ComparisonCheck = "accounts and devices"

// Finding says a difference as the doctor does. One that is harmless, or that may be meant, is no fault.
func (d Difference) Finding() Finding {
	f := Wrong(ComparisonCheck, d.Kind, "", "account "+d.User, "")
	f.Difference = &d
	const fix = "caddy matrix-auth doctor --fix"
	switch d.Kind {
	case SessionWithoutDevice:
		f.What = fmt.Sprintf("Synapse does not have the device %s of the session %s: its app gets nothing but refusals", d.DeviceID, d.SessionID)
		f.Change = fix + ", or caddy matrix-auth session kill " + d.SessionID
	case DeviceWithoutSession:
		f.What = fmt.Sprintf("Synapse has the device %s, on which nobody is signed in", d.DeviceID)
		if f.OK = !d.Certain; d.Certain {
			f.What = fmt.Sprintf("Synapse has the device %s still, whose session here has ended", d.DeviceID)
			f.Change = fix
		}
	case DeactivatedThere:
		f.What, f.Change = "the account is deactivated at Synapse and not here", fix+", or caddy matrix-auth user deactivate "+d.User
	case DeactivatedHere:
		f.What = "the account is deactivated here and not at Synapse"
		f.Change = "caddy matrix-auth user deactivate " + d.User + ", which tells Synapse once more, or user reactivate " + d.User
	case LockedThere:
		f.What = "the account is locked at Synapse alone, which has no effect while logins are delegated"
		f.Change = "caddy matrix-auth user lock " + d.User + "; to have it unlocked there too, user unlock " + d.User + " after that"
	case UnknownThere:
		f.What, f.Change = "Synapse does not know the account, so nobody can sign in to it", fix
	default:
		f.What, f.Change = "the two sides differ: "+d.Kind, "see the documentation of this version"
	}
	if f.OK {
		f.Where = ""
	}
	return f
}
