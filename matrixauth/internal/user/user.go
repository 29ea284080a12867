// Package user creates accounts, checks their passwords, and locks, deactivates and revives accounts.
// What follows from a change at the homeserver goes through the outbox in the same transaction.
package user

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/notify"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/verification"
)

// Config is what accounts depend upon.
type Config struct {
	Store     *store.Store
	Outbox    *outbox.Outbox
	Sessions  *session.Sessions
	Browsers  *browser.Browsers
	Passwords *password.Hasher
	// Limiter bounds what people change as often as they like.
	Limiter *limit.Limiter
	// Policy judges new passwords.
	Policy     *password.Policy
	Homeserver *homeserver.Client
	// Seal opens the peppers of passwords that came along from another server.
	Seal *seal.Keeper
	// BcryptCost has new passwords hashed by bcrypt at this cost, as Synapse verifies them; zero means argon2id.
	BcryptCost int
	// Verifications prove the addresses that people add, and Letters says whether that can be.
	Verifications *verification.Verifications
	Letters       *notify.Letters
	// AllowEmail reports whether the operator's rules let people have an address.
	AllowEmail func(address string) bool
	// ReadOnly keeps everything from being written to the homeserver.
	ReadOnly bool
	// ServerName is the homeserver's name in Matrix ids.
	ServerName string
	// Notify tells the holder of an account what happened to it, in the transaction of that; nil tells nobody.
	Notify func(tx *store.Tx, n model.Notice) error
	Logger *slog.Logger
}

// Users creates and changes accounts.
type Users struct {
	config Config
	// peppers are those that were opened already, by id; they never change.
	peppers sync.Map
}

// New makes the accounts of a configuration.
func New(c Config) *Users { return &Users{config: c} }

// notify has the holder of an account told what happened to it. No addresses means all that the account has.
func (u *Users) notify(tx *store.Tx, kind model.NoticeKind, userID string, to []model.Email) error {
	if u.config.Notify == nil {
		return nil
	}
	n := model.Notice{Kind: kind, UserID: userID}
	for _, email := range to {
		n.Addresses = append(n.Addresses, email.Address)
	}
	return u.config.Notify(tx, n)
}

// matrixID returns the full Matrix id of a localpart of ours.
func (u *Users) matrixID(localpart string) string {
	return model.MatrixID(localpart, u.config.ServerName)
}

// logUser returns how a line of the log names a user.
func (u *Users) logUser(who model.User) slog.Attr {
	return model.LogUser(who.Localpart, u.config.ServerName, who.ID)
}

// localpartOf returns the localpart of a name, which may be a full Matrix id of our server. One of another server
// is an Error with code UserNotFound.
func (u *Users) localpartOf(name string) (string, error) {
	localpart, server, ok := model.ParseMatrixID(name)
	if !ok {
		return name, nil
	}
	if !strings.EqualFold(server, u.config.ServerName) {
		return "", model.Errorf(model.UserNotFound, "%s is of another server; ours is %s", name, u.config.ServerName)
	}
	return localpart, nil
}

// ByName finds an account by its localpart or full Matrix id, as an operator typed it: in the exact
// spelling, or else in small letters, or else in the one that there is. It returns an Error with code UserNotFound for any other.
func (u *Users) ByName(tx *store.Tx, name string) (model.User, error) {
	localpart, err := u.localpartOf(name)
	if err != nil {
		return model.User{}, err
	}
	found, err := tx.UserByLogin(localpart)
	if errors.Is(err, model.ErrNotFound) {
		return found, model.Errorf(model.UserNotFound, "there is no account %s here", u.matrixID(localpart))
	}
	return found, err
}

// SetAdmin says whether a user may ask for Synapse's administration scope. Taking the right away ends the sessions that hold
// it. A person's app that signed in by the legacy API at the homeserver, where every token of an administrator had it, goes
// on without: its keys must not be lost. The homeserver may honour what it remembers for two minutes.
func (u *Users) SetAdmin(tx *store.Tx, by model.Actor, user *model.User, admin bool) error {
	if user.Admin != admin {
		if err := tx.Record(by, model.ActionSetAdmin, user.ID, model.Details{"admin": admin}); err != nil {
			return err
		}
	}
	user.Admin = admin
	if err := tx.UpdateUser(*user); err != nil || admin {
		return err
	}
	live, err := tx.LiveSessions(user.ID)
	if err != nil {
		return err
	}
	for _, s := range live {
		if !model.Administers(s.Scope) {
			continue
		}
		if err := u.demote(tx, by, *user, s); err != nil {
			return err
		}
	}
	return nil
}

// demote takes the right to administer the homeserver from a session.
func (u *Users) demote(tx *store.Tx, by model.Actor, user model.User, s model.Session) error {
	brought, err := tx.TakenAccount(u.matrixID(user.Localpart))
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return err
	}
	if s.DeviceID != "" && bytes.Contains(brought.Taken, []byte(s.ID)) {
		return tx.SetScope(s.ID, model.CompatScope(false))
	}
	return u.config.Sessions.End(tx, by, s, model.EndByOperator)
}
