package move

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// Importer writes accounts of another server into our store, in one transaction. The homeserver is told nothing: it has them.
type Importer struct {
	Users         *user.Users
	Sessions      *session.Sessions
	Registrations *registration.Registrations
	// ServerName is the homeserver's name in Matrix ids.
	ServerName string
	// claimed reports whether the store is known to be that homeserver's.
	claimed bool
}

// claim has the store be the homeserver's, once for all accounts of a transaction.
func (i *Importer) claim(tx *store.Tx) error {
	if i.claimed {
		return nil
	}
	i.claimed = true
	return tx.Claim(i.ServerName)
}

// merge is one account on its way into the store. Three states meet in it: the base, which is how the account was taken
// last; theirs, which is how it is at the other server now; and ours. What changed there only is followed; what changed on
// both sides stays as it is here, and is noted.
type merge struct {
	*Importer
	tx    *store.Tx
	by    model.Actor
	their Account
	// base is nil if the account was never taken.
	base *snapshot
	// next becomes the base of the next run.
	next snapshot
	// hash is the hash of their password as it is stored here.
	hash string
	// user is ours; its ID is empty if there is none.
	user     model.User
	taken    *Taken
	findings *Findings
	// made reports whether the account is new here, changed whether something of an old one changed.
	made, changed bool
	// networks are those that were noted.
	networks map[string]bool
}

// Take takes an account over, in the transaction of a batch, in the name of who runs it. What cannot come is noted in
// findings; an error is one of the store.
func (i *Importer) Take(tx *store.Tx, by model.Actor, a Account, taken *Taken, findings *Findings) error {
	localpart, serverName, ok := model.ParseMatrixID(a.Name)
	if !ok || serverName != i.ServerName || localpart != a.Localpart {
		return model.Errorf(model.InvalidParam, "%q is no account of %s", a.Name, i.ServerName)
	}
	m := &merge{Importer: i, tx: tx, by: by, their: a, taken: taken, findings: findings}
	state := a.Fingerprint()
	row, err := tx.TakenAccount(a.Name)
	switch {
	case errors.Is(err, model.ErrNotFound):
	case err != nil:
		return err
	case bytes.Equal(row.Fingerprint, state):
		taken.Unchanged++
		return nil
	default:
		m.base = &snapshot{}
		if err := json.Unmarshal(row.Taken, m.base); err != nil {
			return fmt.Errorf("the journal of %s: %w", a.Name, err)
		}
	}
	if err := m.run(); err != nil {
		return fmt.Errorf("%s: %w", a.Name, err)
	}
	next, err := json.Marshal(m.next)
	if err != nil {
		return err
	}
	return tx.KeepTaken(store.TakenAccount{Name: a.Name, UserID: m.user.ID, Fingerprint: state, Taken: next})
}

// run finds the account here, and takes over what it has.
func (m *merge) run() (err error) {
	m.user, err = m.tx.UserByLocalpart(m.their.Localpart)
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return err
	}
	if m.their.PasswordHash != "" {
		if m.hash, err = m.Users.StoredHash(m.tx, m.their.PasswordHash); err != nil {
			return err
		}
	}
	m.next = snapshot{Admin: m.their.Admin, Locked: m.their.Locked, Deactivated: m.their.Deactivated}
	if m.user.ID == "" {
		goesOn, err := m.waiting()
		if err != nil || !goesOn {
			return err
		}
		if err := m.create(); err != nil {
			return err
		}
	} else if err := m.follow(); err != nil {
		return err
	}
	if err := m.password(); err != nil {
		return err
	}
	if m.user.Deactivated() {
		return nil // nothing but the name and what says so to who knows the password
	}
	for _, step := range []func() error{m.emails, m.others, m.terms, m.sessions} {
		if err := step(); err != nil {
			return err
		}
	}
	if m.changed {
		m.taken.UsersChanged++
	}
	return nil
}

// conflict notes that something changed on both sides.
func (m *merge) conflict(format string, args ...any) {
	m.taken.Kept++
	m.findings.Note(ChangedHere, m.their.Name+": "+fmt.Sprintf(format, args...))
}

// Gone follows that the other server has an account no more that was taken: it is deactivated here, unless it goes on here.
func (i *Importer) Gone(tx *store.Tx, by model.Actor, name string, taken *Taken, findings *Findings) error {
	row, err := tx.TakenAccount(name)
	if errors.Is(err, model.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	m := &merge{Importer: i, tx: tx, by: by, their: Account{Name: name}, base: &snapshot{}, taken: taken, findings: findings}
	if err := json.Unmarshal(row.Taken, m.base); err != nil {
		return fmt.Errorf("the journal of %s: %w", name, err)
	}
	if err := m.gone(row.UserID); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return tx.ForgetTaken(name)
}

func (m *merge) gone(userID string) (err error) {
	if m.base.Registration != "" {
		return m.dropWaiting()
	}
	if m.user, err = m.tx.User(userID); err != nil {
		return err
	}
	if m.user.Deactivated() {
		return nil
	}
	goesOn, err := m.livesHere()
	if err != nil {
		return err
	}
	if goesOn {
		m.conflict("the account is gone there")
		return nil
	}
	m.taken.UsersGone++
	m.findings.Note(AccountGone, m.their.Name)
	return m.Users.FollowDeactivated(m.tx, m.by, &m.user)
}

// livesHere reports whether an account has what it did not bring along: another password, or a sign-in of its own.
func (m *merge) livesHere() (bool, error) {
	at, err := m.passwordAt()
	if err != nil {
		return false, err
	}
	if at != m.base.PasswordAt {
		return true, nil
	}
	live, err := m.tx.LiveSessions(m.user.ID)
	if err != nil {
		return false, err
	}
	brought := map[string]int64{}
	for _, s := range m.base.Sessions {
		brought[s.ID] = s.Pairs
	}
	for _, s := range live {
		if pairs, known := brought[s.ID]; !known || s.Pairs != pairs {
			return true, nil
		}
	}
	return false, nil
}
