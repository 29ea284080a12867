package house

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/sqlite"
)

// tables are all that hold rows of ours.
var tables = []string{
	"users",
	"user_emails",
	"passwords",
	"sessions",
	"tokens",
	"outbox",
	"browser_sessions",
	"clients",
	"authorizations",
	"consents",
	"known_networks",
	"known_browsers",
	"failed_sign_ins",
	"homeserver",
	"registrations",
	"registration_tokens",
	"accepted_terms",
	"taken_accounts",
	"taken_registration_tokens",
	"taken_position",
	"external_links",
	"other_threepids",
	"password_peppers",
	"events",
	"lost_sessions",
	"lost_ended",
	"recoveries",
	"verifications",
}

// Rows returns the content of every table, so that a test can tell that nothing was changed.
func (h *House) Rows() string { h.T.Helper(); return sqlite.Dump(h.T, h.File, tables...) }

// Count returns how many rows a table has, or those of a condition behind its name.
func (h *House) Count(where string, args ...any) int {
	h.T.Helper()
	return sqlite.Count(h.T, h.File, where, args...)
}

// SQL changes rows behind our back.
func (h *House) SQL(statements string, args ...any) {
	h.T.Helper()
	sqlite.Exec(h.T, h.File, statements, args...)
}

// View reads from the store.
func (h *House) View(f func(tx *store.Tx) error) {
	h.T.Helper()
	h.Must(h.Store.View(context.Background(), f))
}

// UserID returns the id of an account.
func (h *House) UserID(localpart string) (id string) {
	h.T.Helper()
	h.View(func(tx *store.Tx) error {
		u, err := tx.UserByLocalpart(localpart)
		id = u.ID
		return err
	})
	return id
}

// SetAside lists the jobs that the homeserver refused for good.
func (h *House) SetAside() (jobs []model.Job) {
	h.T.Helper()
	h.View(func(tx *store.Tx) (err error) {
		jobs, err = tx.JobsSetAside(100)
		return err
	})
	return jobs
}

// SeedRows adds an account and its password as an import does, and has the homeserver know it.
func SeedRows(localpart, hash string, seed func(fake.User)) func(*store.Tx) error {
	seed(fake.User{Localpart: localpart})
	return func(tx *store.Tx) error {
		u := model.User{ID: model.NewID(tx.Now), Localpart: localpart, CreatedAt: tx.Now}
		if err := tx.InsertUser(u); err != nil {
			return err
		}
		return tx.SetPassword(u.ID, hash)
	}
}

// Seed adds an account as an import does: with a name that user add would refuse.
func (h *House) Seed(localpart, clear string) error {
	hash, err := h.Passwords.Hash(context.Background(), clear)
	if err != nil {
		return err
	}
	return h.Store.Update(context.Background(), SeedRows(localpart, hash, h.Fake.Seed))
}
