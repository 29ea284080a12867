package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Database sees whether the database answers and can be written, whether it was found to be damaged, and of which schema
// it is. With CheckDatabase it reads all of it.
func (d *Visit) Database(ctx context.Context) {
	const check = "database"
	err := d.Store.Check(ctx)
	schema := int64(0)
	if err == nil {
		schema, err = d.Store.Schema(ctx)
	}
	if err != nil {
		d.bad(check, "broken", "the database does not answer: "+err.Error(), d.Store.Path(), "restore a backup, or look at the disk")
		return
	}
	if d.CheckDatabase {
		problems, err := d.Store.FullCheck(ctx)
		if err != nil {
			d.bad(check, "broken", "the database cannot be read whole: "+err.Error(), d.Store.Path(), "look at the disk")
			return
		}
		if len(problems) > 0 {
			d.bad(check, "damaged", "the database is damaged: "+strings.Join(problems, "; "), d.Store.Path(), putBack)
			return
		}
	}
	if t := d.Store.Damaged(); t != nil {
		d.bad(check, "damaged", "a part of the database was found to be damaged: "+t.Err.Error(), d.Store.Path(), "see how far it goes by --check-database; "+putBack)
		return
	}
	if t := d.Store.CannotWrite(); t != nil {
		d.bad(check, "unwritable", fmt.Sprintf("the database cannot be written since %s, as %s: %v; who would change something is told to wait", t.Since.Format(time.RFC3339), t.What, t.Err),
			d.Store.Path(), "make room, or look at the disk; it goes on by itself")
		return
	}
	if d.CheckDatabase {
		d.good(check, "%s answers, schema %d; all of it was read and is whole", d.Store.Path(), schema)
		return
	}
	d.good(check, "%s answers, schema %d", d.Store.Path(), schema)
}

// putBack is what is to be done about a damaged database.
const putBack = "put a backup back: caddy matrix-auth restore FILE; who needs the damaged part is told to wait until then"

// patience is how old a job may be before it is a finding.
const patience = 2 * time.Minute

// WaitingJobs tells of jobs for Synapse that were set aside, and of those that wait for longer than they should. Of mails
// tells Mail.
func (d *Visit) WaitingJobs(ctx context.Context) {
	const check = "outbox"
	var state store.OutboxState
	var aside []model.Job
	names := map[string]string{}
	err := d.Store.View(ctx, func(tx *store.Tx) (err error) {
		if state, err = tx.OutboxStateOf(model.ToHomeserver); err != nil {
			return err
		}
		if aside, err = tx.JobsSetAsideOf(model.ToHomeserver, 20); err != nil {
			return err
		}
		for _, job := range aside {
			if names[job.Lane.Subject], err = d.nameIn(tx, job.Lane.Subject); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		d.bad(check, "broken", "the outbox cannot be read: "+err.Error(), d.Store.Path(), "restore a backup, or look at the disk")
		return
	}
	for _, job := range aside {
		if job.LastError == model.HeldBack {
			d.bad(check, "held-back", fmt.Sprintf("job %d (%s, user %s, %s) was %s", job.Position, job.Kind, names[job.Lane.Subject], job.Payload, model.HeldBack),
				d.Store.Path(), "ask its user whether an app is in use on that device, then retry or drop it; the note goes after 30 days, and nothing is deleted then")
			continue
		}
		d.bad(check, "refused", fmt.Sprintf("job %d (%s, user %s) was refused by Synapse for good: %s", job.Position, job.Kind, names[job.Lane.Subject], job.LastError),
			d.Store.Path(), "mend the cause and repeat the change by its command; the note goes after 30 days")
	}
	age := time.Duration(0)
	if !state.Oldest.IsZero() {
		age = d.Store.Now().Sub(state.Oldest)
	}
	if age > patience {
		d.bad(check, "late", fmt.Sprintf("%d jobs wait for Synapse, the oldest for %s; its last failure: %s", state.Waiting, age.Round(time.Second), state.LastError),
			d.Endpoint, "they go on by themselves once Synapse takes them")
		return
	}
	if len(aside) == 0 {
		d.good(check, "%d jobs wait, none was refused", state.Waiting)
	}
}

// nameIn names a user for people, with the id of our own by which logs and the database have them.
func (d *Visit) nameIn(tx *store.Tx, id string) (string, error) {
	user, err := tx.User(id)
	if errors.Is(err, model.ErrNotFound) {
		return id, nil
	}
	if err != nil {
		return "", err
	}
	return model.MatrixID(user.Localpart, d.ServerName) + ", " + id, nil
}
