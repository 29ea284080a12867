package synapsedb

import (
	"context"
	"errors"
	"fmt"
)

// Writer writes passwords into Synapse's database, for the way back. It has one transaction, which is open from the
// beginning, so that Synapse cannot start meanwhile with SQLite, and needs no more rights than it has opened with.
type Writer struct {
	engine  writing
	written bool
}

// writing is how a kind of database is written.
type writing interface {
	// set gives a user a hash, and reports whether there is that user.
	set(ctx context.Context, name, hash string) (known bool, err error)
	commit(ctx context.Context) error
	// close undoes what was not committed.
	close() error
}

// OpenToWrite opens the database and begins the transaction. It refuses while Synapse has the database open, as far as
// can be seen there.
func OpenToWrite(ctx context.Context, o Options) (*Writer, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var opened writing
	var err error
	if o.SQLite != "" {
		opened, err = openSQLiteToWrite(o.SQLite)
	} else {
		opened, err = openPostgresToWrite(ctx, o.Postgres)
	}
	if err != nil {
		return nil, err
	}
	return &Writer{engine: opened}, nil
}

// errWritesOnce is a mistake of the caller.
var errWritesOnce = errors.New("the passwords were written already")

// WritePasswords gives users the hashes that next returns until it is not ok, all of them or none, and returns how many
// it wrote and the names that Synapse does not have.
func (w *Writer) WritePasswords(ctx context.Context, next func() (name, hash string, ok bool, err error)) (written int64, unknown []string, err error) {
	if w.written {
		return 0, nil, errWritesOnce
	}
	w.written = true
	for {
		name, hash, ok, err := next()
		if err != nil {
			return 0, nil, err
		}
		if !ok {
			break
		}
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		if _, isBcrypt := bcryptCost(hash); !isBcrypt {
			return 0, nil, fmt.Errorf("the password of %s is not hashed by bcrypt, and Synapse understands nothing else", shown(name))
		}
		known, err := w.engine.set(ctx, name, hash)
		switch {
		case err != nil:
			return 0, nil, err
		case known:
			written++
		default:
			unknown = append(unknown, name)
		}
	}
	if err := w.engine.commit(ctx); err != nil {
		return 0, nil, err
	}
	return written, unknown, nil
}

// Close ends it; what was not written whole is undone.
func (w *Writer) Close() error { return w.engine.close() }
