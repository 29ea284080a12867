package operate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// The operations on sessions.
const (
	ListSessions Operation[Name, []Session]       = "session.list"
	EndSessions  Operation[SessionsToEnd, Ended]  = "session.end"
	IssueToken   Operation[NewToken, IssuedToken] = "token.issue"
)

// BrowserKind is the kind of a Session that is no session of the Matrix API, but a browser that is signed
// in at our pages.
const BrowserKind = model.BrowserKind

// Session is a session as operators see it.
type Session struct {
	ID string `json:"id"`
	// Kind is "oauth", "compat" or BrowserKind.
	Kind string `json:"kind"`
	User string `json:"user"`
	// ClientID and ClientName are of the OAuth client; empty for any other kind.
	ClientID     string    `json:"client_id,omitempty"`
	ClientName   string    `json:"client_name,omitempty"`
	DeviceID     string    `json:"device_id"`
	DeviceName   string    `json:"device_name,omitempty"`
	Scope        string    `json:"scope"`
	CreatedAt    time.Time `json:"created_at"`
	LastActiveAt time.Time `json:"last_active_at"`
	LastIP       string    `json:"last_ip,omitempty"`
	UserAgent    string    `json:"user_agent,omitempty"`
}

// SessionsToEnd names the sessions to end: one by its id, or all of a user.
type SessionsToEnd struct {
	Session string `json:"session,omitempty"`
	User    string `json:"user,omitempty"`
}

func (s SessionsToEnd) given() string { return s.User }

// Ended is how many sessions were ended.
type Ended struct {
	Sessions int `json:"sessions"`
}

// NewToken asks for a compatibility token, for a bot.
type NewToken struct {
	Name
	DeviceID   string `json:"device_id,omitempty"`
	DeviceName string `json:"device_name,omitempty"`
	// Admin adds Synapse's administration scope, if the user may have it.
	Admin bool `json:"admin,omitempty"`
}

// IssuedToken is a token with its device.
type IssuedToken struct {
	Token    string `json:"token"`
	DeviceID string `json:"device_id"`
	MatrixID string `json:"matrix_id"`
}

func (o *Operations) listSessions(ctx context.Context, _ model.Actor, p Name) ([]Session, error) {
	return view(ctx, o, func(tx *store.Tx) ([]Session, error) {
		all := []Session{}
		found, err := o.find(ctx, tx, p.User)
		if err != nil {
			return nil, err
		}
		live, err := tx.LiveSessions(found.ID)
		if err != nil {
			return nil, err
		}
		for _, one := range live {
			described, err := o.describeSession(tx, found, one)
			if err != nil {
				return nil, err
			}
			all = append(all, described)
		}
		browsers, err := o.c.Browsers.Live(tx, found.ID)
		for _, one := range browsers {
			all = append(all, Session{
				ID: one.ID, Kind: BrowserKind, User: found.Localpart,
				CreatedAt: one.CreatedAt, LastActiveAt: one.LastActiveAt, LastIP: one.LastIP, UserAgent: one.UserAgent,
			})
		}
		return all, err
	})
}

func (o *Operations) describeSession(tx *store.Tx, owner model.User, one model.Session) (Session, error) {
	described := Session{
		ID: one.ID, Kind: string(one.Kind), User: owner.Localpart, ClientID: one.ClientID,
		DeviceID: one.DeviceID, DeviceName: one.DeviceName, Scope: one.Scope,
		CreatedAt: one.CreatedAt, LastActiveAt: one.LastActiveAt, LastIP: one.LastIP, UserAgent: one.UserAgent,
	}
	if one.ClientID == "" {
		return described, nil
	}
	c, err := o.c.Clients.In(tx, one.ClientID)
	if errors.Is(err, model.UnknownClient) {
		return described, nil // a static client that the configuration has no more
	}
	described.ClientName = c.Name("")
	return described, err
}

func (o *Operations) endSessions(ctx context.Context, by model.Actor, p SessionsToEnd) (Ended, error) {
	return update(ctx, o, func(tx *store.Tx) (Ended, error) {
		if p.Session != "" {
			return o.endSession(ctx, tx, by, p.Session)
		}
		found, err := o.find(ctx, tx, p.User)
		if err != nil {
			return Ended{}, err
		}
		n, err := o.c.Users.EndEverything(tx, by, found.ID, model.EndKilled)
		note(ctx, found, slog.Int("sessions", n))
		return Ended{n}, err
	})
}

// endSession ends the session of an id, of whatever kind.
func (o *Operations) endSession(ctx context.Context, tx *store.Tx, by model.Actor, id string) (Ended, error) {
	note(ctx, model.User{}, slog.String("session_id", id))
	ended, err := o.c.Users.EndOne(tx, by, id, model.EndKilled)
	if err != nil {
		return Ended{}, err
	}
	owner, err := tx.User(ended.UserID)
	note(ctx, owner)
	if ended.DeviceID != "" {
		note(ctx, owner, slog.String("device_id", ended.DeviceID))
	}
	return Ended{1}, err
}

func (o *Operations) issueToken(ctx context.Context, by model.Actor, p NewToken) (IssuedToken, error) {
	note(ctx, model.User{}, slog.Bool("admin", p.Admin))
	owner, err := view(ctx, o, func(tx *store.Tx) (model.User, error) { return o.find(ctx, tx, p.User) })
	if err != nil {
		return IssuedToken{}, err
	}
	if p.Admin && !owner.Admin {
		return IssuedToken{}, model.Errorf(model.InvalidParam, "%s may not administer Synapse; promote the account first", owner.Localpart)
	}
	started, tokens, err := o.c.Sessions.Start(ctx, session.Start{
		Kind: model.CompatSession, User: owner, DeviceID: p.DeviceID, DeviceName: p.DeviceName, Scope: model.CompatScope(p.Admin), By: by,
	})
	if err != nil {
		return IssuedToken{}, err
	}
	note(ctx, owner, slog.String("session_id", started.ID), slog.String("device_id", started.DeviceID))
	return IssuedToken{Token: tokens.Access, DeviceID: started.DeviceID, MatrixID: model.MatrixID(owner.Localpart, o.c.ServerName)}, nil
}
