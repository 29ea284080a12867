package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const selectJob = "SELECT position, lane, kind, payload, attempts, created_at, run_at, last_error, set_aside_at FROM outbox"

func scanJob(s scanner) (j model.Job, err error) {
	var payload string
	err = s.Scan(&j.Position, &j.Lane, &j.Kind, &payload, &j.Attempts, timeInto{&j.CreatedAt}, timeInto{&j.RunAt}, &j.LastError, timeInto{&j.SetAsideAt})
	if err != nil {
		return j, err
	}
	if err := json.Unmarshal([]byte(payload), &j.Payload); err != nil {
		return j, fmt.Errorf("outbox job %d: %w", j.Position, err)
	}
	return j, nil
}

// Enqueue adds work to the end of a user's lane, to be done once the transaction is durable. It
// gives the job's position.
func (tx *Tx) Enqueue(lane string, kind model.JobKind, payload model.JobPayload) (int64, error) {
	text, err := model.MarshalText(payload)
	if err != nil {
		return 0, err
	}
	return written(tx, func(s scanner) (position int64, err error) { return position, s.Scan(&position) },
		`INSERT INTO outbox (position, lane, kind, payload, created_at, run_at)
		SELECT COALESCE(MAX(position), 0) + 1, ?1, ?2, ?3, ?4, ?4 FROM outbox RETURNING position`,
		lane, kind, text, micros(tx.Now))
}

// NextJob is the job that a lane must do next; jobs set aside do not count.
func (tx *Tx) NextJob(lane string) (model.Job, error) {
	return one(tx, scanJob, selectJob+" WHERE lane = ?1 AND set_aside_at IS NULL ORDER BY position LIMIT 1", lane)
}

// JobWaits reports whether a job of a kind waits in a lane; jobs set aside do not count.
func (tx *Tx) JobWaits(lane string, kind model.JobKind) (bool, error) {
	return one(tx, func(s scanner) (waits bool, err error) { return waits, s.Scan(&waits) },
		"SELECT EXISTS (SELECT 1 FROM outbox WHERE lane = ?1 AND kind = ?2 AND set_aside_at IS NULL)", lane, kind)
}

// LaneHeads lists at most limit jobs that are first in their lanes, the one due longest first.
func (tx *Tx) LaneHeads(limit int) ([]model.Job, error) {
	return many(tx, scanJob, selectJob+` WHERE position IN (
		SELECT MIN(position) FROM outbox WHERE set_aside_at IS NULL GROUP BY lane) ORDER BY run_at, position LIMIT ?1`, limit)
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

// HastenJobs makes every job that waits for another try due at once.
func (tx *Tx) HastenJobs() error {
	_, err := tx.exec("UPDATE outbox SET run_at = ?1 WHERE set_aside_at IS NULL AND run_at > ?1", micros(tx.Now))
	return err
}

// JobsSetAside lists at most limit jobs set aside, newest first.
func (tx *Tx) JobsSetAside(limit int) ([]model.Job, error) {
	return many(tx, scanJob, selectJob+" WHERE set_aside_at IS NOT NULL ORDER BY position DESC LIMIT ?1", limit)
}

// OutboxState is how much work waits.
type OutboxState struct {
	// Waiting counts the jobs to be done, SetAside those that the homeserver refused for good.
	Waiting, SetAside int64
	// Oldest is the time at which the longest waiting job was written; zero if none waits.
	Oldest time.Time
	// LastError is the last failure of the longest waiting job; empty if it has not failed.
	LastError string
}

// OutboxState counts the jobs of the outbox.
func (tx *Tx) OutboxState() (OutboxState, error) {
	return one(tx, func(s scanner) (v OutboxState, err error) {
		err = s.Scan(&v.Waiting, &v.SetAside, timeInto{&v.Oldest}, &v.LastError)
		return v, err
	}, `SELECT COUNT(*) FILTER (WHERE set_aside_at IS NULL), COUNT(*) FILTER (WHERE set_aside_at IS NOT NULL),
		MIN(created_at) FILTER (WHERE set_aside_at IS NULL),
		COALESCE((SELECT last_error FROM outbox WHERE set_aside_at IS NULL ORDER BY position LIMIT 1), '') FROM outbox`)
}

// JobCount is how much work of one kind waits.
type JobCount struct {
	Kind model.JobKind
	// Waiting counts the jobs to be done, SetAside those that the homeserver refused for good.
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

// CountLanes counts the users for whom jobs wait.
func (tx *Tx) CountLanes() (int64, error) {
	return one(tx, scanCount, "SELECT COUNT(DISTINCT lane) FROM outbox WHERE set_aside_at IS NULL")
}
