package store

import (
	"context"
	"errors"
	"fmt"
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

// examineTables is checkTables for a file that is not open yet. It leaves no trace, and reads past what another
// process may be writing; so only what is certain is said, and the rest is checked once the file is open.
func examineTables(path string) error {
	db, err := openUntouched(path, true)
	if err != nil {
		return err
	}
	err = checkTables(context.Background(), db, path)
	if closed := db.Close(); closed != nil {
		return closed
	}
	if foreign := (*ForeignError)(nil); errors.As(err, &foreign) {
		return foreign
	}
	return nil
}
