package move

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// waiting deals with an account that nobody has here, and reports whether it is to be made.
func (m *merge) waiting() (goesOn bool, err error) {
	waited := m.base != nil && m.base.Registration != ""
	switch {
	case m.their.Waiting && m.base == nil:
		return false, m.wait()
	case m.their.Waiting:
		m.next.Registration = m.base.Registration
		return false, nil
	case !waited:
		return true, nil
	}
	r, err := m.tx.Registration(m.base.Registration)
	if errors.Is(err, model.ErrNotFound) || err == nil && r.State == model.RegistrationRejected {
		m.next.Registration = m.base.Registration
		m.conflict("approved there, rejected here")
		return false, nil
	}
	return err == nil, errors.Join(err, m.dropWaiting())
}

// wait has an account that an administrator there did not approve wait for ours.
func (m *merge) wait() error {
	if _, err := m.tx.WaitingRegistration(m.their.Localpart); !errors.Is(err, model.ErrNotFound) {
		if err == nil {
			m.findings.Note(NameWaits, m.their.Name)
		}
		return err
	}
	r := model.Registration{
		Localpart: m.their.Localpart, PasswordHash: m.hash, PasswordAt: m.tx.Now, CreatedAt: m.createdAt(),
	}
	for _, a := range m.their.Emails {
		if email, err := model.ParseEmail(a.Address); err == nil {
			r.Email = email
			break
		}
	}
	id, err := m.Registrations.WaitAsBefore(m.tx, r)
	if err != nil {
		return err
	}
	m.next.Registration = id
	m.taken.Waiting++
	return nil
}

// dropWaiting takes back what waits for an operator here, as it is decided there.
func (m *merge) dropWaiting() error {
	r, err := m.tx.Registration(m.base.Registration)
	if errors.Is(err, model.ErrNotFound) {
		return nil
	}
	if err != nil || r.State != model.RegistrationWaiting {
		return err
	}
	r.State, r.FinishedAt = model.RegistrationDone, m.tx.Now
	return m.tx.UpdateRegistration(r)
}

// createdAt returns when the account was made; now if nobody knows.
func (m *merge) createdAt() time.Time {
	if at := m.their.CreatedAt; at.Unix() > 0 && at.Before(m.tx.Now) {
		return at
	}
	return m.tx.Now
}

// create makes the account.
func (m *merge) create() error {
	if err := m.claim(m.tx); err != nil {
		return err
	}
	at := m.createdAt()
	m.user = model.User{ID: model.NewID(at), Localpart: m.their.Localpart, Admin: m.their.Admin, CreatedAt: at}
	if m.their.Locked {
		m.user.LockedAt = m.tx.Now
		id := m.user.ID
		m.tx.AfterCommit(func() { m.Sessions.SetLocked(id, true) })
	}
	if m.their.Deactivated {
		m.user.DeactivatedAt = m.tx.Now
	}
	if err := m.tx.InsertUser(m.user); err != nil {
		return err
	}
	m.taken.Users++
	m.made = true
	// Nobody is welcomed who has been here for years.
	if _, err := m.tx.NoteSignIn(m.user.ID, ""); err != nil {
		return err
	}
	return m.tx.Record(m.by, model.ActionAddUser, m.user.ID, model.Details{"existing": true, "moved": true, "admin": m.user.Admin, "sessions": len(m.their.Sessions)})
}

// follow has an account that is here follow what changed there.
func (m *merge) follow() error {
	if m.base == nil {
		m.findings.Note(AccountExists, m.their.Name)
		// Nobody may do more by it than an operator here has decided: a lock and a deactivation there are followed, and
		// rights, and the absence of a lock, are not. If it is deactivated on both sides there is nothing to follow.
		m.base = &snapshot{Admin: m.their.Admin, Deactivated: m.user.Deactivated() && m.their.Deactivated}
		if at, err := m.passwordAt(); err != nil {
			return err
		} else if at != 0 {
			m.base.PasswordAt = -1 // a password of ours stays
		}
	}
	if m.differs(m.their.Deactivated, m.base.Deactivated, m.user.Deactivated(), "deactivated") {
		if m.their.Deactivated {
			return m.Users.FollowDeactivated(m.tx, m.by, &m.user)
		}
		m.user.DeactivatedAt = time.Time{}
		if err := m.write(model.ActionReactivateUser, nil); err != nil {
			return err
		}
	}
	if m.differs(m.their.Locked, m.base.Locked, m.user.Locked(), "locked") {
		if err := m.lock(m.their.Locked); err != nil {
			return err
		}
	}
	if m.differs(m.their.Admin, m.base.Admin, m.user.Admin, "admin") {
		m.user.Admin = m.their.Admin
		if err := m.write(model.ActionSetAdmin, model.Details{"admin": m.user.Admin}); err != nil || m.user.Admin {
			return err
		}
		return m.demote()
	}
	return nil
}

// demote takes the administration from the sessions that hold it. What came along goes on without, as it does there.
func (m *merge) demote() error {
	live, err := m.tx.LiveSessions(m.user.ID)
	if err != nil {
		return err
	}
	brought := m.base.seated(func(one seating) string { return one.ID })
	for _, s := range live {
		if !model.Administers(s.Scope) {
			continue
		}
		if _, along := brought[s.ID]; along {
			err = m.tx.SetScope(s.ID, model.CompatScope(false))
		} else {
			err = m.Sessions.End(m.tx, m.by, s, model.EndByOperator)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// differs reports whether a property is to follow: it changed there since the base and is not the same here, and it did not
// change here.
func (m *merge) differs(theirs, base, ours bool, what string) bool {
	if theirs == base || theirs == ours {
		return false
	}
	if ours != base {
		m.conflict("%s", what)
		return false
	}
	m.changed = true
	return true
}

func (m *merge) lock(lock bool) error {
	if lock {
		return m.Users.Lock(m.tx, m.by, &m.user)
	}
	return m.Users.Unlock(m.tx, m.by, &m.user)
}

// write writes the account, and what was done to it.
func (m *merge) write(action model.Action, details model.Details) error {
	if err := m.tx.UpdateUser(m.user); err != nil {
		return err
	}
	return m.tx.Record(m.by, action, m.user.ID, details)
}

// password takes over the hash. One that was upgraded here at a sign-in is of the password there, and follows it.
func (m *merge) password() error {
	if m.hash != "" {
		m.next.Password = digest(m.hash)
	}
	at, err := m.passwordAt()
	if err != nil {
		return err
	}
	m.next.PasswordAt = at
	base := snapshot{}
	if m.base != nil {
		base = *m.base
	}
	if bytes.Equal(m.next.Password, base.Password) {
		m.next.PasswordAt = base.PasswordAt
		return nil
	}
	if at != base.PasswordAt {
		m.next.PasswordAt = base.PasswordAt // it stays one of ours
		if base.PasswordAt >= 0 {
			m.conflict("the password")
		}
		return nil
	}
	if m.hash == "" {
		if err := m.tx.DeletePassword(m.user.ID); err != nil {
			return err
		}
		m.next.PasswordAt = 0
		m.changed = true
		return m.tx.Record(m.by, model.ActionSetPassword, m.user.ID, model.Details{"moved": true})
	}
	if err := m.setPassword(base.PasswordAt != 0); err != nil {
		return err
	}
	m.taken.Passwords++
	m.next.PasswordAt = m.tx.Now.UnixMicro()
	return nil
}

// passwordAt returns when the password was set here, in microseconds; zero for none. An upgrade of its hash does not count.
func (m *merge) passwordAt() (int64, error) {
	if m.made {
		return 0, nil
	}
	at, err := m.tx.PasswordChangedAt(m.user.ID)
	if errors.Is(err, model.ErrNotFound) {
		return 0, nil
	}
	return at.UnixMicro(), err
}

// setPassword writes the hash. A new one in place of another ends what the old one opened here.
func (m *merge) setPassword(replaces bool) error {
	if !replaces || m.user.Deactivated() {
		return m.tx.SetPassword(m.user.ID, m.hash)
	}
	m.changed = true
	return m.Users.FollowPassword(m.tx, m.by, m.user, m.hash)
}

// emails takes over the addresses that are new there, and takes away those that are gone.
func (m *merge) emails() error {
	var base [][]byte
	if m.base != nil {
		base = m.base.Emails
	}
	for _, a := range m.their.Emails {
		email, err := model.ParseEmail(a.Address)
		if err != nil {
			m.findings.Note(AddressRefused, m.their.Name)
			continue
		}
		mark := digest(email.Key)
		if has(m.next.Emails, mark) {
			continue
		}
		m.next.Emails = append(m.next.Emails, mark)
		if has(base, mark) {
			continue
		}
		if err := m.addEmail(email, a.AddedAt); err != nil {
			return err
		}
	}
	if len(base) == 0 {
		return nil
	}
	return m.removeEmails(base)
}

// has reports whether a digest is among others.
func has(all [][]byte, one []byte) bool {
	return slices.ContainsFunc(all, func(other []byte) bool { return bytes.Equal(one, other) })
}

func (m *merge) addEmail(email model.Email, addedAt time.Time) error {
	found, err := m.tx.EmailByKey(email.Key)
	if err == nil {
		if found.UserID != m.user.ID {
			m.findings.Note(AddressTaken, m.their.Name)
		}
		return nil
	}
	if !errors.Is(err, model.ErrNotFound) {
		return err
	}
	email.ID, email.UserID, email.CreatedAt = model.NewID(m.tx.Now), m.user.ID, addedAt
	if addedAt.Unix() <= 0 || addedAt.After(m.tx.Now) {
		email.CreatedAt = m.tx.Now
	}
	m.taken.Emails++
	m.changed = m.changed || m.base != nil
	return m.tx.InsertEmail(email)
}

func (m *merge) removeEmails(base [][]byte) error {
	ours, err := m.tx.Emails(m.user.ID)
	if err != nil {
		return err
	}
	for _, email := range ours {
		mark := digest(email.Key)
		if has(m.next.Emails, mark) || !has(base, mark) {
			continue
		}
		m.changed = true
		if _, err := m.tx.DeleteEmail(m.user.ID, email.ID); err != nil {
			return err
		}
	}
	return nil
}

// others replaces third-party ids that are no addresses, and links to identity providers. Nothing here changes them.
func (m *merge) others() error {
	if m.base != nil {
		if err := errors.Join(m.tx.DeleteOtherThreepids(m.user.ID), m.tx.DeleteExternalLinks(m.user.ID)); err != nil {
			return err
		}
	}
	for _, t := range m.their.Others {
		if err := m.tx.AddOtherThreepid(m.user.ID, t.Medium, t.Address, t.AddedAt); err != nil {
			return err
		}
	}
	for _, l := range m.their.Links {
		added, err := m.tx.AddExternalLink(m.user.ID, store.ExternalLink{Provider: l.Provider, Subject: l.Subject})
		if err != nil {
			return err
		}
		if !added {
			m.findings.Note(LinkTaken, m.their.Name)
		}
	}
	return nil
}

func (m *merge) terms() error {
	for _, t := range m.their.Terms {
		at := t.AcceptedAt
		if at.IsZero() {
			at = m.tx.Now
		}
		if err := m.tx.AcceptTermsAt(m.user.ID, t.Version, at); err != nil {
			return err
		}
	}
	return nil
}
