package store

import (
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// AccountFilter says which accounts to list. What is empty chooses all.
type AccountFilter struct {
	// ID is the id of one account.
	ID string
	// State is one of model.User.State.
	State string
	// Admin chooses those that may administer the homeserver.
	Admin bool
	// Prefix is how the localpart, or the key of an address, begins.
	Prefix string
	// After is the localpart behind which the page begins.
	After string
	Limit int
}

// Account is a user with what goes with the account.
type Account struct {
	model.User
	// Emails are the addresses, oldest first.
	Emails []string
	// Sessions counts the live sessions.
	Sessions int
}

// emailBreak separates the addresses of an account: none holds a line break.
const emailBreak = "\n"

// selectAccount reads a page with all that goes with it at once.
const selectAccount = `SELECT id, localpart, admin, created_at, locked_at, deactivated_at,
	COALESCE((SELECT string_agg(address, '` + emailBreak + `' ORDER BY created_at, id) FROM user_emails WHERE user_id = users.id), ''),
	(SELECT COUNT(*) FROM sessions WHERE user_id = users.id AND ended_at IS NULL) FROM users WHERE localpart > ?1`

// accountStates are the conditions of the states of model.User.
var accountStates = map[string]string{
	"active":      " AND locked_at IS NULL AND deactivated_at IS NULL",
	"locked":      " AND locked_at IS NOT NULL AND deactivated_at IS NULL",
	"deactivated": " AND deactivated_at IS NOT NULL",
}

// Accounts lists accounts in the order of their localparts, in one statement.
func (tx *Tx) Accounts(f AccountFilter) ([]Account, error) {
	query := selectAccount
	if f.ID != "" {
		query += " AND id = ?3"
	}
	if f.State != "" {
		query += accountStates[f.State]
	}
	if f.Admin {
		query += " AND admin"
	}
	if f.Prefix != "" {
		query += ` AND (localpart >= ?4 AND localpart < ?5 OR id IN (SELECT user_id FROM user_emails WHERE key >= ?4 AND key < ?5))`
	}
	return many(tx, func(s scanner) (a Account, err error) {
		var emails string
		err = s.Scan(&a.ID, &a.Localpart, &a.Admin, timeInto{&a.CreatedAt}, timeInto{&a.LockedAt}, timeInto{&a.DeactivatedAt}, &emails, &a.Sessions)
		if emails != "" {
			a.Emails = strings.Split(emails, emailBreak)
		}
		return a, err
	}, query+" ORDER BY localpart LIMIT ?2", f.After, f.Limit, f.ID, f.Prefix, f.Prefix+"\U0010ffff")
}

// SessionFilter says which sessions to list, of apps and of browsers. What is empty chooses all.
type SessionFilter struct {
	UserID, ClientID string
	// Live and Ended choose those that live and those that have ended.
	Live, Ended bool
	// Prefix is how the id begins.
	Prefix string
	// After is the id behind which the page begins.
	After string
	Limit int
}

// ListedSession is a session of the Matrix API or of a browser, with its user's name.
type ListedSession struct {
	model.Session
	Localpart string
	// Browser reports whether it is of a browser.
	Browser bool
}

// Sessions lists sessions of apps and browsers in the order of their starts, in one statement.
func (tx *Tx) Sessions(f SessionFilter) ([]ListedSession, error) {
	where := " WHERE id > ?1"
	if f.UserID != "" {
		where += " AND user_id = ?3"
	}
	if f.Prefix != "" {
		where += " AND id >= ?5 AND id < ?6"
	}
	if f.Live && !f.Ended {
		where += " AND ended_at IS NULL"
	}
	if f.Ended && !f.Live {
		where += " AND ended_at IS NOT NULL"
	}
	const order = " ORDER BY id LIMIT ?2"
	apps, browsers := where, where
	if f.ClientID != "" {
		apps, browsers = apps+" AND client_id = ?4", browsers+" AND ?4 = ''"
	}
	query := `SELECT id, kind, user_id, device_id, device_name, scope, created_at, last_active_at, last_ip, user_agent, ended_at, end_reason, client_id, twice_at, browser,
		(SELECT localpart FROM users WHERE id = user_id) FROM (
		SELECT * FROM (SELECT id, kind, user_id, device_id, device_name, scope, created_at, last_active_at, last_ip, user_agent, ended_at, end_reason, client_id, twice_at,
			FALSE AS browser FROM sessions` + apps + order + `)
		UNION ALL
		SELECT * FROM (SELECT id, 'browser', user_id, '', '', '', created_at, last_active_at, last_ip, user_agent, ended_at, end_reason, '', NULL,
			TRUE FROM browser_sessions` + browsers + order + `)) AS page` + order
	return many(tx, func(s scanner) (v ListedSession, err error) {
		err = s.Scan(&v.ID, &v.Kind, &v.UserID, &v.DeviceID, &v.DeviceName, &v.Scope, timeInto{&v.CreatedAt}, timeInto{&v.LastActiveAt}, &v.LastIP, &v.UserAgent,
			timeInto{&v.EndedAt}, &v.EndReason, &v.ClientID, timeInto{&v.TwiceAt}, &v.Browser, &v.Localpart)
		return v, err
	}, query, f.After, f.Limit, f.UserID, f.ClientID, f.Prefix, f.Prefix+"\U0010ffff")
}

// ListedClient is a client that registered itself, with the number of its live sessions.
type ListedClient struct {
	model.Client
	Sessions int
}

// Clients lists at most limit clients that registered themselves in the order of their ids, beginning behind after.
func (tx *Tx) Clients(after string, limit int) ([]ListedClient, error) {
	return many(tx, func(s scanner) (c ListedClient, err error) {
		c.Client, err = scanClient(withMore{s, []any{&c.Sessions}})
		return c, err
	}, strings.Replace(selectClient, " FROM ", ", (SELECT COUNT(*) FROM sessions WHERE client_id = clients.id AND ended_at IS NULL) FROM ", 1)+
		" WHERE id > ?1 ORDER BY id LIMIT ?2", after, limit)
}

// withMore scans further columns behind those that are asked for.
type withMore struct {
	scanner
	more []any
}

// Scan scans a row.
func (w withMore) Scan(dest ...any) error { return w.scanner.Scan(append(dest, w.more...)...) }

// LiveSessionsOf lists all live sessions of a client.
func (tx *Tx) LiveSessionsOf(clientID string) ([]model.Session, error) {
	return many(tx, scanSession, selectSession+" WHERE client_id = ?1 AND ended_at IS NULL", clientID)
}

// DeleteClient removes a client that registered itself, the consents to it and the requests that it made, and reports
// whether it was there, with the number of consents.
func (tx *Tx) DeleteClient(id string) (there bool, consents int64, err error) {
	n, err := tx.exec("DELETE FROM clients WHERE id = ?1", id)
	if err != nil || n == 0 {
		return false, 0, err
	}
	if _, err := tx.exec("DELETE FROM authorizations WHERE client_id = ?1", id); err != nil {
		return true, 0, err
	}
	consents, err = tx.exec("DELETE FROM consents WHERE client_id = ?1", id)
	return true, consents, err
}
