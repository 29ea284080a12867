package synapsedb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// postgres is one transaction of PostgreSQL that sees one moment and writes nothing. All values come as text.
type postgres struct {
	conn    *pgconn.PgConn
	cursors int
}

// fetched is how many rows come at once.
const fetched = 2000

// connectTimeout is for who names none.
const connectTimeout = 10 * time.Second

// closing bounds the good-bye to a server that does not answer any more.
const closing = 5 * time.Second

func openPostgres(ctx context.Context, args map[string]string) (*postgres, error) {
	conn, err := connect(ctx, args)
	if err != nil {
		return nil, err
	}
	p := &postgres{conn: conn}
	_, err = conn.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
		SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = '10s'`).ReadAll()
	if err != nil {
		return nil, errors.Join(explain(err), p.close())
	}
	return p, nil
}

// connect opens a connection by the arguments of Synapse's driver.
func connect(ctx context.Context, args map[string]string) (*pgconn.PgConn, error) {
	config, err := postgresConfig(args)
	if err != nil {
		return nil, err
	}
	asPeer(config)
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, explain(err)
	}
	return conn, nil
}

// understood are the arguments that are passed on: those that say where the server is and who asks. The others are of
// Synapse's pool, or tune a connection.
var understood = []string{
	"host", "port", "user", "passfile", "sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslnegotiation", "sslsni",
	"connect_timeout", "service", "servicefile", "target_session_attrs", "options", "channel_binding", "require_auth",
}

// postgresConfig reads the arguments. Its errors have none of their values: a password may be in any that is not well
// formed.
func postgresConfig(args map[string]string) (*pgconn.Config, error) {
	written := args["dsn"]
	isURL := strings.HasPrefix(written, "postgres://") || strings.HasPrefix(written, "postgresql://")
	var more strings.Builder
	add := func(name, value string) {
		quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value)
		fmt.Fprintf(&more, " %s='%s'", name, quoted)
	}
	for _, name := range understood {
		if value, ok := args[name]; ok && value != "" {
			add(name, value)
		}
	}
	for _, name := range []string{"dbname", "database"} {
		if value := args[name]; value != "" {
			add("dbname", value)
			break
		}
	}
	address := args["hostaddr"]
	if address != "" && args["host"] == "" {
		add("host", address)
	}
	if isURL && more.Len() > 0 {
		return nil, errors.New("the dsn of Synapse's database is a URL, beside which no other arguments are understood: write it as arguments")
	}
	config, err := pgconn.ParseConfig(written + more.String())
	if err != nil {
		return nil, fmt.Errorf("the arguments of Synapse's database are not understood: %s", reasonOf(err))
	}
	if args["password"] != "" {
		config.Password = args["password"]
	}
	if config.Database == "" {
		config.Database = config.User
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if address != "" {
		config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{address}, nil }
	}
	config.RuntimeParams["application_name"] = "matrix-auth migrate"
	config.RuntimeParams["client_encoding"] = "UTF8"
	return config, checkPassfile(args["passfile"], config.Password)
}

// checkPassfile tells of a password file that cannot be read, as the driver goes on without it.
func checkPassfile(path, password string) error {
	if path == "" || password != "" {
		return nil
	}
	f, err := os.Open(path) //nolint:gosec // Synapse's configuration names it
	if err != nil {
		return fmt.Errorf("the password file of Synapse's database cannot be read: %w", err)
	}
	return f.Close()
}

// reasonOf says which argument is wrong, without its value.
func reasonOf(err error) string {
	var parse *pgconn.ParseConfigError
	if !errors.As(err, &parse) {
		return "they are not well formed"
	}
	// The driver's message has the connection string first.
	text := parse.Error()
	for _, known := range []string{
		"failed to read service", "invalid port", "invalid connect_timeout", "failed to configure TLS", "unknown target_session_attrs", "could not match",
		"invalid sslcertmode",
	} {
		if !strings.Contains(text, known) {
			continue
		}
		var file *os.PathError
		if errors.As(err, &file) {
			return known + ": " + file.Error()
		}
		return known
	}
	return "they are not well formed"
}

// explain says what to do about an error of PostgreSQL.
func explain(err error) error {
	if err == nil {
		return nil
	}
	advice := ""
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &answer):
		advice = map[string]string{
			"28P01": "the password is not the one that PostgreSQL has",
			"28000": "PostgreSQL does not let this user in by this way: if it asks for the name of the system's user (peer), run this as root, or as Synapse's user, or name a password",
			"3D000": "there is no such database",
			"42501": "Synapse's user of PostgreSQL may not read this table",
			"57P03": "PostgreSQL is not ready yet",
			"53300": "PostgreSQL has no connection left: try again, or lower cp_max in homeserver.yaml",
		}[answer.Code]
	case errors.Is(err, os.ErrNotExist):
		advice = "there is no socket of PostgreSQL: is it running on this machine?"
	case errors.Is(err, os.ErrPermission):
		advice = "the socket of PostgreSQL, or a file of its arguments, may not be used by this user"
	}
	if advice == "" {
		return fmt.Errorf("Synapse's database: %w", err)
	}
	return fmt.Errorf("Synapse's database: %s: %w", advice, err)
}

func (p *postgres) columns(ctx context.Context, table string) (names []string, err error) {
	results, err := p.conn.Exec(ctx, "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('"+table+"') AND attnum > 0 AND NOT attisdropped").ReadAll()
	if err != nil {
		return nil, explain(err)
	}
	for _, values := range results[0].Rows {
		names = append(names, string(values[0]))
	}
	return names, nil
}

// query declares a cursor, so that the server keeps what is not read yet.
func (p *postgres) query(ctx context.Context, statement string) (cursor, error) {
	p.cursors++
	c := &postgresCursor{conn: p.conn, name: fmt.Sprintf("c%d", p.cursors)}
	if _, err := p.conn.Exec(ctx, "DECLARE "+c.name+" NO SCROLL CURSOR FOR "+statement).ReadAll(); err != nil {
		return nil, explain(err)
	}
	return c, nil
}

func (p *postgres) ordered(t table) string {
	return "SELECT " + strings.Join(t.columns, ", ") + " FROM " + t.name + " WHERE " + t.columns[0] + " IS NOT NULL ORDER BY " + t.columns[0] + ` COLLATE "C"`
}

func (p *postgres) unowned(t table) string { return t.columns[0] + " IS NULL" }

// unchanged: a transaction sees one moment.
func (p *postgres) unchanged() error { return nil }

func (p *postgres) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	return p.conn.Close(ctx)
}

type postgresCursor struct {
	conn *pgconn.PgConn
	name string
	rows [][][]byte
	last bool
}

func (c *postgresCursor) next(ctx context.Context) (row, error) {
	if len(c.rows) == 0 {
		if c.last {
			return nil, io.EOF
		}
		results, err := c.conn.Exec(ctx, fmt.Sprintf("FETCH %d FROM %s", fetched, c.name)).ReadAll()
		if err != nil {
			return nil, explain(err)
		}
		c.rows = results[0].Rows
		if c.last = len(c.rows) < fetched; len(c.rows) == 0 {
			return nil, io.EOF
		}
	}
	values := c.rows[0]
	c.rows[0], c.rows = nil, c.rows[1:]
	r := make(row, len(values))
	for i, value := range values {
		if value != nil {
			r[i] = string(value)
		}
	}
	return r, nil
}

func (c *postgresCursor) close(ctx context.Context) error {
	if c.conn.IsClosed() || ctx.Err() != nil {
		return nil // it went with the transaction
	}
	_, err := c.conn.Exec(ctx, "CLOSE "+c.name).ReadAll()
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == "25P02" {
		return nil // the transaction failed before, which the first error says
	}
	return err
}
