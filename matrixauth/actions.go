package matrixauth

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// Nothing stands for parameters or results that do not exist.
type Nothing struct{}

// User is an account as operators see it.
type User struct {
	ID            string    `json:"id"`
	Localpart     string    `json:"localpart"`
	MatrixID      string    `json:"matrix_id"`
	State         string    `json:"state"`
	Admin         bool      `json:"admin"`
	Emails        []string  `json:"emails,omitempty"`
	Sessions      int       `json:"sessions"`
	CreatedAt     time.Time `json:"created_at"`
	LockedAt      time.Time `json:"locked_at,omitzero"`
	DeactivatedAt time.Time `json:"deactivated_at,omitzero"`
}

// BrowserKind is the kind of a Session that is no session of the Matrix API, but a browser that is signed
// in at our pages.
const BrowserKind = "browser"

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

// NewUser is an account to add.
type NewUser struct {
	// Localpart is a localpart, or the full Matrix id with our server name.
	Localpart   string `json:"localpart"`
	Password    string `json:"password"`
	Email       string `json:"email,omitempty"`
	DisplayName string `json:"display_name,omitempty"`
	Admin       bool   `json:"admin,omitempty"`
	// Existing takes over an account that the homeserver has already, and which must be there.
	Existing bool `json:"existing,omitempty"`
	// Force does without the homeserver's word if it cannot be asked, and takes over an account that it has
	// deactivated, as deactivated. What the homeserver does say counts all the same.
	Force bool `json:"force,omitempty"`
}

// Name names a user: a localpart or a full Matrix id.
type Name struct {
	User string `json:"user"`
}

// NameAndPassword is a user and the new password.
type NameAndPassword struct {
	Name
	Password string `json:"password"`
}

// NameAndEmail is a user and an address to add.
type NameAndEmail struct {
	Name
	Email string `json:"email"`
}

// Deactivation is a user to deactivate.
type Deactivation struct {
	Name
	// Erase hides the user's messages from newcomers too.
	Erase bool `json:"erase"`
}

// AdminRight is a user and whether they may administer Synapse.
type AdminRight struct {
	Name
	Admin bool `json:"admin"`
}

// ResetAllowed is a user whose clients may replace the cross-signing keys, and until when.
type ResetAllowed struct {
	MatrixID string    `json:"matrix_id"`
	Until    time.Time `json:"until"`
}

// Kill names the sessions to end: one by its id, or all of a user.
type Kill struct {
	Session string `json:"session,omitempty"`
	User    string `json:"user,omitempty"`
}

// Killed is how many sessions were ended.
type Killed struct {
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

// The actions of an operator.
var (
	// CheckNewUser reports whether AddUser would add an account, whatever its password.
	CheckNewUser   = newQuery("user.check", (*Server).checkNewUser)
	AddUser        = newAction("user.add", (*Server).addUser)
	ListUsers      = newQuery("user.list", (*Server).listUsers)
	ShowUser       = newQuery("user.show", (*Server).showUser)
	SetPassword    = newAction("user.set-password", (*Server).setPassword)
	AddEmail       = newAction("user.add-email", (*Server).addEmail)
	LockUser       = newAction("user.lock", (*Server).lockUser)
	UnlockUser     = newAction("user.unlock", (*Server).unlockUser)
	DeactivateUser = newAction("user.deactivate", (*Server).deactivateUser)
	ReactivateUser = newAction("user.reactivate", (*Server).reactivateUser)
	SetAdmin       = newAction("user.set-admin", (*Server).setAdmin)
	AllowReset     = newAction("user.allow-reset", (*Server).allowReset)
	ListSessions   = newQuery("session.list", (*Server).listSessions)
	KillSessions   = newAction("session.kill", (*Server).killSessions)
	IssueToken     = newAction("token.issue", (*Server).issueToken)
)

func (s *Server) checkNewUser(ctx context.Context, p NewUser) (Nothing, error) {
	return Nothing{}, s.users.Judge(ctx, user.NewUser(p))
}

func (s *Server) addUser(ctx context.Context, p NewUser) (User, error) {
	created, err := s.users.Create(ctx, user.NewUser(p))
	noteSubject(ctx, created, slog.Bool("existing", p.Existing), slog.Bool("force", p.Force), slog.Bool("admin", p.Admin))
	return s.described(ctx, created, err)
}

// describe reads what goes with an account.
func (s *Server) describe(ctx context.Context, u model.User) (described User, err error) {
	err = s.core.store.View(ctx, func(tx *store.Tx) error {
		described, err = s.describeIn(tx, u)
		return err
	})
	return described, err
}

func (s *Server) describeIn(tx *store.Tx, u model.User) (User, error) {
	described := User{
		ID: u.ID, Localpart: u.Localpart, MatrixID: model.MatrixID(u.Localpart, s.config.ServerName), State: u.State(), Admin: u.Admin,
		CreatedAt: u.CreatedAt, LockedAt: u.LockedAt, DeactivatedAt: u.DeactivatedAt,
	}
	emails, err := tx.Emails(u.ID)
	if err != nil {
		return User{}, err
	}
	for _, e := range emails {
		described.Emails = append(described.Emails, e.Address)
	}
	live, err := tx.LiveSessions(u.ID)
	described.Sessions = len(live)
	return described, err
}

// described turns the result of a change into what operators see, and notes whom it was about.
func (s *Server) described(ctx context.Context, u model.User, err error) (User, error) {
	noteSubject(ctx, u)
	if err != nil {
		return User{}, err
	}
	return s.describe(ctx, u)
}

// batch bounds the rows that are read in one transaction.
const batch = 500

func (s *Server) listUsers(ctx context.Context, _ Nothing) ([]User, error) {
	all := []User{}
	for after := ""; ; {
		var found []model.User
		err := s.core.store.View(ctx, func(tx *store.Tx) (err error) {
			if found, err = tx.Users(after, batch); err != nil {
				return err
			}
			for _, u := range found {
				described, err := s.describeIn(tx, u)
				if err != nil {
					return err
				}
				all = append(all, described)
			}
			return nil
		})
		if err != nil || len(found) < batch {
			return all, err
		}
		after = found[len(found)-1].Localpart
	}
}

func (s *Server) showUser(ctx context.Context, p Name) (described User, err error) {
	err = s.core.store.View(ctx, func(tx *store.Tx) error {
		found, err := s.users.ByName(tx, p.User)
		if err != nil {
			return err
		}
		described, err = s.describeIn(tx, found)
		return err
	})
	return described, err
}

func (s *Server) setPassword(ctx context.Context, p NameAndPassword) (User, error) {
	changed, err := s.users.SetPassword(ctx, p.User, p.Password)
	return s.described(ctx, changed, err)
}

func (s *Server) addEmail(ctx context.Context, p NameAndEmail) (User, error) {
	changed, err := s.users.AddEmail(ctx, p.User, p.Email)
	return s.described(ctx, changed, err)
}

func (s *Server) lockUser(ctx context.Context, p Name) (User, error) {
	changed, err := s.users.Lock(ctx, p.User)
	return s.described(ctx, changed, err)
}

func (s *Server) unlockUser(ctx context.Context, p Name) (User, error) {
	changed, err := s.users.Unlock(ctx, p.User)
	return s.described(ctx, changed, err)
}

func (s *Server) deactivateUser(ctx context.Context, p Deactivation) (User, error) {
	changed, err := s.users.Deactivate(ctx, p.User, p.Erase)
	noteSubject(ctx, changed, slog.Bool("erase", p.Erase))
	return s.described(ctx, changed, err)
}

func (s *Server) reactivateUser(ctx context.Context, p Name) (User, error) {
	changed, err := s.users.Reactivate(ctx, p.User)
	return s.described(ctx, changed, err)
}

func (s *Server) setAdmin(ctx context.Context, p AdminRight) (User, error) {
	changed, err := s.users.SetAdmin(ctx, p.User, p.Admin)
	noteSubject(ctx, changed, slog.Bool("admin", p.Admin))
	return s.described(ctx, changed, err)
}

func (s *Server) allowReset(ctx context.Context, p Name) (ResetAllowed, error) {
	var who model.User
	err := s.core.store.View(ctx, func(tx *store.Tx) (err error) {
		who, err = s.users.ByName(tx, p.User)
		return err
	})
	if err != nil {
		return ResetAllowed{}, err
	}
	noteSubject(ctx, who)
	if who.Deactivated() {
		return ResetAllowed{}, model.Errorf(model.UserDeactivated, "the account is deactivated; reactivate it first")
	}
	until, err := s.users.AllowReset(ctx, who)
	return ResetAllowed{MatrixID: model.MatrixID(who.Localpart, s.config.ServerName), Until: until}, err
}

func (s *Server) listSessions(ctx context.Context, p Name) ([]Session, error) {
	all := []Session{}
	err := s.core.store.View(ctx, func(tx *store.Tx) error {
		found, err := s.users.ByName(tx, p.User)
		if err != nil {
			return err
		}
		live, err := tx.LiveSessions(found.ID)
		if err != nil {
			return err
		}
		for _, one := range live {
			described, err := s.describeSession(tx, found, one)
			if err != nil {
				return err
			}
			all = append(all, described)
		}
		browsers, err := s.browsers.Live(tx, found.ID)
		for _, one := range browsers {
			all = append(all, Session{
				ID: one.ID, Kind: BrowserKind, User: found.Localpart,
				CreatedAt: one.CreatedAt, LastActiveAt: one.LastActiveAt, LastIP: one.LastIP, UserAgent: one.UserAgent,
			})
		}
		return err
	})
	return all, err
}

func (s *Server) describeSession(tx *store.Tx, owner model.User, one model.Session) (Session, error) {
	described := Session{
		ID: one.ID, Kind: string(one.Kind), User: owner.Localpart, ClientID: one.ClientID,
		DeviceID: one.DeviceID, DeviceName: one.DeviceName, Scope: one.Scope,
		CreatedAt: one.CreatedAt, LastActiveAt: one.LastActiveAt, LastIP: one.LastIP, UserAgent: one.UserAgent,
	}
	if one.ClientID == "" {
		return described, nil
	}
	c, err := s.clients.In(tx, one.ClientID)
	if errors.Is(err, model.UnknownClient) {
		return described, nil // a static client that the configuration has no more
	}
	described.ClientName = c.Name("")
	return described, err
}

func (s *Server) killSessions(ctx context.Context, p Kill) (killed Killed, err error) {
	err = s.core.store.Update(ctx, func(tx *store.Tx) error {
		if p.Session != "" {
			killed.Sessions = 1
			return s.killOne(ctx, tx, p.Session)
		}
		found, err := s.users.ByName(tx, p.User)
		if err != nil {
			return err
		}
		killed.Sessions, err = s.users.EndEverything(tx, found.ID, model.EndKilled)
		noteSubject(ctx, found, slog.Int("sessions", killed.Sessions))
		return err
	})
	return killed, err
}

// killOne ends the session of an id, of whatever kind.
func (s *Server) killOne(ctx context.Context, tx *store.Tx, id string) error {
	one, err := tx.LiveSession(id)
	if err == nil {
		if err := s.concernsSession(ctx, tx, one.UserID, id, one.DeviceID); err != nil {
			return err
		}
		return s.sessions.End(tx, one, model.EndKilled)
	}
	if !errors.Is(err, model.ErrNotFound) {
		return err
	}
	b, err := tx.BrowserSession(id)
	if errors.Is(err, model.ErrNotFound) || err == nil && b.Ended() {
		noteSubject(ctx, model.User{}, slog.String("session_id", id))
		return model.Errorf(model.SessionNotFound, "there is no live session of this id")
	}
	if err != nil {
		return err
	}
	if err := s.concernsSession(ctx, tx, b.UserID, id, ""); err != nil {
		return err
	}
	return tx.EndBrowserSession(id, model.EndKilled)
}

// concernsSession notes that an action is about a session, and whose it is.
func (s *Server) concernsSession(ctx context.Context, tx *store.Tx, userID, id, device string) error {
	owner, err := tx.User(userID)
	if err != nil {
		return err
	}
	noteSubject(ctx, owner, slog.String("session_id", id))
	if device != "" {
		noteSubject(ctx, owner, slog.String("device_id", device))
	}
	return nil
}

func (s *Server) issueToken(ctx context.Context, p NewToken) (IssuedToken, error) {
	var owner model.User
	err := s.core.store.View(ctx, func(tx *store.Tx) (err error) {
		owner, err = s.users.ByName(tx, p.User)
		return err
	})
	if err != nil {
		return IssuedToken{}, err
	}
	noteSubject(ctx, owner, slog.Bool("admin", p.Admin))
	if p.Admin && !owner.Admin {
		return IssuedToken{}, model.Errorf(model.InvalidParam, "%s may not administer Synapse; promote the account first", owner.Localpart)
	}
	started, tokens, err := s.sessions.Start(ctx, session.Start{
		Kind: model.CompatSession, User: owner, DeviceID: p.DeviceID, DeviceName: p.DeviceName, Scope: model.CompatScope(p.Admin),
	})
	if err != nil {
		return IssuedToken{}, err
	}
	noteSubject(ctx, owner, slog.String("session_id", started.ID), slog.String("device_id", started.DeviceID))
	return IssuedToken{Token: tokens.Access, DeviceID: started.DeviceID, MatrixID: model.MatrixID(owner.Localpart, s.config.ServerName)}, nil
}
