package user

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// peppers is what they are sealed for.
const peppers seal.Purpose = "peppers of passwords from another server"

// ImportPepper keeps the pepper of the server from which hashes are taken over from now on; empty is none. StoredHash names
// it. The same pepper is kept once; those of earlier servers stay, as hashes name them.
func (u *Users) ImportPepper(tx *store.Tx, text string) error {
	kept, err := tx.Peppers()
	if err != nil || len(kept) == 0 && text == "" {
		return err
	}
	for _, row := range kept {
		known, err := u.openPepper(row)
		if err != nil {
			return err
		}
		if known.Text == text {
			return tx.UsePepper(row.ID)
		}
	}
	made := store.Pepper{ID: model.NewID(tx.Now)}
	if made.Sealed, err = u.config.Seal.Seal(tx, peppers, made.ID, []byte(text)); err != nil {
		return err
	}
	return tx.InsertPepper(made)
}

// StoredHash returns the form in which a hash is stored that was taken over from another server: one of bcrypt names the
// pepper that ImportPepper was told last.
func (u *Users) StoredHash(tx *store.Tx, hash string) (string, error) {
	if !password.IsBcrypt(hash) {
		return hash, nil
	}
	present, err := u.presentPepperIn(tx)
	return password.WithPepper(present.ID, hash), err
}

// HashForHomeserver returns a stored hash in the form that the homeserver verifies with the pepper that ImportPepper was
// told last; empty if it is of a scheme that it does not know, or was made with another pepper.
func (u *Users) HashForHomeserver(tx *store.Tx, stored string) (string, error) {
	id, hash := password.PepperOf(stored)
	if !password.IsBcrypt(hash) {
		return "", nil
	}
	present, err := u.presentPepperIn(tx)
	if err != nil || present.ID != id {
		return "", err
	}
	return hash, nil
}

// presentPepperIn returns the pepper that new hashes of bcrypt are made with: the one that was told last.
func (u *Users) presentPepperIn(tx *store.Tx) (password.Pepper, error) {
	kept, err := tx.Peppers()
	if err != nil || len(kept) == 0 {
		return password.Pepper{}, err
	}
	present, err := u.openPepper(kept[0])
	if present.Text == "" {
		present.ID = "" // such a hash is one without a pepper
	}
	return present, err
}

func (u *Users) presentPepper(ctx context.Context) (p password.Pepper, err error) {
	err = u.config.Store.View(ctx, func(tx *store.Tx) error {
		p, err = u.presentPepperIn(tx)
		return err
	})
	return p, later(err)
}

// pepperOf returns the pepper that a stored hash names, if it names one.
func (u *Users) pepperOf(ctx context.Context, stored string) (p password.Pepper, err error) {
	id, _ := password.PepperOf(stored)
	if id == "" {
		return p, nil
	}
	if known, found := u.peppers.Load(id); found {
		return known.(password.Pepper), nil
	}
	err = u.config.Store.View(ctx, func(tx *store.Tx) error {
		row, err := tx.Pepper(id)
		if errors.Is(err, model.ErrNotFound) {
			return fmt.Errorf("the pepper %s of a password's hash is not in the database: %w", id, err)
		}
		if err == nil {
			p, err = u.openPepper(row)
		}
		return err
	})
	return p, later(err)
}

// later is what people are told if a pepper cannot be opened: to try again, as the file of the seal may come back. Operators
// are told what is wrong.
func later(err error) error {
	if err == nil {
		return nil
	}
	return model.NewError(model.TemporarilyDown).WithCause(err).WithRetry(busyRetry)
}

// openPepper opens a row.
func (u *Users) openPepper(row store.Pepper) (password.Pepper, error) {
	if known, found := u.peppers.Load(row.ID); found {
		return known.(password.Pepper), nil
	}
	text, err := u.config.Seal.Open(peppers, row.ID, row.Sealed)
	if err != nil {
		return password.Pepper{}, fmt.Errorf("the pepper of passwords: %w", err)
	}
	opened := password.Pepper{ID: row.ID, Text: string(text)}
	u.peppers.Store(row.ID, opened)
	return opened, nil
}
