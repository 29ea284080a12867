package user

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Profile is what others see of an account beside its name. The homeserver keeps it.
type Profile struct {
	// DisplayName is empty if there is none.
	DisplayName string
	// Avatar reports whether there is a picture.
	Avatar bool
}

// Profile asks the homeserver for the profile of an account. It returns an Error with code TemporarilyDown if no answer comes.
func (u *Users) Profile(ctx context.Context, who model.User) (Profile, error) {
	found, err := u.config.Homeserver.QueryUser(ctx, who.Localpart)
	if err != nil {
		return Profile{}, model.NewError(model.TemporarilyDown).WithCause(err)
	}
	return Profile{DisplayName: found.DisplayName, Avatar: found.AvatarURL != ""}, nil
}

// Rename has the homeserver show another name to others, at the wish of whose account it is; an empty one removes the name. It is
// done at once or not at all: whoever waits for the page is told. Errors: InvalidParam for a name that is too long, or no
// line of text; UserLocked, UserDeactivated; RateLimited, by us or by the homeserver; TemporarilyDown.
func (u *Users) Rename(ctx context.Context, by model.Actor, who model.User, name string) error {
	name = strings.TrimSpace(name)
	if err := checkDisplayName(name); err != nil {
		return err
	}
	if strings.ContainsFunc(name, unicode.IsControl) {
		return model.Errorf(model.InvalidParam, "a display name is one line of text")
	}
	if err := u.takeChange(who); err != nil {
		return err
	}
	return u.atHomeserver(ctx, who, func(ctx context.Context) error {
		if err := u.setDisplayName(ctx, who, name); err != nil {
			return err
		}
		return u.config.Store.Record(context.WithoutCancel(ctx), by, model.ActionSetDisplayName, who.ID, model.Details{"display_name": name})
	})
}

// RemoveAvatar has the homeserver show no picture of an account any more, at the wish of whose account it is. Its errors are
// those of Rename.
func (u *Users) RemoveAvatar(ctx context.Context, by model.Actor, who model.User) error {
	if err := u.takeChange(who); err != nil {
		return err
	}
	return u.atHomeserver(ctx, who, func(ctx context.Context) error {
		if err := u.config.Homeserver.UnsetAvatar(ctx, who.Localpart); err != nil {
			return err
		}
		return u.config.Store.Record(context.WithoutCancel(ctx), by, model.ActionRemoveAvatar, who.ID, nil)
	})
}

// takeChange counts a change that people can make again and again. Each is kept among what happened to the account, from which
// nobody, such as who found a browser signed in, must push the rest out. It returns RateLimited for one too many.
func (u *Users) takeChange(who model.User) error {
	return u.config.Limiter.Take(limit.Renames, who.ID, bound.RenamesPerAccount)
}

func (u *Users) setDisplayName(ctx context.Context, who model.User, name string) error {
	if name == "" {
		return u.config.Homeserver.UnsetDisplayName(ctx, who.Localpart)
	}
	return u.config.Homeserver.SetDisplayName(ctx, who.Localpart, name)
}

// atHomeserver does something to the profile of an account in its lane: what waits for the homeserver, such as its
// creation, is done before, and nothing is called for an account that the homeserver has deactivated at our wish meanwhile.
func (u *Users) atHomeserver(ctx context.Context, who model.User, do func(ctx context.Context) error) error {
	if u.config.ReadOnly {
		return model.Errorf(model.TemporarilyDown, "the homeserver is configured as read-only; nothing is written to it")
	}
	waiting, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	leave, err := u.config.Outbox.Enter(waiting, model.ToHomeserver.Lane(who.ID))
	if err != nil {
		return err
	}
	defer leave()
	err = u.config.Store.View(ctx, func(tx *store.Tx) error {
		now, err := tx.User(who.ID)
		if err == nil {
			err = now.MayAct()
		}
		return err
	})
	if err != nil {
		return err
	}
	return refusedProfile(do(ctx))
}

// refusedProfile says in our words why the homeserver did not take a change of a profile.
func refusedProfile(err error) error {
	var e *homeserver.Error
	switch {
	case !errors.As(err, &e):
		return err
	case e.Status == http.StatusTooManyRequests:
		return model.NewError(model.RateLimited).WithCause(err)
	case e.Reason == homeserver.Rejected:
		return model.Errorf(model.InvalidParam, "the homeserver does not take this").WithCause(err)
	}
	return model.NewError(model.TemporarilyDown).WithCause(err)
}
