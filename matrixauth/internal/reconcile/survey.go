package reconcile

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Kind says in what the two sides differ. The values are shown to operators.
type Kind string

// The kinds of difference.
const (
	// SessionWithoutDevice is a live session whose device the homeserver lacks.
	SessionWithoutDevice Kind = "session_without_device"
	// DeviceWithoutSession is a device on which no session of ours lives.
	DeviceWithoutSession Kind = "device_without_session"
	// DeactivatedThere is an account that only the homeserver has deactivated, DeactivatedHere one that
	// only we have.
	DeactivatedThere Kind = "deactivated_at_homeserver_only"
	DeactivatedHere  Kind = "deactivated_here_only"
	// LockedThere is an account that only the homeserver has locked, which has no effect.
	LockedThere Kind = "locked_at_homeserver_only"
	// UnknownThere is an account that the homeserver does not have.
	UnknownThere Kind = "unknown_at_homeserver"
)

// Difference is one thing in which the two sides differ.
type Difference struct {
	Kind      Kind
	UserID    string
	Localpart string
	// SessionID and DeviceID are set for the kinds that are about them.
	SessionID, DeviceID string
	DeviceName          string
	// Certain differences can be mended, as their cause is known. A device without a session is certain if one of our
	// ended sessions had it; other such devices may belong to a bridge, or hold keys.
	Certain bool
}

// Survey is a part of the accounts, compared.
type Survey struct {
	Differences []Difference
	// Compared counts the accounts that were looked at. Waiting counts those that were left out because a change of
	// theirs is on its way to the homeserver.
	Compared, Waiting int
	// Next is where the next part begins; empty at the end.
	Next string
}

// surveyors is how many accounts are looked at at a time.
const surveyors = 4

// Compare compares at most limit accounts with the homeserver's, in the order of their localparts and
// beginning behind after. It reads by the homeserver's administration API. It changes nothing, and its
// error means that the homeserver could not be read.
func (r *Reconciler) Compare(ctx context.Context, after string, limit int) (s Survey, err error) {
	var users []model.User
	err = r.config.Store.View(ctx, func(tx *store.Tx) (err error) {
		users, err = tx.Users(after, limit)
		return err
	})
	if err != nil || len(users) == 0 {
		return s, err
	}
	reader, err := r.reader(ctx)
	if err != nil {
		return s, err
	}
	defer reader.close()
	found := make([]comparison, len(users))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for first := range surveyors {
		group.Go(func() {
			for i := first; i < len(users) && ctx.Err() == nil; i += surveyors {
				one, err := r.compare(ctx, reader, users[i].ID)
				if err != nil {
					cancel(err)
				}
				found[i] = one
			}
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return Survey{}, err
	}
	for _, one := range found {
		s.Differences = append(s.Differences, one.differences...)
		if one.waiting {
			s.Waiting++
		}
	}
	s.Compared = len(users)
	if len(users) == limit {
		s.Next = users[len(users)-1].Localpart
	}
	return s, nil
}

// reader reads by the homeserver's administration API, in the name of one account, as the homeserver counts who is
// active. It replaces its token before that expires.
type reader struct {
	sessions *session.Sessions
	now      func() time.Time
	user     model.User

	mu     sync.Mutex
	token  string
	drop   func()
	minted time.Time
}

// candidates bounds the accounts that are tried until the homeserver knows one of them.
const candidates = 5

func (r *Reconciler) reader(ctx context.Context) (*reader, error) {
	var users []model.User
	err := r.config.Store.View(ctx, func(tx *store.Tx) (err error) {
		users, err = tx.ActiveUsers(candidates)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		_, err := r.config.Homeserver.QueryUser(ctx, u.Localpart)
		if err == nil {
			return &reader{sessions: r.config.Sessions, now: r.config.Store.Now, user: u, drop: func() {}}, nil
		}
		if !homeserver.IsUnknownUser(err) {
			return nil, err
		}
	}
	return nil, model.Errorf(model.UserNotFound, "the homeserver knows none of the accounts that are active here, in whose name it could be read")
}

// bearer returns a token that lives long enough for a call.
func (d *reader) bearer() (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.token != "" && recent(d.now(), d.minted, session.InternalLife/2) {
		return d.token, nil
	}
	token, drop, err := d.sessions.MintInternal(d.user, model.CompatScope(true))
	if err != nil {
		return "", err
	}
	// The previous token is left to expire: a call may still use it.
	d.token, d.drop, d.minted = token, drop, d.now()
	return token, nil
}

func (d *reader) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop()
}

// side is what we have of an account at a moment.
type side struct {
	user model.User
	live []model.Session
	// waits reports whether a job of the account waits for the homeserver, which will change it.
	waits bool
}

func (s side) has(deviceID string) bool {
	return slices.ContainsFunc(s.live, func(one model.Session) bool { return one.DeviceID == deviceID })
}

func (r *Reconciler) side(ctx context.Context, userID string) (s side, err error) {
	err = r.config.Store.View(ctx, func(tx *store.Tx) error {
		if s.user, err = tx.User(userID); err != nil {
			return err
		}
		if s.live, err = tx.LiveSessions(userID); err != nil {
			return err
		}
		_, err = tx.NextJob(model.ToHomeserver.Lane(userID))
		s.waits = err == nil
		if errors.Is(err, model.ErrNotFound) {
			return nil
		}
		return err
	})
	return s, err
}

// comparison is what became of one account.
type comparison struct {
	differences []Difference
	waiting     bool
}

// compare reads our side before and after the homeserver's: what both readings show was true all the time.
func (r *Reconciler) compare(ctx context.Context, d *reader, userID string) (c comparison, err error) {
	before, err := r.side(ctx, userID)
	if err != nil || before.waits {
		return comparison{waiting: before.waits}, err
	}
	account, devices, err := r.there(ctx, d, before.user)
	unknown := homeserver.IsUnknownUser(err)
	if err != nil && !unknown {
		return c, err
	}
	after, err := r.side(ctx, userID)
	if err != nil || after.waits || after.user != before.user {
		return comparison{waiting: true}, err
	}
	c.differences = accountDifferences(before.user, account, unknown)
	if unknown || account.Deactivated || before.user.Deactivated() {
		return c, nil
	}
	has := map[string]bool{}
	for _, device := range devices {
		has[device.ID] = true
		if device.Dehydrated || before.has(device.ID) || after.has(device.ID) {
			continue
		}
		ours, err := r.wasOurs(ctx, userID, device.ID)
		if err != nil {
			return c, err
		}
		c.differences = append(c.differences, Difference{
			Kind: DeviceWithoutSession, UserID: userID, Localpart: before.user.Localpart, DeviceID: device.ID, DeviceName: device.DisplayName, Certain: ours,
		})
	}
	for _, s := range after.live {
		if s.DeviceID != "" && !has[s.DeviceID] && before.has(s.DeviceID) && !recent(r.config.Store.Now(), s.CreatedAt, young) {
			c.differences = append(c.differences, Difference{
				Kind: SessionWithoutDevice, UserID: userID, Localpart: before.user.Localpart, SessionID: s.ID, DeviceID: s.DeviceID, DeviceName: s.DeviceName, Certain: true,
			})
		}
	}
	return c, nil
}

// there returns what the homeserver has of an account; devices only of one that is active on both sides.
func (r *Reconciler) there(ctx context.Context, d *reader, u model.User) (account homeserver.Account, devices []homeserver.Device, err error) {
	token, err := d.bearer()
	if err != nil {
		return account, nil, err
	}
	id := model.MatrixID(u.Localpart, r.config.ServerName)
	if account, err = r.config.Homeserver.AdminUser(ctx, token, id); err != nil || account.Deactivated || u.Deactivated() {
		return account, nil, err
	}
	if token, err = d.bearer(); err != nil {
		return account, nil, err
	}
	devices, err = r.config.Homeserver.AdminDevices(ctx, token, id)
	return account, devices, err
}

func accountDifferences(u model.User, there homeserver.Account, unknown bool) []Difference {
	d := Difference{UserID: u.ID, Localpart: u.Localpart}
	switch {
	case unknown && !u.Deactivated():
		d.Kind, d.Certain = UnknownThere, true
	case unknown:
		return nil
	case there.Deactivated && !u.Deactivated():
		d.Kind, d.Certain = DeactivatedThere, true
	case u.Deactivated() && !there.Deactivated:
		d.Kind = DeactivatedHere
	case there.Locked && !u.Locked() && !u.Deactivated():
		d.Kind = LockedThere
	default:
		return nil
	}
	return []Difference{d}
}

// wasOurs reports whether one of our ended sessions had a device, which should have been deleted then. After a soft end
// it waits for its owner, and after the database went back a session that is forgotten may have it.
func (r *Reconciler) wasOurs(ctx context.Context, userID, deviceID string) (ours bool, err error) {
	err = r.config.Store.View(ctx, func(tx *store.Tx) error {
		s, err := tx.LastEndedOnDevice(userID, deviceID)
		if errors.Is(err, model.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		back, err := tx.BeforeGoingBack(s.EndedAt)
		ours = !back && s.EndReason != model.EndReplaced && !s.EndReason.Soft()
		return err
	})
	return ours, err
}
