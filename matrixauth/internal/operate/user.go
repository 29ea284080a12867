package operate

import (
	"context"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// The operations on accounts.
const (
	// CheckNewUser reports whether AddUser would add an account, whatever its password.
	CheckNewUser   Operation[NewUser, struct{}]     = "user.check"
	AddUser        Operation[NewUser, User]         = "user.add"
	ListUsers      Operation[struct{}, []User]      = "user.list"
	ShowUser       Operation[Name, User]            = "user.show"
	SetPassword    Operation[NameAndPassword, User] = "user.set-password"
	AddEmail       Operation[NameAndEmail, User]    = "user.add-email"
	LockUser       Operation[Name, User]            = "user.lock"
	UnlockUser     Operation[Name, User]            = "user.unlock"
	DeactivateUser Operation[Deactivation, User]    = "user.deactivate"
	ReactivateUser Operation[Name, User]            = "user.reactivate"
	SetAdmin       Operation[AdminRight, User]      = "user.set-admin"
	AllowReset     Operation[Name, ResetAllowed]    = "user.allow-reset"
)

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

func (n NewUser) given() string { return n.Localpart }

// Name names a user: a localpart or a full Matrix id.
type Name struct {
	User string `json:"user"`
}

func (n Name) given() string { return n.User }

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

func (o *Operations) checkNewUser(ctx context.Context, _ model.Actor, p NewUser) (struct{}, error) {
	return struct{}{}, o.c.Users.Judge(ctx, user.NewUser(p))
}

func (o *Operations) addUser(ctx context.Context, by model.Actor, p NewUser) (User, error) {
	created, err := o.c.Users.Create(ctx, by, user.NewUser(p))
	note(ctx, created, slog.Bool("existing", p.Existing), slog.Bool("force", p.Force), slog.Bool("admin", p.Admin))
	if err != nil {
		return User{}, err
	}
	return view(ctx, o, func(tx *store.Tx) (User, error) { return o.describe(tx, created) })
}

// describe reads what goes with an account.
func (o *Operations) describe(tx *store.Tx, u model.User) (User, error) {
	described := User{
		ID: u.ID, Localpart: u.Localpart, MatrixID: model.MatrixID(u.Localpart, o.c.ServerName), State: u.State(), Admin: u.Admin,
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

// batch bounds the rows that are read in one transaction.
const batch = 500

func (o *Operations) listUsers(ctx context.Context, _ model.Actor, _ struct{}) ([]User, error) {
	all := []User{}
	for after := ""; ; {
		found, err := view(ctx, o, func(tx *store.Tx) ([]model.User, error) {
			found, err := tx.Users(after, batch)
			for _, u := range found {
				if err != nil {
					return nil, err
				}
				var described User
				described, err = o.describe(tx, u)
				all = append(all, described)
			}
			return found, err
		})
		if err != nil || len(found) < batch {
			return all, err
		}
		after = found[len(found)-1].Localpart
	}
}

func (o *Operations) showUser(ctx context.Context, _ model.Actor, p Name) (User, error) {
	return view(ctx, o, func(tx *store.Tx) (User, error) {
		found, err := o.find(ctx, tx, p.User)
		if err != nil {
			return User{}, err
		}
		return o.describe(tx, found)
	})
}

// change applies f to the account of a name, and describes it as it is after that, in one transaction.
func (o *Operations) change(ctx context.Context, name string, f func(tx *store.Tx, who *model.User) error) (User, error) {
	return update(ctx, o, func(tx *store.Tx) (User, error) {
		found, err := o.find(ctx, tx, name)
		if err == nil {
			err = f(tx, &found)
		}
		if err != nil {
			return User{}, err
		}
		return o.describe(tx, found)
	})
}

func (o *Operations) setPassword(ctx context.Context, by model.Actor, p NameAndPassword) (User, error) {
	hash, err := o.c.Users.HashPassword(ctx, p.Password)
	if err != nil {
		return User{}, err
	}
	return o.change(ctx, p.User, func(tx *store.Tx, who *model.User) error { return o.c.Users.SetPassword(tx, by, *who, hash) })
}

func (o *Operations) addEmail(ctx context.Context, by model.Actor, p NameAndEmail) (User, error) {
	return o.change(ctx, p.User, func(tx *store.Tx, who *model.User) error { return o.c.Users.AddEmail(tx, by, *who, p.Email) })
}

func (o *Operations) lockUser(ctx context.Context, by model.Actor, p Name) (User, error) {
	return o.change(ctx, p.User, func(tx *store.Tx, who *model.User) error { return o.c.Users.Lock(tx, by, who) })
}

func (o *Operations) unlockUser(ctx context.Context, by model.Actor, p Name) (User, error) {
	return o.change(ctx, p.User, func(tx *store.Tx, who *model.User) error { return o.c.Users.Unlock(tx, by, who) })
}

func (o *Operations) deactivateUser(ctx context.Context, by model.Actor, p Deactivation) (User, error) {
	note(ctx, model.User{}, slog.Bool("erase", p.Erase))
	return o.change(ctx, p.User, func(tx *store.Tx, who *model.User) error { return o.c.Users.Deactivate(tx, by, who, p.Erase) })
}

func (o *Operations) reactivateUser(ctx context.Context, by model.Actor, p Name) (User, error) {
	return o.change(ctx, p.User, func(tx *store.Tx, who *model.User) error { return o.c.Users.Reactivate(tx, by, who) })
}

func (o *Operations) setAdmin(ctx context.Context, by model.Actor, p AdminRight) (User, error) {
	note(ctx, model.User{}, slog.Bool("admin", p.Admin))
	return o.change(ctx, p.User, func(tx *store.Tx, who *model.User) error { return o.c.Users.SetAdmin(tx, by, who, p.Admin) })
}

func (o *Operations) allowReset(ctx context.Context, by model.Actor, p Name) (ResetAllowed, error) {
	who, err := view(ctx, o, func(tx *store.Tx) (model.User, error) { return o.find(ctx, tx, p.User) })
	if err != nil {
		return ResetAllowed{}, err
	}
	if err := user.CheckActive(who); err != nil {
		return ResetAllowed{}, err
	}
	until, err := o.c.Users.AllowReset(ctx, by, who)
	return ResetAllowed{MatrixID: model.MatrixID(who.Localpart, o.c.ServerName), Until: until}, err
}
