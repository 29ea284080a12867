package store

import (
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const selectJob = "SELECT position, destination, subject, kind, payload, attempts, created_at, run_at, last_error, set_aside_at FROM outbox"

func scanJob(s scanner) (j model.Job, err error) {
	err = s.Scan(&j.Position, &j.Lane.Destination, &j.Lane.Subject, &j.Kind, &j.Payload, &j.Attempts,
		timeInto{&j.CreatedAt}, timeInto{&j.RunAt}, &j.LastError, timeInto{&j.SetAsideAt})
	return j, err
}

// Enqueue adds a job to the end of a lane. It is done once the transaction is durable. Enqueue returns the job's
// position; positions are never used again.
func (tx *Tx) Enqueue(lane model.Lane, kind model.JobKind, payload string) (int64, error) {
	position, err := written(tx, scanCount, "UPDATE outbox_position SET last = last + 1 RETURNING last")
	if err != nil {
		return 0, err
	}
	_, err = tx.exec("INSERT INTO outbox (position, destination, subject, kind, payload, created_at, run_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
		position, lane.Destination, lane.Subject, kind, payload, micros(tx.Now))
	return position, err
}

// Job finds a job, also one that is set aside.
func (tx *Tx) Job(position int64) (model.Job, error) {
	return one(tx, scanJob, selectJob+" WHERE position = ?1", position)
}

// Jobs lists at most limit jobs that a filter chooses, in the order of their positions, beginning behind after.
func (tx *Tx) Jobs(f model.JobFilter, after int64, limit int) ([]model.Job, error) {
	return many(tx, scanJob, selectJob+` WHERE position > ?1 AND (?2 OR set_aside_at IS NOT NULL) AND (?3 OR set_aside_at IS NULL)
		AND (?4 = '' OR destination = ?4) AND (?5 = '' OR kind = ?5) AND (?6 = '' OR subject = ?6 OR substr(subject, 1, length(?6) + 1) = ?6 || '/') ORDER BY position LIMIT ?7`,
		after, f.State != model.JobSetAside, f.State != model.JobWaiting, f.Destination, f.Kind, f.Subject, limit)
}

const inLane = " WHERE destination = ?1 AND subject = ?2 AND set_aside_at IS NULL"

// NextJob returns the job that a lane must do next; jobs set aside do not count.
func (tx *Tx) NextJob(lane model.Lane) (model.Job, error) {
	return one(tx, scanJob, selectJob+inLane+" ORDER BY position LIMIT 1", lane.Destination, lane.Subject)
}

// JobWaits reports whether a job of a kind waits in a lane; jobs set aside do not count.
func (tx *Tx) JobWaits(lane model.Lane, kind model.JobKind) (bool, error) {
	return one(tx, func(s scanner) (waits bool, err error) { return waits, s.Scan(&waits) },
		"SELECT EXISTS (SELECT 1 FROM outbox"+inLane+" AND kind = ?3)", lane.Destination, lane.Subject, kind)
}

// JobsAlike returns how many jobs of a kind with the same payload wait in a lane; jobs set aside do not count.
func (tx *Tx) JobsAlike(lane model.Lane, kind model.JobKind, payload string) (int64, error) {
	return one(tx, scanCount, "SELECT COUNT(*) FROM outbox"+inLane+" AND kind = ?3 AND payload = ?4", lane.Destination, lane.Subject, kind, payload)
}

// LaneHeads lists at most limit jobs for a destination that are first in their lanes, the one due longest first.
func (tx *Tx) LaneHeads(to model.Destination, limit int) ([]model.Job, error) {
	return many(tx, scanJob, selectJob+` WHERE position IN (SELECT MIN(position) FROM outbox
		WHERE destination = ?1 AND set_aside_at IS NULL GROUP BY subject) ORDER BY run_at, position LIMIT ?2`, to, limit)
}

// DeleteJob removes a job that is done, or a note that is no longer needed.
func (tx *Tx) DeleteJob(position int64) error {
	_, err := tx.exec("DELETE FROM outbox WHERE position = ?1", position)
	return err
}

// PostponeJob notes a failed try and the time of the next.
func (tx *Tx) PostponeJob(position int64, reason string, runAt time.Time) error {
	_, err := tx.exec("UPDATE outbox SET attempts = attempts + 1, last_error = ?2, run_at = ?3 WHERE position = ?1", position, clip(reason), micros(runAt))
	return err
}

// SetJobAside takes a job out of its lane and keeps it for the operator.
func (tx *Tx) SetJobAside(position int64, reason string) error {
	_, err := tx.exec("UPDATE outbox SET attempts = attempts + 1, last_error = ?2, set_aside_at = ?3 WHERE position = ?1", position, clip(reason), micros(tx.Now))
	return err
}

// RetryJob makes a job due at once. One that is set aside waits again, at its old position.
func (tx *Tx) RetryJob(position int64) error {
	_, err := tx.exec("UPDATE outbox SET run_at = ?2, set_aside_at = NULL WHERE position = ?1", position, micros(tx.Now))
	return err
}

// HastenJobs makes every job for a destination that waits for another try due at once.
func (tx *Tx) HastenJobs(to model.Destination) error {
	_, err := tx.exec("UPDATE outbox SET run_at = ?2 WHERE destination = ?1 AND set_aside_at IS NULL AND run_at > ?2", to, micros(tx.Now))
	return err
}

// JobsSetAside lists at most limit jobs set aside, newest first.
func (tx *Tx) JobsSetAside(limit int) ([]model.Job, error) { return tx.JobsSetAsideOf("", limit) }

// JobsSetAsideOf lists at most limit jobs for a destination that are set aside, newest first; those for all if it is empty.
func (tx *Tx) JobsSetAsideOf(to model.Destination, limit int) ([]model.Job, error) {
	return many(tx, scanJob, selectJob+" WHERE set_aside_at IS NOT NULL AND (?1 = '' OR destination = ?1) ORDER BY position DESC LIMIT ?2", to, limit)
}

// CountHeldBack counts the jobs that are set aside because the database went back.
func (tx *Tx) CountHeldBack() (int64, error) {
	return one(tx, scanCount, "SELECT COUNT(*) FROM outbox WHERE set_aside_at IS NOT NULL AND last_error = ?1", model.HeldBack)
}

// OutboxState is how much work waits.
type OutboxState struct {
	// Waiting counts the jobs to be done, SetAside those that were refused for good.
	Waiting, SetAside int64
	// Oldest is the time at which the longest waiting job was written; zero if none waits.
	Oldest time.Time
	// LastError is the last failure of the longest waiting job; empty if it has not failed.
	LastError string
}

// OutboxState counts the jobs of the outbox.
func (tx *Tx) OutboxState() (OutboxState, error) { return tx.OutboxStateOf("") }

// OutboxStateOf counts the jobs for a destination; those for all if it is empty.
func (tx *Tx) OutboxStateOf(to model.Destination) (OutboxState, error) {
	return one(tx, func(s scanner) (v OutboxState, err error) {
		err = s.Scan(&v.Waiting, &v.SetAside, timeInto{&v.Oldest}, &v.LastError)
		return v, err
	}, `SELECT COUNT(*) FILTER (WHERE set_aside_at IS NULL), COUNT(*) FILTER (WHERE set_aside_at IS NOT NULL),
		MIN(created_at) FILTER (WHERE set_aside_at IS NULL),
		COALESCE((SELECT last_error FROM outbox WHERE (?1 = '' OR destination = ?1) AND set_aside_at IS NULL ORDER BY position LIMIT 1), '')
		FROM outbox WHERE (?1 = '' OR destination = ?1)`, to)
}

// JobCount is how much work of one kind waits.
type JobCount struct {
	Kind model.JobKind
	// Waiting counts the jobs to be done, SetAside those that were refused for good.
	Waiting, SetAside int64
	// Oldest is the time at which the longest waiting job was written; zero if none waits.
	Oldest time.Time
}

// CountJobs counts the jobs of the outbox by kind. A kind without jobs is left out.
func (tx *Tx) CountJobs() ([]JobCount, error) {
	return many(tx, func(s scanner) (v JobCount, err error) {
		err = s.Scan(&v.Kind, &v.Waiting, &v.SetAside, timeInto{&v.Oldest})
		return v, err
	}, `SELECT kind, COUNT(*) FILTER (WHERE set_aside_at IS NULL), COUNT(*) FILTER (WHERE set_aside_at IS NOT NULL),
		MIN(created_at) FILTER (WHERE set_aside_at IS NULL) FROM outbox GROUP BY kind`)
}

// CountLanes counts the lanes in which jobs wait.
func (tx *Tx) CountLanes() (int64, error) {
	return one(tx, scanCount, "SELECT COUNT(*) FROM (SELECT DISTINCT destination, subject FROM outbox WHERE set_aside_at IS NULL) AS lanes")
}
