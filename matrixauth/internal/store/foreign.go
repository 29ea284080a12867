package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
)

// versionTable is where a database notes the version of its schema. Synapse has a table of the same name, with
// other columns.
const versionTable = "schema_version"

// ForeignError says that a database is another program's: of Synapse's own, say, which an operator named by
// mistake. Our tables would be made among theirs.
type ForeignError struct{ Path string }

// Error names the database and the way out.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s is the database of another program; name another file", e.Path)
}

// judgeTables refuses a database that has tables and is not ours. One without tables is a database to be.
func judgeTables(ctx context.Context, db *sql.DB, path string) error {
	var tables, ours int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'").Scan(&tables); err != nil || tables == 0 {
		return err
	}
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM pragma_table_info(?1) WHERE name = 'version_id'", versionTable).Scan(&ours); err != nil {
		return err
	}
	if ours == 0 {
		return &ForeignError{path}
	}
	return nil
}

// examineTables is judgeTables for a file that is not open yet. It leaves no trace, and reads past what another
// process may be writing; so only what is certain is said, and the rest is judged once the file is open.
func examineTables(path string) error {
	db, err := sql.Open(driver, (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: "mode=ro&immutable=1&_query_only=true"}).String())
	if err != nil {
		return err
	}
	err = judgeTables(context.Background(), db, path)
	if closed := db.Close(); closed != nil {
		return closed
	}
	if foreign := (*ForeignError)(nil); errors.As(err, &foreign) {
		return foreign
	}
	return nil
}
