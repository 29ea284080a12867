package operate

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// RestrictedAgain counts what was done again to a backup that is put back, as the database that it replaces has it: what
// takes something from somebody, and nothing that gives.
type RestrictedAgain struct {
	// SessionsEnded counts sessions of apps and of browsers.
	SessionsEnded     int `json:"sessions_ended"`
	UsersDeactivated  int `json:"users_deactivated"`
	UsersLocked       int `json:"users_locked"`
	UsersDemoted      int `json:"users_demoted"`
	PasswordsChanged  int `json:"passwords_changed"`
	ConsentsWithdrawn int `json:"consents_withdrawn"`
	ClientsRemoved    int `json:"clients_removed"`
	// InvitationsRestricted counts registration tokens that were revoked or used.
	InvitationsRestricted int64 `json:"invitations_restricted"`
	RegistrationsRejected int64 `json:"registrations_rejected"`
}

// ByHand is something that the replaced database had, and that an operator has to do again.
type ByHand struct {
	What string `json:"what"`
	// How is a command, or what else is to be done.
	How string `json:"how"`
}

// RestrictAgain does again, in the transaction of a backup that is put back, what the database that it replaces has of
// what only restricts, in the name of who puts it back, and lists what else is to be done. Its error is a
// *store.ReplacedError if nothing follows from that database.
func (o *Operations) RestrictAgain(tx *store.Tx, by model.Actor) (done RestrictedAgain, byHand []ByHand, err error) {
	old, err := tx.Replaced()
	if err != nil {
		return done, nil, err
	}
	for _, step := range []func(*store.Tx, model.Actor, store.Replaced, *RestrictedAgain) error{
		o.settleJobs, o.endAgain, o.restrictUsers, o.changePasswords, o.withdrawAgain, o.removeClientsAgain, o.deactivateAgain, o.restrictRegistrations,
	} {
		if err := step(tx, by, old, &done); err != nil {
			return done, nil, err
		}
	}
	return done, byHandOf(old), tx.CountAsBefore()
}

// settleJobs forgets deletions of devices that were done since the backup, and has those done that wait, unless somebody
// has signed in on the device since.
func (o *Operations) settleJobs(tx *store.Tx, _ model.Actor, old store.Replaced, _ *RestrictedAgain) error {
	for _, position := range old.Done {
		if err := tx.DeleteJob(position); err != nil {
			return err
		}
	}
	for _, job := range old.Deletions {
		var device session.DeleteDevice
		if err := json.Unmarshal([]byte(job.Payload), &device); err != nil {
			continue // nobody could do it
		}
		lives, err := tx.LivesInReplaced(job.Lane.Subject, device.DeviceID)
		if err != nil {
			return err
		}
		if lives {
			continue
		}
		same, err := tx.Job(job.Position)
		switch {
		case err == nil && same.CreatedAt.Equal(job.CreatedAt):
			err = tx.RetryJob(job.Position)
		case err == nil, errors.Is(err, model.ErrNotFound):
			err = session.DeleteDeviceJob.Enqueue(o.c.Outbox, tx, job.Lane.Subject, device)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *Operations) endAgain(tx *store.Tx, by model.Actor, old store.Replaced, done *RestrictedAgain) error {
	for _, s := range old.EndedSessions {
		lived, err := o.c.Sessions.EndAgain(tx, by, s.ID, s.Reason)
		if err != nil {
			return err
		}
		if lived {
			done.SessionsEnded++
		}
	}
	for _, id := range old.EndedWhileLost {
		lived, err := o.endedWhileLost(tx, by, id)
		if err != nil {
			return err
		}
		if lived {
			done.SessionsEnded++
		}
	}
	if err := tx.KeepLostEnds(); err != nil {
		return err
	}
	for _, s := range old.EndedBrowsers {
		_, err := o.c.Browsers.End(tx, by, s.ID, s.Reason)
		switch {
		case errors.Is(err, model.SessionNotFound): // it is over by its age
		case err != nil:
			return err
		default:
			done.SessionsEnded++
		}
	}
	return nil
}

// endedWhileLost ends a session whose holder ended it while it was lost. Its device has not been deleted yet, and is left
// alone only if another session has taken it since.
func (o *Operations) endedWhileLost(tx *store.Tx, by model.Actor, id string) (lived bool, err error) {
	s, err := tx.Session(id)
	if err != nil {
		return false, err
	}
	taken, err := tx.LivesInReplaced(s.UserID, s.DeviceID)
	if err != nil {
		return false, err
	}
	if taken {
		return o.c.Sessions.EndAgain(tx, by, id, model.EndLogout)
	}
	_, lived, err = o.c.Sessions.EndLive(tx, by, id, model.EndLogout)
	return lived, err
}

func (o *Operations) restrictUsers(tx *store.Tx, by model.Actor, old store.Replaced, done *RestrictedAgain) error {
	change := func(ids []string, count *int, f func(*model.User) error) error {
		for _, id := range ids {
			who, err := tx.User(id)
			if err == nil {
				err = f(&who)
			}
			if err != nil {
				return err
			}
			*count++
		}
		return nil
	}
	return errors.Join(
		change(old.Locked, &done.UsersLocked, func(who *model.User) error { return o.c.Users.Lock(tx, by, who) }),
		change(old.Demoted, &done.UsersDemoted, func(who *model.User) error { return o.c.Users.SetAdmin(tx, by, who, false) }),
	)
}

func (o *Operations) deactivateAgain(tx *store.Tx, by model.Actor, old store.Replaced, done *RestrictedAgain) error {
	for _, id := range old.Deactivated {
		who, err := tx.User(id)
		if err == nil {
			err = o.c.Users.Deactivate(tx, by, &who, false)
		}
		if err != nil {
			return err
		}
		done.UsersDeactivated++
	}
	return nil
}

func (o *Operations) changePasswords(tx *store.Tx, by model.Actor, old store.Replaced, done *RestrictedAgain) error {
	for _, p := range old.Passwords {
		who, err := tx.User(p.UserID)
		if err != nil {
			return err
		}
		if who.Deactivated() {
			continue // it opens nothing
		}
		if err := o.c.Users.SetPassword(tx, by, who, p.Hash, user.Ends{}); err != nil {
			return err
		}
		done.PasswordsChanged++
	}
	return nil
}

func (o *Operations) withdrawAgain(tx *store.Tx, by model.Actor, old store.Replaced, done *RestrictedAgain) error {
	for _, c := range old.Withdrawn {
		n, err := tx.DeleteConsent(c.UserID, c.ClientID, c.RedirectURI)
		if err != nil || n == 0 { // an end of before took it
			if err != nil {
				return err
			}
			continue
		}
		if err := tx.Record(by, model.ActionWithdrawConsent, c.UserID, model.Details{"client_id": c.ClientID, "consents": n}); err != nil {
			return err
		}
		done.ConsentsWithdrawn++
	}
	return nil
}

func (o *Operations) restrictRegistrations(tx *store.Tx, _ model.Actor, _ store.Replaced, done *RestrictedAgain) (err error) {
	done.InvitationsRestricted, done.RegistrationsRejected, err = tx.RestrictRegistrations()
	return err
}

// removeClientsAgain removes registrations that are gone, unless a session goes on with one: its app could not refresh.
func (o *Operations) removeClientsAgain(tx *store.Tx, by model.Actor, old store.Replaced, done *RestrictedAgain) error {
	for _, id := range old.RemovedClients {
		c, live, err := o.findClient(tx, id)
		if err != nil {
			return err
		}
		if len(live) > 0 || c.Static {
			continue
		}
		consents, err := o.c.Clients.Remove(tx, id)
		if err != nil {
			return err
		}
		done.ClientsRemoved++
		if c.ProvenAt.IsZero() {
			continue // nobody ever consented to it, and it may have gone by its age
		}
		if err := tx.Record(by, model.ActionRemoveClient, "", model.Details{"client_id": id, "name": c.Name(""), "sessions": 0, "consents": consents}); err != nil {
			return err
		}
	}
	return nil
}

// byHandOf lists what an operator has to do again.
func byHandOf(old store.Replaced) (all []ByHand) {
	each := func(names []string, what, how string) {
		for _, name := range names {
			all = append(all, ByHand{fmt.Sprintf(what, name), fmt.Sprintf(how, name)})
		}
	}
	each(old.Added, "the account %s is gone", "caddy matrix-auth user add %s --existing")
	each(old.Promoted, "%s may not administer Synapse any more", "caddy matrix-auth user promote %s")
	each(old.Unlocked, "%s is locked again", "caddy matrix-auth user unlock %s")
	each(old.Reactivated, "%s is deactivated again", "caddy matrix-auth user reactivate %s")
	each(old.Readdressed, "the mail addresses of %s are those of the backup", "caddy matrix-auth user show %s, then user add-email and user remove-email")
	if old.Begun > 0 {
		all = append(all, ByHand{fmt.Sprintf("%d sessions began after the backup, and their apps wait", old.Begun), "who has such an app signs in with it anew"})
	}
	return all
}

// ByHandUnread lists what may have to be done again where the replaced database cannot be read, or there was none.
func ByHandUnread(asOf time.Time) []ByHand {
	since := ""
	if !asOf.IsZero() {
		since = " since " + asOf.Format(time.RFC3339)
	}
	return []ByHand{
		{"sessions that ended" + since + " live again", "caddy matrix-auth session end"},
		{"accounts that were locked or deactivated" + since + " are not", "caddy matrix-auth user lock, user deactivate"},
		{"passwords, consents and rights are as they were", "caddy matrix-auth user set-password, consent withdraw, user demote"},
		{"accounts and mail addresses that were added" + since + " are gone", "caddy matrix-auth user add --existing, user add-email"},
		{"sessions that began" + since + " are not known, and their apps wait", "who has such an app signs in with it anew"},
	}
}
