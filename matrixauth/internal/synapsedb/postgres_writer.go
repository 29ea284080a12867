package synapsedb

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

type postgresWriter struct{ conn *pgconn.PgConn }

func openPostgresToWrite(ctx context.Context, args map[string]string) (*postgresWriter, error) {
	conn, err := connect(ctx, args)
	if err != nil {
		return nil, err
	}
	w := &postgresWriter{conn}
	if err := w.begin(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// others counts the sessions of others in this database: a running Synapse always has some. Whose sessions they are is
// seen by everybody, what they do is not.
const others = `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
	AND (backend_type IS NULL OR backend_type = 'client backend')`

// partings is how often it is looked whether others have gone, a fifth of a second apart: a session lives on for a moment
// after it was closed.
const partings = 5

// begin begins the transaction once nobody else has a session.
func (w *postgresWriter) begin(ctx context.Context) error {
	for tries := 1; ; tries++ {
		results, err := w.conn.Exec(ctx, others).ReadAll()
		if err != nil {
			return explain(err)
		}
		n := string(results[0].Rows[0][0])
		if n == "0" {
			break
		}
		if tries == partings {
			return fmt.Errorf("%w (PostgreSQL has %s other sessions in it)", errRuns, n)
		}
		if _, err := w.conn.Exec(ctx, "SELECT pg_sleep(0.2)").ReadAll(); err != nil {
			return explain(err)
		}
	}
	_, err := w.conn.Exec(ctx, "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = '10s'").ReadAll()
	return explain(err)
}

func (w *postgresWriter) set(ctx context.Context, name, hash string) (known bool, err error) {
	result := w.conn.ExecParams(ctx, "UPDATE users SET password_hash = $1 WHERE name = $2", [][]byte{[]byte(hash), []byte(name)}, nil, nil, nil).Read()
	return result.CommandTag.RowsAffected() > 0, explain(result.Err)
}

func (w *postgresWriter) commit(ctx context.Context) error {
	_, err := w.conn.Exec(ctx, "COMMIT").ReadAll()
	return explain(err)
}

func (w *postgresWriter) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	return w.conn.Close(ctx)
}
