package store

import "database/sql"

// statements are those of one transaction that come again and again, as in one that takes hundreds of accounts over: they
// are made once. Nearly all transactions have a handful, which are quicker as they are.
type statements struct {
	seen map[string]int
	made map[string]*sql.Stmt
}

// worthMaking is how often a statement comes in a transaction before it is made for the rest of it.
const worthMaking = 8

// statement returns the statement of a query if it is worth to be made; nil if not. What cannot be made says so when it runs.
func (tx *Tx) statement(query string) *sql.Stmt {
	if made := tx.again.made[query]; made != nil {
		return made
	}
	if tx.again.seen == nil {
		tx.again.seen, tx.again.made = map[string]int{}, map[string]*sql.Stmt{}
	}
	if tx.again.seen[query]++; tx.again.seen[query] < worthMaking {
		return nil
	}
	made, err := tx.q.PrepareContext(tx.ctx, query) // the end of the transaction closes it
	if err != nil {
		return nil
	}
	tx.again.made[query] = made
	return made
}

func (tx *Tx) runExec(query string, args []any) (sql.Result, error) {
	if made := tx.statement(query); made != nil { //nolint:sqlclosecheck // the end of the transaction closes it
		return made.ExecContext(tx.ctx, args...)
	}
	return tx.q.ExecContext(tx.ctx, query, args...)
}

func (tx *Tx) runRow(query string, args []any) *sql.Row {
	if made := tx.statement(query); made != nil { //nolint:sqlclosecheck // the end of the transaction closes it
		return made.QueryRowContext(tx.ctx, args...)
	}
	return tx.q.QueryRowContext(tx.ctx, query, args...)
}

func (tx *Tx) runQuery(query string, args []any) (*sql.Rows, error) {
	if made := tx.statement(query); made != nil { //nolint:sqlclosecheck // the end of the transaction closes it
		return made.QueryContext(tx.ctx, args...)
	}
	return tx.q.QueryContext(tx.ctx, query, args...)
}
