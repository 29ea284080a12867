package tests

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// crowd is how many accounts a crowded Synapse has.
const crowd = 3000

// crowded is SQL that gives a Synapse many accounts, each with a device with a token without end, one with a refresh
// token that was exchanged for another, and a mail address.
const crowded = `
CREATE TEMPORARY TABLE crowd AS
	WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %[1]d)
	SELECT n, printf('@u%%06d:%[2]s', n) AS name FROM numbers;
INSERT INTO users (name, password_hash, creation_ts, admin, is_guest, deactivated, locked)
	SELECT name, '$2b$05$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234', 1600000000 + n, n %% 100 = 0, 0, n %% 50 = 0, n %% 70 = 0 FROM crowd;
INSERT INTO user_threepids (user_id, medium, address, validated_at, added_at)
	SELECT name, 'email', 'u' || n || '@example.test', 1600000000000 + n, 1600000000000 + n FROM crowd WHERE n %% 50 <> 0;
INSERT INTO devices (user_id, device_id, display_name, last_seen, ip, user_agent, hidden)
	SELECT name, 'PLAIN', 'a bot', 1700000000000 + n, '192.0.2.1', 'bot', 0 FROM crowd WHERE n %% 50 <> 0
	UNION ALL SELECT name, 'PHONE', 'a phone', 1700000000000 + n, '2001:db8::1', 'phone', 0 FROM crowd WHERE n %% 50 <> 0;
INSERT INTO refresh_tokens (id, user_id, device_id, token, next_token_id)
	SELECT 2000000 + 2 * n, name, 'PHONE', 'syr_first_' || n, 2000001 + 2 * n FROM crowd WHERE n %% 50 <> 0
	UNION ALL SELECT 2000001 + 2 * n, name, 'PHONE', 'syr_second_' || n, NULL FROM crowd WHERE n %% 50 <> 0;
INSERT INTO access_tokens (id, user_id, device_id, token, valid_until_ms, refresh_token_id, used)
	SELECT 2000000 + 3 * n, name, 'PLAIN', 'syt_plain_' || n, NULL, NULL, 1 FROM crowd WHERE n %% 50 <> 0
	UNION ALL SELECT 2000001 + 3 * n, name, 'PHONE', 'syt_first_' || n, 4000000000000, 2000000 + 2 * n, 1 FROM crowd WHERE n %% 50 <> 0
	UNION ALL SELECT 2000002 + 3 * n, name, 'PHONE', 'syt_second_' || n, 4000000000000, 2000001 + 2 * n, 0 FROM crowd WHERE n %% 50 <> 0;
`

// columns are those of our database that do not depend on when a run was, or on ids by chance.
var columns = []string{
	`SELECT localpart, admin, created_at, locked_at IS NULL, deactivated_at IS NULL FROM users`,
	`SELECT u.localpart, substr(p.hash, instr(p.hash, '$')) FROM passwords p JOIN users u ON u.id = p.user_id`,
	`SELECT u.localpart, e.address, e.key FROM user_emails e JOIN users u ON u.id = e.user_id`,
	`SELECT u.localpart, s.kind, s.device_id, s.device_name, s.scope, s.generation, s.used_generation, s.pairs, s.last_active_at, s.last_ip,
		s.user_agent, s.ended_at IS NULL, s.end_reason, s.ends_at FROM sessions s JOIN users u ON u.id = s.user_id`,
	`SELECT hex(hash), kind, localpart, device_id, scope, generation, pair, hex(parent), expires_at, used_at IS NULL FROM tokens`,
	`SELECT name, hex(fingerprint) FROM taken_accounts`,
	`SELECT count(*) FROM outbox`,
}

// dump returns the rows of those columns.
func dump(t *testing.T, database string) string {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+database+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all strings.Builder
	for _, query := range columns {
		fmt.Fprintln(&all, query)
		list, err := lines(t.Context(), db, query+" ORDER BY 1, 2, 3")
		if err != nil && strings.Contains(err.Error(), "ORDER BY term out of range") {
			list, err = lines(t.Context(), db, query)
		}
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		for _, line := range list {
			fmt.Fprintln(&all, line)
		}
	}
	return all.String()
}

func lines(ctx context.Context, db *sql.DB, query string) (list []string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values, places := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		list = append(list, fmt.Sprint(values...))
	}
	return list, rows.Err()
}

// taken is how many accounts our database has; none as long as there is none.
func taken(ctx context.Context, database string) (n int) {
	db, err := sql.Open("sqlite3", "file:"+database+"?mode=ro")
	if err != nil {
		return 0
	}
	defer db.Close()
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM users").Scan(&n); err != nil {
		return 0
	}
	return n
}

// TestMigrateSynapseKilled kills the command ten times while it takes over, each time further on, with no server of ours
// and then by way of one. What it has made in the end is what a run makes that nobody disturbs.
func TestMigrateSynapseKilled(t *testing.T) {
	m := settle(t, rig.Newest, nil)
	m.Synapse.Stop()
	m.sql(fmt.Sprintf(crowded, crowd, rig.ServerName))
	m.take("--write")
	want := dump(t, m.Database())
	if n := taken(t.Context(), m.Database()); n != crowd {
		t.Fatalf("%d accounts were taken over, want %d", n, crowd)
	}

	c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Synapse: m.Synapse.URL})
	c.Write(strings.Replace(c.Text(""), "secret {env.MATRIX_SECRET}", "", 1))
	args := append([]string{"matrix-auth", "migrate", "synapse", "--write", "--synapse-config", m.Synapse.Config(), "--config", c.File()}, accepted...)
	const kills = 10
	early := 0
	for i := range kills {
		if i == kills/2 {
			c.Start()
		}
		if killAt(t, c, args, crowd*(i+1)/(kills+1)) {
			early++
		}
	}
	if early < kills/2 {
		t.Errorf("only %d of %d runs were killed before they had ended", early, kills)
	}
	if out, err := c.Run("", args...); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	c.Stop()
	if got := dump(t, c.Database()); got != want {
		t.Errorf("what is there after the kills is not what a run makes:\n%s", firstDifference(got, want))
	}
}

// killAt starts the command and kills it once so many accounts are there. It reports whether the command was still at work.
func killAt(t *testing.T, c *rig.Caddy, args []string, accounts int) bool {
	t.Helper()
	cmd, out := c.Cmd(args...), &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.After(rig.Deadline); taken(t.Context(), c.Database()) < accounts; {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			return false
		case <-deadline:
			t.Fatalf("%d accounts are not there within %s", accounts, rig.Deadline)
		case <-time.After(time.Millisecond):
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		return false
	}
	err := <-ended
	t.Logf("killed with %d accounts: %v", taken(t.Context(), c.Database()), err)
	return err != nil
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			return fmt.Sprintf("line %d of %d and %d:\n got %s\nwant %s", i+1, len(g), len(w), at(g, i), at(w, i))
		}
	}
	return ""
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(nothing)"
}
