package synapsedb

import (
	"errors"
	"time"
)

// Options says which database it is, as Synapse's configuration does.
type Options struct {
	// SQLite is the path of the file; empty with PostgreSQL.
	SQLite string
	// Postgres are the arguments of the driver ("database.args") as they stand there, numbers as text. An empty map that is
	// not nil means the defaults of libpq.
	Postgres map[string]string
	// ServerName is that of the homeserver: accounts of another one cannot come.
	ServerName string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

func (o Options) check() error {
	if (o.SQLite == "") == (o.Postgres == nil) {
		return errors.New("either a file of SQLite or the arguments of PostgreSQL have to be named")
	}
	return nil
}
