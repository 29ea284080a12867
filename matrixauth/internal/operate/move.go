package operate

import (
	"context"
	"log/slog"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// The operations of a move from another server.
const (
	// ListTaken lists what was taken over so far.
	ListTaken Operation[move.JournalQuery, move.JournalPage] = "move.journal"
	// TakePepper keeps the pepper of the hashes of the accounts that are taken next.
	TakePepper Operation[Pepper, struct{}] = "move.pepper"
	// TakeAccounts takes a part of the accounts over.
	TakeAccounts Operation[move.Batch, move.Done] = "move.accounts"
	// TakeRegistrationTokens takes the registration tokens over.
	TakeRegistrationTokens Operation[move.Tokens, move.Done] = "move.registration-tokens"
	// ListChangedPasswords hands out the hashes of passwords that the homeserver has not, for the way back.
	ListChangedPasswords Operation[move.PasswordQuery, move.PasswordPage] = "move.passwords"
)

// mostJournal bounds a page of the journal.
const mostJournal = 5000

func (o *Operations) listTaken(ctx context.Context, _ model.Actor, q move.JournalQuery) (page move.JournalPage, err error) {
	return view(ctx, o, func(tx *store.Tx) (page move.JournalPage, err error) {
		if q.After == "" {
			if page.Position, err = tx.TakenPosition(); err != nil {
				return page, err
			}
		}
		rows, err := tx.TakenAccounts(q.After, min(max(q.Limit, 1), mostJournal))
		for _, row := range rows {
			page.Entries = append(page.Entries, move.JournalEntry{Name: row.Name, Fingerprint: row.Fingerprint})
		}
		return page, err
	})
}

func (o *Operations) listChangedPasswords(ctx context.Context, _ model.Actor, q move.PasswordQuery) (move.PasswordPage, error) {
	q.Limit = min(max(q.Limit, 1), mostJournal)
	page, err := view(ctx, o, func(tx *store.Tx) (move.PasswordPage, error) { return o.importer().ChangedPasswords(tx, q) })
	note(ctx, model.User{}, slog.Int("hashes", len(page.Passwords)))
	return page, err
}

// Pepper is what the other server appends to passwords before it hashes them; empty for none.
type Pepper struct {
	Text string `json:"text"`
}

// String keeps the pepper out of logs.
func (Pepper) String() string { return "a pepper" }

// GoString is String.
func (p Pepper) GoString() string { return p.String() }

func (o *Operations) takePepper(ctx context.Context, _ model.Actor, p Pepper) (struct{}, error) {
	return update(ctx, o, func(tx *store.Tx) (struct{}, error) { return struct{}{}, o.c.Users.ImportPepper(tx, p.Text) })
}

func (o *Operations) takeAccounts(ctx context.Context, by model.Actor, b move.Batch) (move.Done, error) {
	done, err := o.take(ctx, b.DryRun, func(tx *store.Tx, taken *move.Taken, findings *move.Findings) error {
		if err := tx.KeepTakenPosition(b.Position); err != nil {
			return err
		}
		importer := o.importer()
		for _, a := range b.Accounts {
			if err := importer.Take(tx, by, a, taken, findings); err != nil {
				return err
			}
		}
		for _, name := range b.Gone {
			if err := importer.Gone(tx, by, name, taken, findings); err != nil {
				return err
			}
		}
		return nil
	})
	note(ctx, model.User{}, slog.Int("accounts", len(b.Accounts)), slog.Int("gone", len(b.Gone)))
	return done, err
}

func (o *Operations) takeRegistrationTokens(ctx context.Context, by model.Actor, t move.Tokens) (move.Done, error) {
	done, err := o.take(ctx, t.DryRun, func(tx *store.Tx, taken *move.Taken, findings *move.Findings) error {
		return o.importer().TakeTokens(tx, by, t.Tokens, taken, findings)
	})
	note(ctx, model.User{}, slog.Int64("taken", done.Taken.RegistrationTokens))
	return done, err
}

// take runs a part in one transaction. Counts begin anew if the transaction runs twice.
func (o *Operations) take(ctx context.Context, dryRun bool, f func(*store.Tx, *move.Taken, *move.Findings) error) (move.Done, error) {
	done, err := updateUnless(ctx, o, dryRun, func(tx *store.Tx) (done move.Done, err error) {
		var findings move.Findings
		err = f(tx, &done.Taken, &findings)
		done.Findings = findings.All()
		return done, err
	})
	noteDryRun(ctx, dryRun)
	return done, err
}

func (o *Operations) importer() *move.Importer {
	return &move.Importer{Users: o.c.Users, Sessions: o.c.Sessions, Registrations: o.c.Registrations, ServerName: o.c.ServerName}
}

// MoveTarget has the parts of a move done by who performs operations.
type MoveTarget struct{ Caller }

// TakePepper has the pepper kept that the hashes of accounts name which are taken from now on; empty for none. It comes
// before the first accounts of each run.
func (t MoveTarget) TakePepper(ctx context.Context, text string) error {
	_, err := TakePepper.Do(ctx, t.Caller, Pepper{text})
	return err
}

// Journal implements move.Target.
func (t MoveTarget) Journal(ctx context.Context, q move.JournalQuery) (move.JournalPage, error) {
	return ListTaken.Do(ctx, t.Caller, q)
}

// Take implements move.Target.
func (t MoveTarget) Take(ctx context.Context, b move.Batch) (move.Done, error) {
	return TakeAccounts.Do(ctx, t.Caller, b)
}

// TakeTokens implements move.Target.
func (t MoveTarget) TakeTokens(ctx context.Context, all move.Tokens) (move.Done, error) {
	return TakeRegistrationTokens.Do(ctx, t.Caller, all)
}
