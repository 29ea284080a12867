package operate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// The operations on the work that waits.
const (
	ListJobs Operation[JobQuery, JobPage] = "outbox.list"
	RetryJob Operation[JobRef, Job]       = "outbox.retry"
	DropJob  Operation[JobRef, Job]       = "outbox.drop"
)

// Job is work for Synapse, or another destination, that waits or was refused for good.
type Job struct {
	Position    int64  `json:"position"`
	Kind        string `json:"kind"`
	Destination string `json:"destination"`
	// User is the localpart of whom the job is about, and Subject their id.
	User      string    `json:"user,omitempty"`
	Subject   string    `json:"subject"`
	State     string    `json:"state"`
	Attempts  int       `json:"attempts"`
	CreatedAt time.Time `json:"created_at"`
	// RunAt is when it is tried next, if it waits.
	RunAt     time.Time `json:"run_at,omitzero"`
	LastError string    `json:"last_error,omitempty"`
}

// JobQuery says which jobs are asked for. What is empty chooses all.
type JobQuery struct {
	// State is "waiting" or "set_aside".
	State string `json:"state,omitempty"`
	// User is whom they are about, as typed.
	User string `json:"user,omitempty"`
	// After is the Next of the page before; 0 for the first. Limit bounds the page.
	After int64 `json:"after,omitempty"`
	Limit int   `json:"limit,omitempty"`
}

func (a JobQuery) typedUser() string { return a.User }

// JobPage is a page of jobs, the oldest first.
type JobPage struct {
	Jobs []Job `json:"jobs"`
	// Next is the After of the next page; 0 at the end.
	Next int64 `json:"next,omitempty"`
}

// JobRef names a job by its position.
type JobRef struct {
	Position int64 `json:"position"`
}

func (o *Operations) listJobs(ctx context.Context, _ model.Actor, p JobQuery) (JobPage, error) {
	switch model.JobState(p.State) {
	case "", model.JobWaiting, model.JobSetAside:
	default:
		return JobPage{}, model.Errorf(model.InvalidParam, "%q is not a state of a job; name %s or %s", p.State, model.JobWaiting, model.JobSetAside)
	}
	size := pageSize(p.Limit)
	return view(ctx, o, func(tx *store.Tx) (JobPage, error) {
		filter := model.JobFilter{State: model.JobState(p.State)}
		if p.User != "" {
			found, err := o.find(ctx, tx, p.User)
			if err != nil {
				return JobPage{}, err
			}
			filter.Subject = found.ID
		}
		found, err := tx.Jobs(filter, p.After, size+1)
		if err != nil {
			return JobPage{}, err
		}
		page := JobPage{Jobs: []Job{}}
		found, page.Next = cutPage(found, size, func(job model.Job) int64 { return job.Position })
		names := map[string]string{}
		for _, job := range found {
			if _, known := names[job.Lane.Subject]; !known {
				who, err := subjectOf(tx, job)
				if err != nil {
					return JobPage{}, err
				}
				names[job.Lane.Subject] = who.Localpart
			}
			page.Jobs = append(page.Jobs, describeJob(job, names[job.Lane.Subject]))
		}
		return page, nil
	})
}

// subjectOf returns the user whom a job is about; the zero User if it is about none, or they are gone.
func subjectOf(tx *store.Tx, job model.Job) (model.User, error) {
	who, err := tx.User(model.UserOfSubject(job.Lane.Subject))
	if errors.Is(err, model.ErrNotFound) {
		return model.User{}, nil
	}
	return who, err
}

func describeJob(job model.Job, user string) Job {
	described := Job{
		Position: job.Position, Kind: string(job.Kind), Destination: string(job.Lane.Destination), User: user, Subject: job.Lane.Subject,
		State: string(model.JobWaiting), Attempts: job.Attempts, CreatedAt: job.CreatedAt, RunAt: job.RunAt, LastError: job.LastError,
	}
	if job.SetAside() {
		described.State, described.RunAt = string(model.JobSetAside), time.Time{}
	}
	return described
}

func (o *Operations) retryJob(ctx context.Context, by model.Actor, p JobRef) (Job, error) {
	return o.manageJob(ctx, by, p, model.ActionRetryJob, o.c.Outbox.Retry)
}

func (o *Operations) dropJob(ctx context.Context, by model.Actor, p JobRef) (Job, error) {
	return o.manageJob(ctx, by, p, model.ActionDropJob, o.c.Outbox.Drop)
}

// laneWait bounds how long an operation waits for a try of the job, or a sign-in of its user, to end.
const laneWait = 10 * time.Second

func (o *Operations) manageJob(ctx context.Context, by model.Actor, p JobRef, action model.Action,
	manage func(context.Context, int64, func(*store.Tx, model.Job) error) (model.Job, error)) (described Job, err error) {
	note(ctx, model.User{}, slog.Int64("position", p.Position))
	work, cancel := context.WithTimeout(ctx, laneWait)
	defer cancel()
	_, err = manage(work, p.Position, func(tx *store.Tx, job model.Job) error {
		who, err := subjectOf(tx, job)
		if err != nil {
			return err
		}
		note(ctx, who, slog.String("job", string(job.Kind)))
		described = describeJob(job, who.Localpart)
		return tx.Record(by, action, who.ID, model.Details{"position": job.Position, "job": job.Kind})
	})
	switch {
	case errors.Is(err, model.ErrNotFound):
		err = model.Errorf(model.InvalidParam, "there is no job %d; it is done, or was dropped", p.Position)
	case errors.Is(err, outbox.ErrBusy):
		err = model.Errorf(model.TemporarilyDown, "the job is being tried just now, or its user signs in; try again").WithCause(err)
	}
	return described, err
}
