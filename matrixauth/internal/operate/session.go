package operate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// The operations on sessions.
const (
	ListSessions Operation[SessionQuery, SessionPage] = "session.list"
	EndSessions  Operation[SessionsToEnd, Ended]      = "session.end"
	IssueToken   Operation[NewToken, IssuedToken]     = "token.issue"
)

// BrowserKind is the kind of a Session that is not a session of the Matrix API, but a browser that is signed
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
	// TwiceAt is when two parties were last found to refresh the session at once, from one network.
	TwiceAt time.Time `json:"twice_at,omitzero"`
	// EndedAt and EndReason are of a session that has ended.
	EndedAt   time.Time `json:"ended_at,omitzero"`
	EndReason string    `json:"end_reason,omitempty"`
}

// SessionQuery says which sessions are asked for: live ones, if nothing else is said.
type SessionQuery struct {
	// User is whose sessions they are, as typed; empty for all.
	User string `json:"user,omitempty"`
	// ClientID is whose they are; empty for all.
	ClientID string `json:"client_id,omitempty"`
	// All asks for those that live and those that have ended, Ended for the latter alone.
	All   bool `json:"all,omitempty"`
	Ended bool `json:"ended,omitempty"`
	// Search is how the id begins.
	Search string `json:"search,omitempty"`
	// After is the Next of the page before; empty for the first. Limit bounds the page.
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

func (s SessionQuery) typedUser() string { return s.User }

// SessionPage is a page of sessions in the order of their starts.
type SessionPage struct {
	Sessions []Session `json:"sessions"`
	// Next is the After of the next page; empty at the end.
	Next string `json:"next,omitempty"`
}

// SessionsToEnd names the sessions to end: one by its id, or all of a user.
type SessionsToEnd struct {
	Session string `json:"session,omitempty"`
	User    string `json:"user,omitempty"`
	// DryRun ends nothing, and tells how many it would.
	DryRun bool `json:"dry_run,omitempty"`
}

func (s SessionsToEnd) typedUser() string { return s.User }

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

func (o *Operations) listSessions(ctx context.Context, _ model.Actor, p SessionQuery) (SessionPage, error) {
	size := pageSize(p.Limit)
	return view(ctx, o, func(tx *store.Tx) (SessionPage, error) {
		filter := store.SessionFilter{ClientID: p.ClientID, Live: p.All || !p.Ended, Ended: p.All || p.Ended, Prefix: p.Search, After: p.After, Limit: size + 1}
		if p.User != "" {
			found, err := o.find(ctx, tx, p.User)
			if err != nil {
				return SessionPage{}, err
			}
			filter.UserID = found.ID
		}
		found, err := tx.Sessions(filter)
		if err != nil {
			return SessionPage{}, err
		}
		page := SessionPage{Sessions: []Session{}}
		found, page.Next = cutPage(found, size, func(one store.ListedSession) string { return one.ID })
		names := map[string]string{}
		for _, one := range found {
			if !filter.Ended && one.Browser && browser.Over(model.BrowserSession{CreatedAt: one.CreatedAt, LastActiveAt: one.LastActiveAt}, tx.Now) {
				continue // nobody has used it for long, and it counts for nothing
			}
			name, known := names[one.ClientID]
			if !known && one.ClientID != "" {
				if name, err = o.clientName(tx, one.ClientID); err != nil {
					return SessionPage{}, err
				}
				names[one.ClientID] = name
			}
			page.Sessions = append(page.Sessions, describeSession(one, name))
		}
		return page, nil
	})
}

func describeSession(one store.ListedSession, clientName string) Session {
	return Session{
		ID: one.ID, Kind: string(one.Kind), User: one.Localpart, ClientID: one.ClientID, ClientName: clientName,
		DeviceID: one.DeviceID, DeviceName: one.DeviceName, Scope: one.Scope, CreatedAt: one.CreatedAt, LastActiveAt: one.LastActiveAt,
		LastIP: one.LastIP, UserAgent: one.UserAgent, TwiceAt: one.TwiceAt, EndedAt: one.EndedAt, EndReason: string(one.EndReason),
	}
}

// clientName returns the name of a client; empty for a static one that the configuration has no more.
func (o *Operations) clientName(tx *store.Tx, id string) (string, error) {
	c, err := o.c.Clients.In(tx, id)
	if errors.Is(err, model.UnknownClient) {
		return "", nil
	}
	return c.Name(""), err
}

func (o *Operations) endSessions(ctx context.Context, by model.Actor, p SessionsToEnd) (Ended, error) {
	noteDryRun(ctx, p.DryRun)
	return updateUnless(ctx, o, p.DryRun, func(tx *store.Tx) (Ended, error) {
		if p.Session != "" {
			return o.endSession(ctx, tx, by, p.Session)
		}
		found, err := o.find(ctx, tx, p.User)
		if err != nil {
			return Ended{}, err
		}
		n, err := o.c.Users.EndEverything(tx, by, found.ID, model.EndByOperator)
		note(ctx, found, slog.Int("sessions", n))
		return Ended{n}, err
	})
}

// endSession ends the session of an id, of whatever kind.
func (o *Operations) endSession(ctx context.Context, tx *store.Tx, by model.Actor, id string) (Ended, error) {
	note(ctx, model.User{}, slog.String("session_id", id))
	ended, err := o.c.Users.EndOne(tx, by, id, model.EndByOperator)
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
