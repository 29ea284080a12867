package synapsedb

import (
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestPostgresArguments reads the arguments as Synapse's driver does.
func TestPostgresArguments(t *testing.T) {
	for name, c := range map[string]struct {
		args           map[string]string
		host, database string
		user, password string
		port           uint16
		encrypted      bool
	}{
		"usual":         {map[string]string{"user": "synapse", "password": `it's \ "secret"`, "dbname": "matrix", "host": "localhost", "port": "5433", "cp_min": "5", "cp_max": "10", "keepalives_idle": "10", "sslmode": "disable"}, "localhost", "matrix", "synapse", `it's \ "secret"`, 5433, false},
		"database":      {map[string]string{"user": "synapse", "database": "matrix", "host": "/run/postgresql"}, "/run/postgresql", "matrix", "synapse", "", 5432, false},
		"without names": {map[string]string{"user": "synapse", "host": "/run/postgresql"}, "/run/postgresql", "synapse", "synapse", "", 5432, false},
		"dsn":           {map[string]string{"dsn": "host=db.example.org user=synapse dbname=matrix", "sslmode": "disable", "password": "x"}, "db.example.org", "matrix", "synapse", "x", 5432, false},
		"dsn as a URL":  {map[string]string{"dsn": "postgresql://synapse:x@db.example.org:99/matrix?sslmode=disable"}, "db.example.org", "matrix", "synapse", "x", 99, false},
		"encrypted":     {map[string]string{"user": "synapse", "host": "db.example.org", "sslmode": "require"}, "db.example.org", "synapse", "synapse", "", 5432, true},
		"hostaddr":      {map[string]string{"user": "synapse", "hostaddr": "192.0.2.7", "sslmode": "disable"}, "192.0.2.7", "synapse", "synapse", "", 5432, false},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := postgresConfig(c.args)
			must(t, err)
			if config.Host != c.host || config.Database != c.database || config.User != c.user || config.Password != c.password || config.Port != c.port || config.TLSConfig != nil != c.encrypted {
				t.Errorf("it goes to %s:%d, database %s, as %s with %q, encrypted: %v", config.Host, config.Port, config.Database, config.User, config.Password, config.TLSConfig != nil)
			}
			if _, sent := config.RuntimeParams["cp_min"]; sent {
				t.Error("it sends the server what is Synapse's")
			}
		})
	}
}

// TestPostgresArgumentsKeepSecrets says what is wrong without saying the password.
func TestPostgresArgumentsKeepSecrets(t *testing.T) {
	const secret = "hunter2hunter2"
	for i, args := range []map[string]string{
		{"dsn": "postgres://synapse:" + secret + "@[::1/x"},
		{"dsn": "user=synapse password='" + secret + `\' more`},
		{"password": secret, "port": secret},
		{"password": secret, "host": "localhost", "sslmode": secret},
		{"password": secret, "host": "localhost", "sslmode": "verify-full", "sslrootcert": "/none"},
		{"passfile": "/none"},
		{"dsn": "postgres://synapse:" + secret + "@localhost/x", "host": "y"},
	} {
		if _, err := postgresConfig(args); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("arguments %d: %v", i, err)
		}
	}
}

// TestPostgresTrouble says what to do when there is no server.
func TestPostgresTrouble(t *testing.T) {
	_, err := Open(t.Context(), Options{Postgres: map[string]string{"host": t.TempDir(), "user": "synapse"}, ServerName: server})
	if err == nil || !strings.Contains(err.Error(), "no socket of PostgreSQL") {
		t.Errorf("it says %v", err)
	}
}

// postgresForTests is the variable that names the directory of the socket of a PostgreSQL in which user synapse may make
// databases without a password.
const postgresForTests = "SYNAPSEDB_POSTGRES"

// postgresOf makes a database as Synapse has it.
func postgresOf(t testing.TB, statements ...string) map[string]string {
	t.Helper()
	host := os.Getenv(postgresForTests)
	if host == "" {
		t.Skip(postgresForTests + " is not set")
	}
	name := "t" + strings.ToLower(strings.Map(func(r rune) rune {
		if r == '/' {
			return '_'
		}
		return r
	}, t.Name()))
	args := map[string]string{"host": host, "user": "synapse", "dbname": "postgres"}
	t.Helper()
	run := func(args map[string]string, statements ...string) {
		conn, err := connect(t.Context(), args)
		must(t, err)
		defer func() { must(t, conn.Close(t.Context())) }()
		for _, statement := range statements {
			_, err := conn.Exec(t.Context(), statement).ReadAll()
			must(t, err)
		}
	}
	run(args, "DROP DATABASE IF EXISTS "+name, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
	own := maps.Clone(args)
	own["dbname"] = name
	run(own, append([]string{postgresSchema()}, statements...)...)
	return own
}

// postgresSchema is that of SQLite with the types that PostgreSQL has for the same.
func postgresSchema() string {
	return strings.NewReplacer("upgraded BOOL NOT NULL", "upgraded BOOL", "(94, 0)", "(94, FALSE)").Replace(schema)
}

// inPostgres is a statement for SQLite with the truth values of PostgreSQL.
func inPostgres(statement string) string {
	return strings.NewReplacer("'Element', 0)", "'Element', FALSE)", "NULL, NULL, 0)", "NULL, NULL, FALSE)").Replace(statement)
}

// TestReadsPostgres reads the same accounts as from SQLite, of one moment.
func TestReadsPostgres(t *testing.T) {
	args := postgresOf(t, inPostgres(aliceAndBob))
	o := optionsOf("")
	o.Postgres = args
	d, err := Open(t.Context(), o)
	must(t, err)
	defer func() { must(t, d.Close()) }()
	conn, err := connect(t.Context(), args)
	must(t, err)
	defer func() { must(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), "INSERT INTO users (name) VALUES ('@later:example.org')").ReadAll()
	must(t, err)
	judgeAliceAndBob(t, d)
}

// TestWritesPostgres writes passwords, and refuses while others have the database open.
func TestWritesPostgres(t *testing.T) {
	o := optionsOf("")
	o.Postgres = postgresOf(t, inPostgres(aliceAndBob))
	written, unknown, err := writePasswords(t, o, "@bob:example.org", anotherHash, "@nobody:example.org", anotherHash)
	if err != nil || written != 1 || len(unknown) != 1 {
		t.Fatal(written, unknown, err)
	}
	other, err := connect(t.Context(), o.Postgres)
	must(t, err)
	defer func() { must(t, other.Close(t.Context())) }()
	results, err := other.Exec(t.Context(), "SELECT password_hash FROM users WHERE name = '@bob:example.org'").ReadAll()
	must(t, err)
	if got := string(results[0].Rows[0][0]); got != anotherHash {
		t.Errorf("the hash is %q", got)
	}
	if w, err := OpenToWrite(t.Context(), o); err == nil {
		must(t, w.Close())
		t.Error("it wrote beside another session")
	} else if !strings.Contains(err.Error(), "1 other sessions") {
		t.Errorf("it says %v", err)
	}
}

// TestPostgresRefuses says what to do about each database that cannot be read.
func TestPostgresRefuses(t *testing.T) {
	args := postgresOf(t)
	for name, c := range map[string]struct {
		change map[string]string
		do     string
		says   string
	}{
		"no such database": {map[string]string{"dbname": "none"}, "", "there is no such database"},
		"not Synapse's":    {map[string]string{"dbname": "postgres"}, "", "not Synapse's database"},
		"too old":          {nil, "UPDATE schema_version SET version = 72", "of schema 72 and has to be of 85"},
	} {
		t.Run(name, func(t *testing.T) {
			used := maps.Clone(args)
			maps.Copy(used, c.change)
			if c.do != "" {
				conn, err := pgconn.Connect(t.Context(), "host="+args["host"]+" user=synapse dbname="+args["dbname"])
				must(t, err)
				_, err = conn.Exec(t.Context(), c.do).ReadAll()
				must(t, err)
				must(t, conn.Close(t.Context()))
			}
			d, err := Open(t.Context(), Options{Postgres: used, ServerName: server})
			if err == nil {
				must(t, d.Close())
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v", err)
			}
		})
	}
}
