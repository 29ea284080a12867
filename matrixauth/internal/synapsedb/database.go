package synapsedb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
)

// Database is Synapse's database as it was when it was opened. It is for one goroutine.
type Database struct {
	options Options
	engine  engine
}

// engine is how a kind of database is read.
type engine interface {
	// columns returns the columns of a table; none if there is no such table.
	columns(ctx context.Context, table string) ([]string, error)
	// query runs a statement. Several may be under way.
	query(ctx context.Context, statement string) (cursor, error)
	// ordered is the statement that reads a table in the order of the bytes of its first column, without the rows in which
	// that is no text.
	ordered(t table) string
	// unowned is the condition for those rows.
	unowned(t table) string
	// unchanged returns an error if what was read is not all of one moment.
	unchanged() error
	close() error
}

// cursor walks over rows.
type cursor interface {
	// next returns io.EOF after the last row.
	next(ctx context.Context) (row, error)
	close(ctx context.Context) error
}

var _ move.Source = (*Database)(nil)

// Open opens the database to read it, and everything that is needed to go on reading: the process may give up its
// rights afterwards.
func Open(ctx context.Context, o Options) (*Database, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var opened engine
	var err error
	if o.SQLite != "" {
		opened, err = openSQLite(ctx, o.SQLite)
	} else {
		opened, err = openPostgres(ctx, o.Postgres)
	}
	if err != nil {
		return nil, err
	}
	d := &Database{o, opened}
	if err := d.checkSchema(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close ends the reading.
func (d *Database) Close() error { return d.engine.close() }

// checkSchema refuses a database that is not Synapse's, or older than what is read.
func (d *Database) checkSchema(ctx context.Context) error {
	found, err := d.engine.columns(ctx, "schema_version")
	if err != nil {
		return err
	}
	if !slices.Contains(found, "version") {
		return errors.New("this is not Synapse's database: it has no table schema_version")
	}
	version, err := d.number(ctx, "SELECT version FROM schema_version")
	if err != nil {
		return err
	}
	if version < leastSchema {
		return fmt.Errorf("Synapse's database is of schema %d and has to be of %d or later: start a newer Synapse once, which brings it there", version, leastSchema)
	}
	for _, t := range all {
		found, err := d.engine.columns(ctx, t.name)
		if err != nil {
			return err
		}
		for _, column := range t.columns {
			if !slices.Contains(found, column) {
				return fmt.Errorf("Synapse's database says that it is of schema %d, but has no column %s.%s", version, t.name, column)
			}
		}
	}
	return nil
}

// number runs a statement that has one number for an answer; 0 if it has none.
func (d *Database) number(ctx context.Context, statement string) (n int64, err error) {
	c, err := d.engine.query(ctx, statement)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.close(ctx)) }()
	r, err := c.next(ctx)
	if errors.Is(err, io.EOF) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, _ = r.number(0)
	return n, nil
}

// Counts counts the rows.
func (d *Database) Counts(ctx context.Context) (counts move.Counts, err error) {
	for _, of := range []struct {
		into *int64
		from string
	}{
		{&counts.Users, "users"},
		{&counts.Devices, "devices"},
		{&counts.AccessTokens, "access_tokens"},
		{&counts.RefreshTokens, "refresh_tokens"},
		{&counts.Emails, "user_threepids WHERE medium = 'email'"},
		{&counts.OtherThreepids, "user_threepids WHERE medium <> 'email'"},
		{&counts.ExternalIDs, "user_external_ids"},
		{&counts.RegistrationTokens, "registration_tokens"},
	} {
		if *of.into, err = d.number(ctx, "SELECT COUNT(*) FROM "+of.from); err != nil {
			return counts, err
		}
	}
	if counts.Position, err = d.position(ctx); err != nil {
		return counts, err
	}
	return counts, d.engine.unchanged()
}

// position returns how far the history of rooms has come, which grows by each message and is never set back; zero if the
// database has none.
func (d *Database) position(ctx context.Context) (int64, error) {
	columns, err := d.engine.columns(ctx, "events")
	if err != nil || !slices.Contains(columns, "stream_ordering") {
		return 0, err
	}
	return d.number(ctx, "SELECT MAX(stream_ordering) FROM events")
}

// Accounts calls f with each account that can come.
func (d *Database) Accounts(ctx context.Context, findings *move.Findings, f func(move.Account) error) (err error) {
	if err := d.noteUnowned(ctx, findings); err != nil {
		return err
	}
	joined, err := d.join(ctx, findings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, joined.close(ctx)) }()
	mapper := newMapper(d.options.ServerName, d.options.now(), findings)
	for {
		raw, err := joined.next(ctx)
		if errors.Is(err, io.EOF) {
			mapper.finish()
			return d.engine.unchanged()
		}
		if err != nil {
			return errors.Join(err, d.engine.unchanged()) // a file that was written meanwhile reads as a damaged one
		}
		if account, comes := mapper.account(raw); comes {
			if err := f(account); err != nil {
				return err
			}
		}
	}
}

// noteUnowned notes the rows that are nobody's by their form: the order of the others does not hold for them.
func (d *Database) noteUnowned(ctx context.Context, findings *move.Findings) error {
	for _, t := range all {
		n, err := d.number(ctx, "SELECT COUNT(*) FROM "+t.name+" WHERE "+d.engine.unowned(t))
		if err != nil {
			return err
		}
		if n > 0 {
			findings.NoteMany(malformedOwner, n, t.name+"."+t.columns[0])
		}
	}
	return nil
}

// RegistrationTokens calls f with each that is still good.
func (d *Database) RegistrationTokens(ctx context.Context, findings *move.Findings, f func(move.RegistrationToken) error) (err error) {
	c, err := d.engine.query(ctx, d.engine.ordered(registrations))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close(ctx)) }()
	now := d.options.now()
	for {
		r, err := c.next(ctx)
		if errors.Is(err, io.EOF) {
			return d.engine.unchanged()
		}
		if err != nil {
			return errors.Join(err, d.engine.unchanged())
		}
		if token, comes := mapRegistrationToken(r, now, findings); comes {
			if err := f(token); err != nil {
				return err
			}
		}
	}
}

// shown makes an id fit to stand among examples.
func shown(id string) string {
	const most = 300
	id = strings.ToValidUTF8(id[:min(len(id), most)], "\uFFFD")
	if quoted := strconv.Quote(id); quoted != `"`+id+`"` {
		return quoted
	}
	return id
}
