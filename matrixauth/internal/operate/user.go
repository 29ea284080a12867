package operate

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// The operations on accounts.
const (
	// CheckNewUser reports whether AddUser would add an account, whatever its password.
	CheckNewUser   Operation[NewUser, struct{}]        = "user.check"
	AddUser        Operation[NewUser, User]            = "user.add"
	ListUsers      Operation[UserQuery, UserPage]      = "user.list"
	ShowUser       Operation[Name, User]               = "user.show"
	SetPassword    Operation[NameAndPassword, User]    = "user.set-password"
	RemoveEmail    Operation[NameAndEmail, User]       = "user.remove-email"
	SetDisplayName Operation[NameAndDisplayName, User] = "user.set-display-name"
	AddEmail       Operation[NameAndEmail, User]       = "user.add-email"
	LockUser       Operation[Name, User]               = "user.lock"
	UnlockUser     Operation[Name, User]               = "user.unlock"
	DeactivateUser Operation[Deactivation, User]       = "user.deactivate"
	// TryDeactivateUser describes the account that DeactivateUser would deactivate, and changes nothing. It is an operation
	// of its own, and no parameter: a server from before it, which an upgraded command may still meet, left out what it did
	// not know of the parameters, and did the rest.
	TryDeactivateUser Operation[Deactivation, User] = "user.try-deactivate"
	ReactivateUser    Operation[Name, User]         = "user.reactivate"
	SetAdmin          Operation[AdminRight, User]   = "user.set-admin"
	AllowReset        Operation[Name, ResetAllowed] = "user.allow-reset"
)

// User is an account as operators see it.
type User struct {
	ID            string    `json:"id"`
	Localpart     string    `json:"localpart"`
	MatrixID      string    `json:"matrix_id"`
	State         string    `json:"state"`
	Admin         bool      `json:"admin"`
	Emails        []string  `json:"emails"`
	Sessions      int       `json:"sessions"`
	CreatedAt     time.Time `json:"created_at"`
	LockedAt      time.Time `json:"locked_at,omitzero"`
	DeactivatedAt time.Time `json:"deactivated_at,omitzero"`
	// Terms are the versions of the terms of service that the holder accepted, oldest first; only ShowUser tells them.
	Terms []AcceptedTerms `json:"terms,omitempty"`
}

// AcceptedTerms is a version of the terms of service that somebody accepted.
type AcceptedTerms struct {
	Version string    `json:"version"`
	At      time.Time `json:"at"`
}

// UserQuery says which accounts are asked for. What is empty chooses all.
type UserQuery struct {
	// State is "active", "locked" or "deactivated".
	State string `json:"state,omitempty"`
	// Admin chooses those that may administer Synapse.
	Admin bool `json:"admin,omitempty"`
	// Search is how the user name, or a mail address, begins.
	Search string `json:"search,omitempty"`
	// After is the Next of the page before; empty for the first. Limit bounds the page.
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// UserPage is a page of accounts in the order of their names.
type UserPage struct {
	Users []User `json:"users"`
	// Next is the After of the next page; empty at the end.
	Next string `json:"next,omitempty"`
}

// NameAndDisplayName is a user and the name that others are to see.
type NameAndDisplayName struct {
	Name
	DisplayName string `json:"display_name"`
}

// NewUser is an account to add.
type NewUser struct {
	// Localpart is a localpart, or the full Matrix id with our server name.
	Localpart string `json:"localpart"`
	Password  string `json:"password"`
	// Weak takes a password that the policy refuses, but for what it never lets pass.
	Weak        bool   `json:"weak,omitempty"`
	Email       string `json:"email,omitempty"`
	DisplayName string `json:"display_name,omitempty"`
	Admin       bool   `json:"admin,omitempty"`
	// Existing takes over an account that the homeserver has already, and which must be there.
	Existing bool `json:"existing,omitempty"`
	// Force does without the homeserver's word if it cannot be asked, and takes over an account that it has
	// deactivated, as deactivated. What the homeserver does say counts all the same.
	Force bool `json:"force,omitempty"`
}

func (n NewUser) typedUser() string { return n.Localpart }

// Name names a user: a localpart or a full Matrix id.
type Name struct {
	User string `json:"user"`
}

func (n Name) typedUser() string { return n.User }

// NameAndPassword is a user and the new password.
type NameAndPassword struct {
	Name
	Password string `json:"password"`
	// Weak takes a password that the policy refuses, but for what it never lets pass.
	Weak bool `json:"weak,omitempty"`
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
	return struct{}{}, o.c.Users.CheckNew(ctx, user.NewUser(p))
}

func (o *Operations) addUser(ctx context.Context, by model.Actor, p NewUser) (User, error) {
	created, err := o.c.Users.Create(ctx, by, user.NewUser(p))
	note(ctx, created, slog.Bool("existing", p.Existing), slog.Bool("force", p.Force), slog.Bool("admin", p.Admin))
	noteWeak(ctx, p.Weak)
	if err != nil {
		return User{}, err
	}
	return view(ctx, o, func(tx *store.Tx) (User, error) { return o.describe(tx, created) })
}

// describe reads what goes with an account.
func (o *Operations) describe(tx *store.Tx, u model.User) (User, error) {
	found, err := tx.Accounts(store.AccountFilter{ID: u.ID, Limit: 1})
	if err == nil && len(found) == 0 {
		err = model.ErrNotFound
	}
	if err != nil {
		return User{}, err
	}
	return o.describeAccount(found[0]), nil
}

func (o *Operations) describeAccount(a store.Account) User {
	return User{
		ID: a.ID, Localpart: a.Localpart, MatrixID: model.MatrixID(a.Localpart, o.c.ServerName), State: a.State(), Admin: a.Admin,
		Emails: append([]string{}, a.Emails...), Sessions: a.Sessions, CreatedAt: a.CreatedAt, LockedAt: a.LockedAt, DeactivatedAt: a.DeactivatedAt,
	}
}

func (o *Operations) listUsers(ctx context.Context, _ model.Actor, p UserQuery) (UserPage, error) {
	switch p.State {
	case "", "active", "locked", "deactivated":
	default:
		return UserPage{}, model.Errorf(model.InvalidParam, "%q is not a state of an account; name active, locked or deactivated", p.State)
	}
	size := pageSize(p.Limit)
	found, err := view(ctx, o, func(tx *store.Tx) ([]store.Account, error) {
		return tx.Accounts(store.AccountFilter{State: p.State, Admin: p.Admin, Prefix: strings.ToLower(p.Search), After: p.After, Limit: size + 1})
	})
	if err != nil {
		return UserPage{}, err
	}
	page := UserPage{Users: []User{}}
	found, page.Next = cutPage(found, size, func(a store.Account) string { return a.Localpart })
	for _, a := range found {
		page.Users = append(page.Users, o.describeAccount(a))
	}
	return page, nil
}

func (o *Operations) showUser(ctx context.Context, _ model.Actor, p Name) (User, error) {
	return view(ctx, o, func(tx *store.Tx) (User, error) {
		found, err := o.find(ctx, tx, p.User)
		if err != nil {
			return User{}, err
		}
		shown, err := o.describe(tx, found)
		if err != nil {
			return User{}, err
		}
		accepted, err := tx.AcceptedTerms(found.ID)
		for _, a := range accepted {
			shown.Terms = append(shown.Terms, AcceptedTerms(a))
		}
		return shown, err
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

// noteWeak has the log tell of an operator who goes against the policy of passwords.
func noteWeak(ctx context.Context, weak bool) {
	if weak {
		note(ctx, model.User{}, slog.Bool("weak", true))
	}
}

func (o *Operations) setPassword(ctx context.Context, by model.Actor, p NameAndPassword) (User, error) {
	who, err := view(ctx, o, func(tx *store.Tx) (model.User, error) { return o.find(ctx, tx, p.User) })
	if err != nil {
		return User{}, err
	}
	noteWeak(ctx, p.Weak)
	var hash string
	if p.Weak {
		hash, err = o.c.Users.HashWeakPassword(ctx, p.Password)
	} else {
		hash, err = o.c.Users.HashPasswordFor(ctx, who, p.Password)
	}
	if err != nil {
		return User{}, err
	}
	return o.change(ctx, p.User, func(tx *store.Tx, who *model.User) error {
		return o.c.Users.SetPassword(tx, by, *who, hash, user.Ends{})
	})
}

func (o *Operations) addEmail(ctx context.Context, by model.Actor, p NameAndEmail) (User, error) {
	return o.change(ctx, p.User, func(tx *store.Tx, who *model.User) error { return o.c.Users.AddEmail(tx, by, *who, p.Email) })
}

func (o *Operations) removeEmail(ctx context.Context, by model.Actor, p NameAndEmail) (User, error) {
	return o.change(ctx, p.User, func(tx *store.Tx, who *model.User) error { return o.c.Users.RemoveEmail(tx, by, *who, p.Email) })
}

func (o *Operations) setDisplayName(ctx context.Context, by model.Actor, p NameAndDisplayName) (User, error) {
	return o.change(ctx, p.User, func(tx *store.Tx, who *model.User) error {
		return o.c.Users.SetDisplayName(tx, by, *who, p.DisplayName)
	})
}

func (o *Operations) lockUser(ctx context.Context, by model.Actor, p Name) (User, error) {
	return o.change(ctx, p.User, func(tx *store.Tx, who *model.User) error { return o.c.Users.Lock(tx, by, who) })
}

func (o *Operations) unlockUser(ctx context.Context, by model.Actor, p Name) (User, error) {
	return o.change(ctx, p.User, func(tx *store.Tx, who *model.User) error { return o.c.Users.Unlock(tx, by, who) })
}

func (o *Operations) deactivateUser(ctx context.Context, by model.Actor, p Deactivation) (User, error) {
	return o.deactivateUnless(ctx, false, by, p)
}

func (o *Operations) tryDeactivateUser(ctx context.Context, by model.Actor, p Deactivation) (User, error) {
	return o.deactivateUnless(ctx, true, by, p)
}

// deactivateUnless deactivates an account and describes it; in a dry run, which undoes it, as it was.
func (o *Operations) deactivateUnless(ctx context.Context, dryRun bool, by model.Actor, p Deactivation) (User, error) {
	note(ctx, model.User{}, slog.Bool("erase", p.Erase))
	noteDryRun(ctx, dryRun)
	return updateUnless(ctx, o, dryRun, func(tx *store.Tx) (User, error) {
		found, err := o.find(ctx, tx, p.User)
		if err != nil {
			return User{}, err
		}
		before, err := o.describe(tx, found)
		if err == nil {
			err = o.c.Users.Deactivate(tx, by, &found, p.Erase)
		}
		if err != nil || dryRun {
			return before, err
		}
		return o.describe(tx, found)
	})
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
