package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
)

// Contents is what a database holds, as far as it tells one that was in use from a new one.
type Contents struct {
	// Tables reports whether it has tables of ours.
	Tables bool
	// Users reports whether it has accounts.
	Users bool
	// TokenKeys are the keys that ever minted for it.
	TokenKeys []TokenKey
}

// PeekContents reads what is in a database that this process has not open, without a lock, a change or a new file. known
// is false if it cannot be told so; a database that is not there, or is an empty file, is known to hold nothing.
func PeekContents(ctx context.Context, path string) (c Contents, known bool) {
	if info, err := os.Stat(path); errors.Is(err, os.ErrNotExist) || err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		return Contents{}, true // SQLite throws away the log of an empty file
	}
	known = peek(path, func(db *sql.DB) (err error) {
		c, err = contents(ctx, db, path)
		return err
	})
	return c, known
}

// contents reads what a database of any version of ours holds. It refuses another program's.
func contents(ctx context.Context, db *sql.DB, path string) (c Contents, err error) {
	if err := checkTables(ctx, db, path); err != nil {
		return c, err
	}
	var users, keys bool
	for table, there := range map[string]*bool{versionTable: &c.Tables, "users": &users, "token_keys": &keys} {
		if *there, err = hasTable(ctx, db, table); err != nil {
			return c, err
		}
	}
	if users {
		if err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM users)").Scan(&c.Users); err != nil {
			return c, err
		}
	}
	if !keys {
		return c, nil
	}
	rows, err := db.QueryContext(ctx, "SELECT number, fingerprint FROM token_keys")
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var k TokenKey
		if err := rows.Scan(&k.Number, &k.Fingerprint); err != nil {
			return c, err
		}
		c.TokenKeys = append(c.TokenKeys, k)
	}
	return c, rows.Err()
}

// peek reads in a database that this process has not open, without a lock, a change or a new file. It reports false if it
// could not, or the read failed.
func peek(path string, read func(*sql.DB) error) bool {
	still := true
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Lstat(file)
		switch {
		case errors.Is(err, os.ErrNotExist) && file != path:
			continue
		case err != nil || !info.Mode().IsRegular():
			return false
		case file == path+"-wal" && info.Size() > 0:
			// A server has it open, or was killed: what is asked for may be in the -wal file only.
			if _, err := os.Lstat(path + "-shm"); err != nil {
				return false
			}
			still = false
		}
	}
	db, err := openUntouched(path, still)
	if err != nil {
		return false
	}
	return errors.Join(read(db), db.Close()) == nil
}
