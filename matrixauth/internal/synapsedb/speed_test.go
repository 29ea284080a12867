package synapsedb

import (
	"runtime"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
)

// many are statements that make 100,000 users with 300,000 devices and as many tokens, a third of them refreshed.
const many = `
	INSERT INTO users (name, password_hash, creation_ts) SELECT '@user' || n || ':example.org', '` + aHash + `', 1600000000 FROM numbers WHERE n < 100000;
	INSERT INTO user_threepids SELECT '@user' || n || ':example.org', 'email', 'user' || n || '@example.com', 1600000000000, 1600000000000 FROM numbers WHERE n < 100000;
	INSERT INTO devices SELECT '@user' || (n % 100000) || ':example.org', 'DEVICE' || n, 'Element on Linux ' || n, 1700000000000, '192.0.2.1', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36', FALSE FROM numbers;
	INSERT INTO refresh_tokens SELECT n, '@user' || (n % 100000) || ':example.org', 'DEVICE' || n, 'syr_dXNlcg_abcdefghijklmnopqrst_' || n, NULL, NULL, NULL FROM numbers WHERE n < 100000;
	INSERT INTO access_tokens (id, user_id, device_id, token, last_validated, refresh_token_id, used) SELECT n, '@user' || (n % 100000) || ':example.org', 'DEVICE' || n, 'syt_dXNlcg_abcdefghijklmnopqrst_' || n, 1700000000000,
		CASE WHEN n < 100000 THEN n END, TRUE FROM numbers;`

const numbers = "CREATE TABLE numbers (n INTEGER); INSERT INTO numbers WITH RECURSIVE counted (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n < 299999) SELECT n FROM counted;"

// BenchmarkAccounts reads a large homeserver. It tells the time of one and the most of Go's memory meanwhile.
func BenchmarkAccounts(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) {
		path := closed(b, "WAL&_synchronous=OFF", numbers, "BEGIN", many, "COMMIT")
		readAll(b, optionsOf(path))
	})
	b.Run("PostgreSQL", func(b *testing.B) {
		o := optionsOf("")
		o.Postgres = postgresOf(b, numbers, many, "ANALYZE")
		readAll(b, o)
	})
}

func readAll(b *testing.B, o Options) {
	for b.Loop() {
		began := time.Now()
		d, err := Open(b.Context(), o)
		must(b, err)
		users, sessions, most := 0, 0, uint64(0)
		must(b, d.Accounts(b.Context(), &move.Findings{}, func(a move.Account) error {
			if users++; users%10_000 == 0 {
				var stats runtime.MemStats
				runtime.ReadMemStats(&stats)
				most = max(most, stats.HeapInuse)
			}
			sessions += len(a.Sessions)
			return nil
		}))
		must(b, d.Close())
		if users != 100_000 || sessions != 300_000 {
			b.Fatalf("%d users with %d sessions", users, sessions)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s")
		b.ReportMetric(float64(most)/(1<<20), "MB")
	}
}
