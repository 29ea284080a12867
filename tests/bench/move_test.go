//go:build bench

package bench

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// movedNumbers, movedSynapse and movedChanges make a Synapse of 100,000 people with 300,000 devices, a token each, a
// third of them with a refresh token, and change 1,000 of the people.
const (
	movedNumbers = `CREATE TABLE numbers (n INTEGER);
		INSERT INTO numbers WITH RECURSIVE counted (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n < 299999) SELECT n FROM counted;`
	movedSynapse = `
		INSERT INTO users (name, password_hash, creation_ts) SELECT '@moved' || n || ':bench.test', '$2b$12$o7MIRtgjGTSzLXjM9r4rHOrwS/P14M/O0bMOCgNVR319N/Ia5FCXu', 1600000000 FROM numbers WHERE n < 100000;
		INSERT INTO user_threepids SELECT '@moved' || n || ':bench.test', 'email', 'moved' || n || '@example.com', 1600000000000, 1600000000000 FROM numbers WHERE n < 100000;
		INSERT INTO devices SELECT '@moved' || (n % 100000) || ':bench.test', 'DEVICE' || n, 'Element on Linux', 1700000000000, '192.0.2.1', 'Mozilla/5.0 (X11; Linux x86_64)', FALSE FROM numbers;
		INSERT INTO refresh_tokens SELECT n, '@moved' || (n % 100000) || ':bench.test', 'DEVICE' || n, 'syr_bW92ZWQ_abcdefghijklmnopqrst_' || n, NULL, NULL, NULL FROM numbers WHERE n < 100000;
		INSERT INTO access_tokens (id, user_id, device_id, token, last_validated, refresh_token_id, used)
			SELECT n, '@moved' || (n % 100000) || ':bench.test', 'DEVICE' || n, 'syt_bW92ZWQ_abcdefghijklmnopqrst_' || n, 1700000000000, CASE WHEN n < 100000 THEN n END, TRUE FROM numbers;`
	movedChanges = `
		UPDATE users SET password_hash = '$2b$12$tBqwRDwNSQUmFRxEMeV.fOUQbcLdFlHQsCJXO3qXizMlLwDENOq7.' WHERE name IN (SELECT '@moved' || n || ':bench.test' FROM numbers WHERE n < 500);
		DELETE FROM access_tokens WHERE id >= 299500;
		DELETE FROM devices WHERE device_id IN (SELECT 'DEVICE' || n FROM numbers WHERE n >= 299500);`
)

// movedSchema has the tables of Synapse that are read.
const movedSchema = "../../matrixauth/internal/synapsedb/testdata/schema.sql"

// moves measures the move from Synapse, with SQLite and with PostgreSQL: the first run, and one after changes.
func moves(t *testing.T, table *table, bareIdle float64) {
	schema, err := os.ReadFile(movedSchema)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "homeserver.db")
	lite := func(statements string) {
		db, err := sql.Open("sqlite3", "file:"+file+"?_journal_mode=WAL&_synchronous=OFF")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec("BEGIN;" + statements + ";COMMIT"); err != nil {
			t.Fatal(err)
		}
	}
	postgres := rig.StartPostgres(t)
	for _, from := range []struct {
		name, settings string
		run            func(statements string)
	}{
		{"SQLite", fmt.Sprintf("{name: sqlite3, args: {database: %q}}", file), lite},
		{"PostgreSQL", postgres.SocketYAML(), func(statements string) { postgres.Query(statements) }},
	} {
		own := string(schema)
		if from.name == "PostgreSQL" {
			own = strings.Replace(own, "(94, 0)", "(94, FALSE)", 1)
		}
		from.run(own + movedNumbers + movedSynapse)
		c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: "bench.test", Synapse: synapse(t), Secret: secret})
		c.Write(c.Text(""))
		settings := filepath.Join(c.Dir, "homeserver.yaml")
		if err := os.WriteFile(settings, []byte("server_name: bench.test\ndatabase: "+from.settings+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		run := func() (time.Duration, float64) {
			return c.Measure("migrate", "synapse", "--synapse-config", settings, "--write")
		}
		took, memory := run()
		table.row("move of 100,000 people and 300,000 devices from "+from.name, took.Round(100*time.Millisecond).String(), "<= 1m0s")
		table.row("its memory, above bare Caddy (MB)", fmt.Sprintf("%+.1f", memory-bareIdle), "+100")
		from.run(movedChanges)
		took, memory = run()
		table.row("the move again after 1,000 changes", took.Round(100*time.Millisecond).String(), "<= 15s")
		table.row("its memory, above bare Caddy (MB)", fmt.Sprintf("%+.1f", memory-bareIdle), "+100")
	}
}
