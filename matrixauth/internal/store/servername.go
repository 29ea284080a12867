package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// ServerNameError says that the accounts of a database belong to another server name than the configured one. The
// server name is a part of every Matrix id for good, so under another one these would be other people's accounts.
type ServerNameError struct {
	Path string
	// Kept is the server name of the accounts, Given the configured one.
	Kept, Given string
}

// Error names the database, both server names and the ways out.
func (e *ServerNameError) Error() string {
	return fmt.Sprintf("database %s holds the accounts of %s, and the configuration says %s: accounts cannot move to another server name; set it back to %s, or name another database",
		e.Path, e.Kept, e.Given, e.Kept)
}

// ServerName returns the server name of the accounts; model.ErrNotFound while there are none, or none since this
// is kept.
func (tx *Tx) ServerName() (string, error) {
	return one(tx, scanText, "SELECT server_name FROM homeserver")
}

// Claim keeps the server name of the accounts, with the first of them. It refuses another one than that of
// the accounts that are there, by a ServerNameError.
func (tx *Tx) Claim(serverName string) error {
	kept, err := tx.ServerName()
	if errors.Is(err, model.ErrNotFound) {
		_, err = tx.exec("INSERT INTO homeserver (one, server_name) VALUES (1, ?1)", serverName)
		return err
	}
	if err == nil && kept != serverName {
		err = &ServerNameError{Path: tx.path, Kept: kept, Given: serverName}
	}
	return err
}

// CheckServerName refuses another server name than that of the accounts, by a ServerNameError.
func (s *Store) CheckServerName(ctx context.Context, serverName string) error {
	return s.View(ctx, func(tx *Tx) error {
		kept, err := tx.ServerName()
		if errors.Is(err, model.ErrNotFound) {
			return nil
		}
		if err == nil && kept != serverName {
			err = &ServerNameError{Path: s.path, Kept: kept, Given: serverName}
		}
		return err
	})
}

// Adopt keeps the server name of accounts that are older than the row for it. Call it when a server begins
// to serve them.
func (s *Store) Adopt(ctx context.Context, serverName string) error {
	var accounts []model.User
	err := s.View(ctx, func(tx *Tx) (err error) {
		if _, err = tx.ServerName(); errors.Is(err, model.ErrNotFound) {
			accounts, err = tx.Users("", 1)
		}
		return err
	})
	if err != nil || len(accounts) == 0 {
		return err
	}
	return s.Update(ctx, func(tx *Tx) error { return tx.Claim(serverName) })
}

// PeekServerName reads the server name of the accounts in a database that this process has not open, without
// a lock, a change or a new file. known is false if it cannot be told so.
func PeekServerName(ctx context.Context, path string) (serverName string, known bool) {
	known = peek(path, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, "SELECT server_name FROM homeserver").Scan(&serverName)
	})
	return serverName, known
}
