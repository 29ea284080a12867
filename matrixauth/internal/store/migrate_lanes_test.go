package store

import (
	"database/sql"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// oldDatabase makes a database of an older schema with some rows, and returns its path.
func oldDatabase(t *testing.T, schema int64, rows string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "old.db")
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithTableName(versionTable))
	if err == nil {
		_, err = provider.UpTo(t.Context(), schema)
	}
	if err == nil {
		_, err = db.Exec(rows)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMigrateLanes: jobs that wait, and one that is set aside, go on after an upgrade in the lane of their user
// at the homeserver; the next job has a number of its own.
func TestMigrateLanes(t *testing.T) {
	path := oldDatabase(t, 6, `INSERT INTO outbox (position, lane, kind, payload, attempts, created_at, run_at, last_error, set_aside_at) VALUES
		(3, 'alice', 'provision_user', '{"set_emails":true,"display_name":"Alice"}', 1, 1000000, 2000000, 'refused', 3000000),
		(4, 'alice', 'delete_device', '{"device_id":"A"}', 2, 1000000, 4000000, 'down', NULL),
		(7, 'bob', 'deactivate_user', '{"erase":true}', 0, 1000000, 1000000, '', NULL)`)
	s, err := Open(t.Context(), Options{Path: path, Now: func() time.Time { return time.UnixMicro(5_000_000) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := func(seconds int64) time.Time { return time.UnixMicro(seconds * 1_000_000).UTC() }
	alice, bob := model.ToHomeserver.Lane("alice"), model.ToHomeserver.Lane("bob")
	want := []model.Job{
		{Position: 3, Lane: alice, Kind: "provision_user", Payload: `{"set_emails":true,"display_name":"Alice"}`, Attempts: 1, CreatedAt: at(1), RunAt: at(2), LastError: "refused", SetAsideAt: at(3)},
		{Position: 4, Lane: alice, Kind: "delete_device", Payload: `{"device_id":"A"}`, Attempts: 2, CreatedAt: at(1), RunAt: at(4), LastError: "down"},
		{Position: 7, Lane: bob, Kind: "deactivate_user", Payload: `{"erase":true}`, CreatedAt: at(1), RunAt: at(1)},
		{Position: 8, Lane: alice, Kind: "delete_device", Payload: `{}`, CreatedAt: at(5), RunAt: at(5)},
	}
	update(t, s, func(tx *Tx) error {
		if _, err := tx.Enqueue(alice, model.JobDeleteDevice, "{}"); err != nil {
			return err
		}
		got, err := tx.Jobs(model.JobFilter{}, 0, 10)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		heads, headErr := tx.LaneHeads(model.ToHomeserver, 10)
		if len(heads) != 2 || heads[0].Position != 7 || heads[1].Position != 4 {
			t.Errorf("first in their lanes are %+v", heads)
		}
		return errors.Join(err, headErr)
	})
}
