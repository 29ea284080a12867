package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/pressly/goose/v3"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// emailKeysVersion is the migration that makes the keys of addresses anew: hosts are compared by their A-labels (MAIL-9).
const emailKeysVersion = 18

// codeMigrations are the migrations that no SQL can do.
var codeMigrations = []*goose.Migration{goose.NewGoMigration(emailKeysVersion, &goose.GoFunc{RunTx: renewEmailKeys}, nil)}

// renewEmailKeys gives addresses the keys of model.EmailKey. Where an account then has one address twice, the row that is
// the newer goes. Where two accounts do, one of them keeps it: the one whose key was right before, or else the one that
// had it first. The other's row keeps its old key, by which nobody is found any more: its owner still sees the address and
// gets mail there, but cannot be mistaken for somebody else by it.
func renewEmailKeys(ctx context.Context, q *sql.Tx) error {
	type row struct{ id, userID, address, key string }
	var wrong []row
	owners := map[string]string{}
	rows, err := q.QueryContext(ctx, "SELECT id, user_id, address, key FROM user_emails ORDER BY created_at, id")
	if err != nil {
		return err
	}
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.userID, &r.address, &r.key); err != nil {
			return errors.Join(err, rows.Close())
		}
		if model.EmailKey(r.address) != r.key {
			wrong = append(wrong, r)
		}
		owners[r.key] = r.userID
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, r := range wrong {
		key := model.EmailKey(r.address)
		owner, taken := owners[key]
		switch {
		case !taken:
			_, err = q.ExecContext(ctx, "UPDATE user_emails SET key = ?2 WHERE id = ?1", r.id, key)
			delete(owners, r.key)
			owners[key] = r.userID
		case owner == r.userID:
			_, err = q.ExecContext(ctx, "DELETE FROM user_emails WHERE id = ?1", r.id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
