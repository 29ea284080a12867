package model

import "time"

// Action names what was done in an Event. The values are stored.
type Action string

// The actions of events: changes of an account and of what it has. In parentheses are their details.
const (
	ActionAddUser            Action = "user.add"                  // existing, admin, email
	ActionRegisterUser       Action = "user.register"             // registration, token, email, terms
	ActionCreateToken        Action = "registration-token.create" // token, uses, expires_at, name, email
	ActionRevokeToken        Action = "registration-token.revoke" // token
	ActionRejectRegistration Action = "registration.reject"       // registration, name
	ActionSetPassword        Action = "user.set-password"
	ActionAddEmail           Action = "user.add-email"        // email
	ActionRemoveEmail        Action = "user.remove-email"     // email
	ActionRecoveryEmail      Action = "user.recovery-email"   // email
	ActionRecoveryLink       Action = "user.recovery-link"    // expires
	ActionRecover            Action = "user.recover"          // operator, apps
	ActionSetDisplayName     Action = "user.set-display-name" // display_name
	ActionRemoveAvatar       Action = "user.remove-avatar"
	ActionRemoveClient       Action = "client.remove" // client_id, name, sessions, consents
	ActionRetryJob           Action = "outbox.retry"  // position, job
	ActionDropJob            Action = "outbox.drop"   // position, job
	ActionLockUser           Action = "user.lock"
	ActionUnlockUser         Action = "user.unlock"
	ActionDeactivateUser     Action = "user.deactivate"
	ActionReactivateUser     Action = "user.reactivate"
	ActionSetAdmin           Action = "user.set-admin"   // admin
	ActionAllowReset         Action = "user.allow-reset" // until
	ActionStartSession       Action = "session.start"    // kind, session_id, device_id, client_id
	ActionEndSession         Action = "session.end"      // kind, session_id, device_id, client_id, reason
	ActionRenameSession      Action = "session.rename"   // kind, session_id, device_id, client_id, name
	ActionEndLost            Action = "session.end-lost" // began_before, sessions
	ActionWithdrawConsent    Action = "consent.withdraw" // client_id or all, consents
	ActionRenewKey           Action = "key.renew"        // number, leaked
	ActionRestore            Action = "restore"          // as_of
)

// Details are what an Event tells beyond its action, by name. They hold no secret.
type Details map[string]any

// Event is a change that somebody made, as the audit log keeps it. It is written in the transaction of the change.
// What was refused is not an event, so that nobody who has not proved who they are can make us keep one.
type Event struct {
	// Position orders events; the store gives it.
	Position int64
	At       time.Time
	By       Actor
	Action   Action
	// UserID is whose account was changed; empty for what is no account's.
	UserID string
	// Localpart is that of the account, where the store could read it.
	Localpart string
	Details   Details
}

// SessionDetails returns the details of events about a session.
func SessionDetails(kind, id, deviceID, clientID string) Details {
	d := Details{"kind": kind, "session_id": id}
	if deviceID != "" {
		d["device_id"] = deviceID
	}
	if clientID != "" {
		d["client_id"] = clientID
	}
	return d
}

// Details returns those of events about the session.
func (s Session) Details() Details {
	return SessionDetails(string(s.Kind), s.ID, s.DeviceID, s.ClientID)
}

// BrowserKind is the kind of a browser session where it stands among sessions of the Matrix API.
const BrowserKind = "browser"

// Details returns those of events about the session.
func (s BrowserSession) Details() Details { return SessionDetails(BrowserKind, s.ID, "", "") }

// With returns details with one more.
func (d Details) With(name string, value any) Details {
	d[name] = value
	return d
}
