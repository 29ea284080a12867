package store

import (
	"context"
	"errors"
	"fmt"
)

// versionTable is where a database notes the version of its schema. Synapse has a table of the same name, with
// other columns.
const versionTable = "schema_version"

// ForeignError says that a database belongs to another program, for example to Synapse, because an operator named it
// by mistake. Our tables would be created among its own.
type ForeignError struct{ Path string }

// Error names the database and the way out.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s is the database of another program; name another file", e.Path)
}

// examineTables is checkTables for a file that is not open yet. It changes nothing and does not wait for another
// process that writes. So it refuses only what is certain; the rest is checked once the file is open.
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
