package move

import (
	"bytes"
	"context"
)

// Batch is a part of a run that is taken in one transaction.
type Batch struct {
	Accounts []Account `json:"accounts,omitempty"`
	// Gone are names that were taken and that the other server has no more.
	Gone []string `json:"gone,omitempty"`
	// Position is that of the Source.
	Position int64 `json:"position,omitempty"`
	// DryRun undoes everything.
	DryRun bool `json:"dry_run,omitempty"`
}

// Tokens are all the registration tokens of the other server.
type Tokens struct {
	Tokens []RegistrationToken `json:"tokens"`
	DryRun bool                `json:"dry_run,omitempty"`
}

// Done is what came of a part.
type Done struct {
	Taken    Taken     `json:"taken"`
	Findings []Finding `json:"findings,omitempty"`
}

// JournalQuery asks for a page of the journal, behind After.
type JournalQuery struct {
	After string `json:"after,omitempty"`
	Limit int    `json:"limit"`
}

// JournalPage is a page of the journal, in the order of the names' bytes. It is shorter than the limit at the end.
type JournalPage struct {
	Entries []JournalEntry `json:"entries"`
	// Position is that of the Source of the last run.
	Position int64 `json:"position,omitempty"`
}

// JournalEntry says how an account was taken last.
type JournalEntry struct {
	Name        string `json:"name"`
	Fingerprint []byte `json:"fingerprint"`
}

// Target takes accounts over: the store, or what reaches it.
type Target interface {
	Journal(ctx context.Context, q JournalQuery) (JournalPage, error)
	Take(ctx context.Context, b Batch) (Done, error)
	TakeTokens(ctx context.Context, t Tokens) (Done, error)
}

// Options say how to run.
type Options struct {
	// DryRun changes nothing.
	DryRun bool
	// Position is that of the Source.
	Position int64
	// Tell is told how many accounts were passed; nil tells nobody.
	Tell func(accounts int64)
}

const (
	// batchAccounts and batchBytes bound a part: what is in memory at once, and for how long others wait to write.
	batchAccounts = 300
	batchBytes    = 1 << 20
	journalPage   = 2000
)

// Run takes everything of a source that has changed since the last run, and takes away what is gone. If it ends early, by an
// error or as ctx ends, what was taken so far is kept, and another run goes on from there. It returns what was done by then.
func Run(ctx context.Context, from Source, to Target, o Options, findings *Findings) (taken Taken, err error) {
	r := &run{to: to, o: o, findings: findings, work: make(chan Batch, 1), done: make(chan error, 1)}
	if r.o.Tell == nil {
		r.o.Tell = func(int64) {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		err := r.send(ctx)
		if err != nil {
			cancel(err) // nothing more needs to be read
		}
		r.done <- err
	}()
	r.ctx = ctx
	err = from.Accounts(ctx, findings, r.account)
	if err == nil {
		err = r.rest()
	}
	if err == nil {
		err = r.flush()
	}
	close(r.work)
	// What was sent is done in any case.
	if sent := <-r.done; sent != nil {
		err = sent
	}
	taken = r.taken
	taken.Unchanged += r.unchanged
	for _, f := range r.found {
		findings.NoteMany(f.Kind, f.Count, f.Examples...)
	}
	if err != nil {
		return taken, err
	}
	done, err := takeTokens(ctx, from, to, o, findings)
	taken.Add(done)
	return taken, err
}

// run merges what a source has with the journal, both in the order of names.
type run struct {
	to       Target
	o        Options
	findings *Findings
	ctx      context.Context //nolint:containedctx // a run is one call

	journal []JournalEntry
	after   string
	ended   bool

	batch Batch
	size  int
	work  chan Batch
	done  chan error

	// unchanged and passed count accounts; taken and found are of send alone until it has ended.
	unchanged, passed int64
	taken             Taken
	found             []Finding
}

// account passes one account of the source.
func (r *run) account(a Account) error {
	entry, err := r.entry(a.Name)
	if err != nil {
		return err
	}
	r.passed++
	r.o.Tell(r.passed)
	if entry != nil && bytes.Equal(entry.Fingerprint, a.Fingerprint()) {
		r.unchanged++
		return nil
	}
	r.batch.Accounts = append(r.batch.Accounts, a)
	return r.grow(a.weight())
}

func (r *run) grow(size int) error {
	r.size += size
	if len(r.batch.Accounts)+len(r.batch.Gone) < batchAccounts && r.size < batchBytes {
		return nil
	}
	return r.flush()
}

// entry returns the journal's entry of a name, nil for none. What the journal has before it is gone at the source.
func (r *run) entry(name string) (*JournalEntry, error) {
	for {
		if err := r.fill(); err != nil {
			return nil, err
		}
		if len(r.journal) == 0 || r.journal[0].Name > name {
			return nil, nil
		}
		first := r.journal[0]
		r.journal = r.journal[1:]
		if first.Name == name {
			return &first, nil
		}
		if err := r.gone(first.Name); err != nil {
			return nil, err
		}
	}
}

// rest deals with what the journal has behind the last account of the source.
func (r *run) rest() error {
	for {
		if err := r.fill(); err != nil || len(r.journal) == 0 {
			return err
		}
		name := r.journal[0].Name
		r.journal = r.journal[1:]
		if err := r.gone(name); err != nil {
			return err
		}
	}
}

func (r *run) gone(name string) error {
	r.batch.Gone = append(r.batch.Gone, name)
	return r.grow(len(name))
}

// fill reads the next page of the journal if none is left.
func (r *run) fill() error {
	if len(r.journal) > 0 || r.ended {
		return nil
	}
	page, err := r.to.Journal(r.ctx, JournalQuery{After: r.after, Limit: journalPage})
	if err != nil {
		return err
	}
	if r.after == "" && r.o.Position < page.Position {
		r.findings.Note(DatabaseOlder, "")
	}
	r.journal, r.ended = page.Entries, len(page.Entries) < journalPage
	if n := len(page.Entries); n > 0 {
		r.after = page.Entries[n-1].Name
	}
	return nil
}

// flush hands a part on.
func (r *run) flush() error {
	if len(r.batch.Accounts)+len(r.batch.Gone) == 0 {
		return nil
	}
	r.batch.DryRun, r.batch.Position = r.o.DryRun, r.o.Position
	select {
	case r.work <- r.batch:
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
	r.batch, r.size = Batch{}, 0
	return nil
}

// send has part after part taken, while the next is read. A part is done whole although ctx ends.
func (r *run) send(ctx context.Context) (left error) {
	for b := range r.work {
		if left = context.Cause(ctx); left != nil {
			continue // the reader may not have seen it yet
		}
		done, err := r.to.Take(context.WithoutCancel(ctx), b)
		if err != nil {
			for range r.work { // the reader may be about to hand one on
			}
			return err
		}
		r.taken.Add(done.Taken)
		r.found = append(r.found, done.Findings...)
	}
	return left
}

func takeTokens(ctx context.Context, from Source, to Target, o Options, findings *Findings) (Taken, error) {
	all := Tokens{DryRun: o.DryRun, Tokens: []RegistrationToken{}}
	err := from.RegistrationTokens(ctx, findings, func(t RegistrationToken) error {
		all.Tokens = append(all.Tokens, t)
		return nil
	})
	if err != nil {
		return Taken{}, err
	}
	done, err := to.TakeTokens(ctx, all)
	for _, f := range done.Findings {
		findings.NoteMany(f.Kind, f.Count, f.Examples...)
	}
	return done.Taken, err
}
