package reconcile_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// drift is a history in which the homeserver goes ways of its own, with a second telling of what must
// come of it.
type drift struct {
	*house.House
	t     *testing.T
	rand  *rand.Rand
	users []string
	// live are the sessions that should live, in the order of their starts.
	live    []*drifting
	gone    map[string]bool // the accounts that are deactivated here
	restore func()
	made    int
	log     []string
}

// drifting is a session of such a history.
type drifting struct {
	user, device string
	house.SignedIn
	active time.Time
}

func (d *drift) note(format string, args ...any) { d.log = append(d.log, fmt.Sprintf(format, args...)) }

func (d *drift) user() string { return d.users[d.rand.IntN(len(d.users))] }

// present reports whether the homeserver has a device.
func (d *drift) present(s *drifting) bool { return slices.Contains(d.Fake.Devices(s.user), s.device) }

func (d *drift) deactivatedThere(user string) bool {
	u, _ := d.Fake.User(user)
	return u.Deactivated
}

func (d *drift) endAll(user string) {
	d.gone[user] = true
	d.live = slices.DeleteFunc(d.live, func(s *drifting) bool { return s.user == user })
}

func (d *drift) login() {
	user := d.user()
	d.made++
	device := fmt.Sprintf("D%03d", d.made)
	d.note("%s signs in on %s", user, device)
	a := d.TryLogin(user, house.Object{"device_id": device, "refresh_token": true})
	if d.gone[user] || d.deactivatedThere(user) {
		a.Want(d.t, http.StatusForbidden, "M_USER_DEACTIVATED")
		d.endAll(user)
		return
	}
	d.live = append(d.live, &drifting{user: user, device: device, SignedIn: d.SignedIn(a), active: d.Clock.Now()})
}

// held tells, for the missing sessions of a user, whether devices of others near the last one are
// missing too.
func (d *drift) held(missing []*drifting) bool {
	last := slices.Index(d.live, missing[len(missing)-1])
	near := func(order []*drifting) bool {
		seen := map[string]bool{}
		for _, s := range order {
			if s.user == missing[0].user || seen[s.user] || d.Clock.Now().Sub(s.active) >= 7*24*time.Hour || len(seen) == 4 {
				continue
			}
			seen[s.user] = true
			if !d.present(s) && !d.deactivatedThere(s.user) {
				return true
			}
		}
		return false
	}
	before := slices.Clone(d.live[:last])
	slices.Reverse(before)
	return near(before) || near(d.live[last+1:])
}

// use has a client refresh and ask, and the homeserver be asked what follows.
func (d *drift) use() {
	if len(d.live) == 0 {
		return
	}
	s := d.live[d.rand.IntN(len(d.live))]
	s.SignedIn = d.SignedIn(d.Refresh(s.RefreshToken))
	s.active = d.Clock.Now()
	d.List(s.AccessToken)
	present := d.present(s)
	var missing []*drifting
	for _, one := range d.live {
		if one.user == s.user && !d.present(one) {
			missing = append(missing, one)
		}
	}
	switch {
	case d.deactivatedThere(s.user):
		d.endAll(s.user)
		d.note("%s is used by %s, whose account is deactivated there", s.device, s.user)
	case present:
		d.note("%s is used", s.device)
	case d.held(missing):
		d.note("%s is used and refused, and so would others be", s.device)
	default:
		d.live = slices.DeleteFunc(d.live, func(one *drifting) bool { return slices.Contains(missing, one) })
		d.note("%s is used and refused; %d sessions end", s.device, len(missing))
	}
	d.Must(d.Reconcile())
}

func (d *drift) step() {
	switch d.rand.IntN(20) {
	case 0, 1, 2, 3, 4:
		d.login()
	case 5, 6:
		if len(d.live) > 0 {
			s := d.live[d.rand.IntN(len(d.live))]
			d.note("%s is deleted there", s.device)
			d.Fake.DeleteDevices(s.user, s.device)
		}
	case 7:
		if d.restore == nil {
			d.note("a backup is made there")
			d.restore = d.Fake.Backup()
		} else {
			d.note("the backup is restored there")
			d.restore()
			d.restore = nil
		}
	case 8:
		user := d.user()
		d.note("%s is deactivated there", user)
		d.Fake.Deactivate(user)
	case 9, 10:
		if gone := slices.Sorted(maps.Keys(d.gone)); len(gone) > 0 {
			d.note("%s is reactivated here", gone[0])
			house.Act(d.House, matrixauth.ReactivateUser, matrixauth.Name{User: gone[0]})
			delete(d.gone, gone[0])
		}
	case 11:
		d.Clock.Move(5 * 24 * time.Hour)
	default:
		d.use()
	}
	// What is to be done there is done, and no bound is in the way of the next step.
	d.Pass()
	d.Clock.Move(6 * time.Minute)
}

// check holds that the sessions and accounts are those that should be there.
func (d *drift) check() {
	d.t.Helper()
	devices := map[string][]string{}
	for _, s := range house.Act(d.House, matrixauth.ListSessions, matrixauth.SessionQuery{Limit: 1000}).Sessions {
		devices[s.User] = append(devices[s.User], s.DeviceID)
	}
	users := house.Act(d.House, matrixauth.ListUsers, matrixauth.UserQuery{Limit: 1000}).Users
	if len(users) != len(d.users) {
		d.t.Fatalf("%d accounts are listed", len(users))
	}
	for _, u := range users {
		var want []string
		for _, s := range d.live {
			if s.user == u.Localpart {
				want = append(want, s.device)
			}
		}
		got := devices[u.Localpart]
		slices.Sort(got)
		if !slices.Equal(got, want) {
			d.t.Fatalf("%s has sessions on %q, want %q, after\n%s", u.Localpart, got, want, fmt.Sprintln(d.log))
		}
		if deactivated := u.State == "deactivated"; deactivated != d.gone[u.Localpart] {
			d.t.Fatalf("%s: deactivated here is %v, after\n%s", u.Localpart, deactivated, fmt.Sprintln(d.log))
		}
	}
}

// TestDrift holds, over random histories, which sessions end when the homeserver deactivates accounts,
// deletes devices and is restored from backups, and that no others do.
func TestDrift(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := house.New(t, house.Unlimited)
			h.BehindSite()
			d := &drift{House: h, t: t, rand: rand.New(rand.NewPCG(seed, 0)), users: []string{"u1", "u2", "u3", "u4", "u5", "u6", "u7"}, gone: map[string]bool{}}
			h.Add(d.users...)
			for range 60 {
				d.step()
				d.check()
			}
		})
	}
}
