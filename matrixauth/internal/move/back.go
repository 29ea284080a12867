package move

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// PasswordQuery asks for a page of the passwords that are not those of the other server, behind the localpart After.
type PasswordQuery struct {
	After string `json:"after,omitempty"`
	Limit int    `json:"limit"`
}

// PasswordPage is a page of them.
type PasswordPage struct {
	Passwords []ChangedPassword `json:"passwords"`
	// Next is the After of the next page; empty at the end.
	Next string `json:"next,omitempty"`
}

// ChangedPassword is a password that was set here since an account was taken over, or for an account of ours.
type ChangedPassword struct {
	// Name is the Matrix id.
	Name string `json:"name"`
	// Hash is what the homeserver can verify; empty for a hash of a scheme that it does not know.
	Hash string `json:"hash,omitempty"`
}

// ChangedPasswords lists passwords that the other server has not: for the way back. A hash that was upgraded at a sign-in
// is of the password there, and is not listed.
func (i *Importer) ChangedPasswords(tx *store.Tx, q PasswordQuery) (page PasswordPage, err error) {
	rows, err := tx.Passwords(q.After, q.Limit)
	if err != nil {
		return page, err
	}
	for _, row := range rows {
		name := model.MatrixID(row.Localpart, i.ServerName)
		changed, err := changedSince(tx, name, row)
		if err != nil {
			return page, err
		}
		if !changed {
			continue
		}
		hash, err := i.Users.HashForHomeserver(tx, row.Hash)
		if err != nil {
			return page, fmt.Errorf("%s: %w", name, err)
		}
		page.Passwords = append(page.Passwords, ChangedPassword{Name: name, Hash: hash})
	}
	if len(rows) == q.Limit {
		page.Next = rows[len(rows)-1].Localpart
	}
	return page, nil
}

// changedSince reports whether a password was set here since its account was taken over.
func changedSince(tx *store.Tx, name string, row store.PasswordOf) (bool, error) {
	taken, err := tx.TakenAccount(name)
	if errors.Is(err, model.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	var base snapshot
	if err := json.Unmarshal(taken.Taken, &base); err != nil {
		return false, fmt.Errorf("the journal of %s: %w", name, err)
	}
	return row.ChangedAt.UnixMicro() != base.PasswordAt, nil
}
