package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Database sees whether the database answers, and of which schema it is.
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
	d.good(check, "%s answers, schema %d", d.Store.Path(), schema)
}

// patience is how old a job may be before it is a finding.
const patience = 2 * time.Minute

// WaitingJobs tells of jobs that were set aside, and of those that wait for longer than they should.
func (d *Visit) WaitingJobs(ctx context.Context) {
	const check = "outbox"
	state, err := d.Outbox.State(ctx)
	var aside []model.Job
	names := map[string]string{}
	if err == nil {
		err = d.Store.View(ctx, func(tx *store.Tx) (err error) {
			if aside, err = tx.JobsSetAside(20); err != nil {
				return err
			}
			for _, job := range aside {
				if names[job.Lane.Subject], err = d.nameIn(tx, job.Lane.Subject); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		d.bad(check, "broken", "the outbox cannot be read: "+err.Error(), d.Store.Path(), "restore a backup, or look at the disk")
		return
	}
	for _, job := range aside {
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
