package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date, each step in a transaction of its own. It refuses a schema
// newer than it knows: an older program would misread what a newer one wrote (KEY-9).
func migrate(ctx context.Context, db *sql.DB, path string) error {
	if err := checkTables(ctx, db, path); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	provider, err := goose.NewProvider(dialect, db, files, goose.WithTableName(versionTable), goose.WithGoMigrations(codeMigrations...))
	if err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	if have > want {
		return fmt.Errorf("database %s has schema %d, and this program knows only %d; run the newer program, or restore a backup made before the upgrade", path, have, want)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("database %s: schema: %w", path, err)
	}
	return nil
}

// NewestSchema returns the version of the newest schema that this program knows, which every database that it opens
// is brought to.
func NewestSchema() (newest int64, err error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		number, err := goose.NumericComponent(name)
		if err != nil {
			return 0, err
		}
		newest = max(newest, number)
	}
	for _, m := range codeMigrations {
		newest = max(newest, m.Version)
	}
	return newest, nil
}

// Schema returns the version of the open database's schema.
func (s *Store) Schema(ctx context.Context) (int64, error) {
	var version int64
	err := s.reader.QueryRowContext(ctx, "SELECT MAX(version_id) FROM schema_version").Scan(&version)
	return version, s.met(err, false)
}
