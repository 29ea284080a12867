// Package browser knows who is signed in at our pages. A browser session is a random value in a cookie,
// of which the store keeps the hash. It is not a Matrix session and has no device.
package browser

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Browsers starts, recognises and ends browser sessions.
type Browsers struct {
	store    *store.Store
	started  Started
	signIns  signIns
	renewals renewals
}

// Started is told of each sign-in in its transaction.
type Started func(tx *store.Tx, s model.BrowserSession, p Start) error

// New makes the browser sessions of a store. started is told of each sign-in; it may be nil.
func New(s *store.Store, started Started) *Browsers { return &Browsers{store: s, started: started} }

const (
	// activityGrain is the resolution of the last activity.
	activityGrain = time.Minute
)

// notSignedIn is the answer to a cookie that stands for nobody, whatever the reason.
func notSignedIn() error { return model.NewError(model.NotSignedIn) }

// Start is a sign-in.
type Start struct {
	Proof model.Proof
	// Value belongs into the browser's cookie, in place of whatever it held (SESS-2). Replaced is what it held,
	// whose session ends.
	Value, Replaced string
	// Device belongs into the device cookie, by which the limits of sign-ins know the browser again; empty for none.
	Device string
	Source model.Source
	// Known reports whether the account was known in this browser before. Language is that of the page, as a BCP 47 tag, and
	// Agent names the browser by words of ours; both may be empty.
	Known           bool
	Language, Agent string
}

// Start begins the browser session of a sign-in. It returns an Error with code UserDeactivated if the account was deactivated
// since the proof: nothing may remain of it that would go on if it came back (MOD-11).
func (b *Browsers) Start(ctx context.Context, p Start) (s model.BrowserSession, err error) {
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.User(p.Proof.User.ID)
		if err == nil && now.Deactivated() {
			err = model.NewError(model.UserDeactivated)
		}
		if err != nil {
			return err
		}
		by := model.Holder(p.Proof.User.ID, p.Source)
		old, err := tx.BrowserSessionByHash(model.HashToken(p.Replaced))
		if err == nil {
			err = end(tx, by, old, model.EndReplaced)
		}
		if err != nil && !errors.Is(err, model.ErrNotFound) {
			return err
		}
		s = model.BrowserSession{
			ID: model.NewID(tx.Now), UserID: p.Proof.User.ID, CreatedAt: tx.Now, AuthenticatedAt: p.Proof.At, Methods: p.Proof.Methods, LastActiveAt: tx.Now,
			LastIP: p.Source.IP, UserAgent: p.Source.UserAgent,
		}
		if err := tx.NoteNetwork(s.UserID, s.LastIP); err != nil {
			return err
		}
		if p.Device != "" {
			if err := tx.NoteBrowser(s.UserID, model.HashToken(p.Device)); err != nil {
				return err
			}
		}
		if err := tx.InsertBrowserSession(s, model.HashToken(p.Value)); err != nil {
			return err
		}
		if err := tx.Record(by, model.ActionStartSession, s.UserID, s.Details()); err != nil || b.started == nil {
			return err
		}
		return b.started(tx, s, p)
	})
	return s, err
}

// Current finds the live session of a cookie's value, and its user. Errors: NotSignedIn; UserLocked and
// UserDeactivated for a user who may do nothing at present, whose session goes on when they may again
// (MOD-7).
func (b *Browsers) Current(ctx context.Context, value string, source model.Source) (s model.BrowserSession, user model.User, err error) {
	err = b.store.View(ctx, func(tx *store.Tx) error {
		s, user, err = b.In(tx, value)
		return err
	})
	if err == nil {
		err = user.MayAct()
	}
	if err != nil {
		return s, user, err
	}
	return s, user, b.Touch(ctx, s, source)
}

// In finds the live session of a cookie's value, and its user, whatever they may do at present. It returns an Error with
// code NotSignedIn if there is none.
func (b *Browsers) In(tx *store.Tx, value string) (s model.BrowserSession, user model.User, err error) {
	if value == "" {
		return s, user, notSignedIn()
	}
	s, err = tx.BrowserSessionByHash(model.HashToken(value))
	if errors.Is(err, model.ErrNotFound) || err == nil && over(s, tx.Now) {
		return model.BrowserSession{}, user, notSignedIn()
	}
	if err != nil {
		return s, user, err
	}
	user, err = tx.User(s.UserID)
	return s, user, err
}

// Over reports whether a session has ended, or nobody has used it for too long.
func Over(s model.BrowserSession, now time.Time) bool { return over(s, now) }

func over(s model.BrowserSession, now time.Time) bool {
	return s.Ended() || now.Sub(s.LastActiveAt) >= bound.BrowserIdle || now.Sub(s.CreatedAt) >= bound.BrowserMost
}

// Touch notes that a live session is in use.
func (b *Browsers) Touch(ctx context.Context, s model.BrowserSession, source model.Source) error {
	if b.store.Now().Sub(s.LastActiveAt).Abs() < activityGrain {
		return nil
	}
	return b.store.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.NoteMove(s.UserID, source.IP, s.LastIP, s.LastActiveAt); err != nil {
			return err
		}
		return tx.TouchBrowserSession(s.ID, tx.Now, source.IP)
	})
}

// Prove notes that the person of a session has proved again who they are, as at a sign-in. The cookie keeps
// its value, and with it the forms that other tabs show. It returns an Error with code NotSignedIn if the session is over, or
// somebody else's: a proof may wait long for its turn, and whoever was signed out meanwhile, as by another password, must not
// go on with it.
func (b *Browsers) Prove(ctx context.Context, id string, p model.Proof) error {
	return b.store.Update(ctx, func(tx *store.Tx) error {
		s, err := tx.BrowserSession(id)
		if errors.Is(err, model.ErrNotFound) || err == nil && (s.UserID != p.User.ID || over(s, tx.Now)) {
			return notSignedIn()
		}
		if err != nil {
			return err
		}
		return tx.ProveBrowserSession(id, p)
	})
}

// Live lists the live sessions of a user, oldest first.
func (b *Browsers) Live(tx *store.Tx, userID string) ([]model.BrowserSession, error) {
	all, err := tx.LiveBrowserSessions(userID)
	live := all[:0]
	for _, s := range all {
		if !over(s, tx.Now) {
			live = append(live, s)
		}
	}
	return live, err
}

// List is Live for callers without a transaction.
func (b *Browsers) List(ctx context.Context, userID string) (live []model.BrowserSession, err error) {
	err = b.store.View(ctx, func(tx *store.Tx) error {
		live, err = b.Live(tx, userID)
		return err
	})
	return live, err
}

// EndOwn ends a live session of a user at their own wish. It returns an Error with code SessionNotFound
// for one that is over, or somebody else's (ACCT-4).
func (b *Browsers) EndOwn(ctx context.Context, by model.Actor, id string) error {
	return b.store.Update(ctx, func(tx *store.Tx) error {
		s, err := tx.BrowserSession(id)
		if errors.Is(err, model.ErrNotFound) || err == nil && (s.UserID != by.ID || over(s, tx.Now)) {
			return model.NewError(model.SessionNotFound)
		}
		if err != nil {
			return err
		}
		return end(tx, by, s, model.EndSignedOut)
	})
}

// EndOthers ends all live sessions of a user but one, at their own wish, and returns their number.
func (b *Browsers) EndOthers(ctx context.Context, by model.Actor, kept string) (ended int, err error) {
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		ended, err = b.EndAllBut(tx, by, by.ID, kept, model.EndSignedOut)
		return err
	})
	return ended, err
}

// SignOut ends a session at its user's wish. Ending it again changes nothing.
func (b *Browsers) SignOut(ctx context.Context, by model.Actor, id string) error {
	return b.store.Update(ctx, func(tx *store.Tx) error {
		s, err := tx.BrowserSession(id)
		if errors.Is(err, model.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return end(tx, by, s, model.EndSignedOut)
	})
}

// End ends the session of an id and returns it. It returns an Error with code SessionNotFound for one that is over.
func (b *Browsers) End(tx *store.Tx, by model.Actor, id string, reason model.EndReason) (s model.BrowserSession, err error) {
	s, err = tx.BrowserSession(id)
	if errors.Is(err, model.ErrNotFound) || err == nil && over(s, tx.Now) {
		return s, model.Errorf(model.SessionNotFound, "there is no live session of this id")
	}
	if err != nil {
		return s, err
	}
	return s, end(tx, by, s, reason)
}

// end ends a session. One that has ended already stays as it is.
func end(tx *store.Tx, by model.Actor, s model.BrowserSession, reason model.EndReason) error {
	if s.Ended() {
		return nil
	}
	if err := tx.EndBrowserSession(s.ID, reason); err != nil {
		return err
	}
	return tx.Record(by, model.ActionEndSession, s.UserID, s.Details().With("reason", reason))
}

// EndAll ends all sessions of a user and returns their number.
func (b *Browsers) EndAll(tx *store.Tx, by model.Actor, userID string, reason model.EndReason) (int, error) {
	return b.EndAllBut(tx, by, userID, "", reason)
}

// EndAllBut ends all sessions of a user but one, and returns their number. Nothing is kept for an empty id.
func (b *Browsers) EndAllBut(tx *store.Tx, by model.Actor, userID, kept string, reason model.EndReason) (ended int, err error) {
	live, err := b.Live(tx, userID)
	if err != nil {
		return 0, err
	}
	for _, s := range live {
		if s.ID == kept {
			continue
		}
		if err := end(tx, by, s, reason); err != nil {
			return 0, err
		}
		ended++
	}
	return ended, nil
}
