package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Record writes an event about what was done in this transaction.
func (tx *Tx) Record(by model.Actor, action model.Action, userID string, details model.Details) error {
	if details == nil {
		details = model.Details{}
	}
	text, err := model.MarshalText(details)
	if err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO events (at, actor_kind, actor_id, actor_name, ip, user_agent, action, user_id, details)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`,
		micros(tx.Now), by.Kind, by.ID, clip(by.Name), clip(by.Source.IP), clip(by.Source.UserAgent), action, userID, text)
	return err
}

// Record is Tx.Record in a transaction of its own, for what was done outside the store.
func (s *Store) Record(ctx context.Context, by model.Actor, action model.Action, userID string, details model.Details) error {
	return s.Update(ctx, func(tx *Tx) error { return tx.Record(by, action, userID, details) })
}

// EventFilter says which events to list.
type EventFilter struct {
	// UserID is whose account they are about; empty for all.
	UserID string
	// Person leaves out what tells its holder nothing: what became of our errands at the homeserver.
	Person bool
	// Before is the position before which they stand; zero for the newest.
	Before int64
	Limit  int
}

const (
	// The name of a user who acted is that of their account.
	selectEvent = `SELECT position, at, actor_kind, actor_id,
		CASE actor_kind WHEN 'user' THEN COALESCE((SELECT localpart FROM users WHERE id = actor_id), '') ELSE actor_name END,
		ip, user_agent, action, user_id, COALESCE((SELECT localpart FROM users WHERE id = user_id), ''), details FROM events`
	anyEvents  = selectEvent + " WHERE position < ?1 ORDER BY position DESC LIMIT ?2"
	userEvents = selectEvent + " WHERE user_id = ?3 AND position < ?1 ORDER BY position DESC LIMIT ?2"
	// personEvents are those of an account that concern its holder.
	personEvents = selectEvent + " WHERE user_id = ?3 AND position < ?1 AND action NOT LIKE 'outbox.%' ORDER BY position DESC LIMIT ?2"
)

// Events lists events, the newest first.
func (tx *Tx) Events(f EventFilter) ([]model.Event, error) {
	before := f.Before
	if before == 0 {
		before = 1<<63 - 1
	}
	if f.UserID == "" {
		return many(tx, scanEvent, anyEvents, before, f.Limit)
	}
	query := userEvents
	if f.Person {
		query = personEvents
	}
	return many(tx, scanEvent, query, before, f.Limit, f.UserID)
}

func scanEvent(s scanner) (e model.Event, err error) {
	var details string
	if err := s.Scan(&e.Position, timeInto{&e.At}, &e.By.Kind, &e.By.ID, &e.By.Name, &e.By.Source.IP, &e.By.Source.UserAgent, &e.Action, &e.UserID, &e.Localpart, &details); err != nil {
		return e, err
	}
	if err := json.Unmarshal([]byte(details), &e.Details); err != nil {
		return e, fmt.Errorf("event %d: %w", e.Position, err)
	}
	return e, nil
}

const (
	crowdedEvents = "SELECT user_id FROM events GROUP BY user_id HAVING COUNT(*) > ?1"
	// newestEvents is the position of the last event of an account that is kept.
	newestEvents = "SELECT position FROM events WHERE user_id = ?1 ORDER BY position DESC LIMIT 1 OFFSET ?2"
	removeEvents = "DELETE FROM events WHERE position IN (SELECT position FROM events WHERE user_id = ?1 AND position < ?2 LIMIT ?3)"
)

// retainEvents removes what accounts have beyond bound.Events.
func (s *Store) retainEvents(ctx context.Context) (removed int64, err error) {
	var crowded []string
	if err := s.View(ctx, func(tx *Tx) (err error) {
		crowded, err = many(tx, scanText, crowdedEvents, bound.Events)
		return err
	}); err != nil {
		return 0, err
	}
	for _, userID := range crowded {
		for n := int64(retentionBatch); n == retentionBatch; {
			err := s.Update(ctx, func(tx *Tx) error {
				last, err := one(tx, scanCount, newestEvents, userID, bound.Events-1)
				if errors.Is(err, model.ErrNotFound) {
					n = 0
					return nil
				}
				if err == nil {
					n, err = tx.exec(removeEvents, userID, last, retentionBatch)
				}
				return err
			})
			if err != nil {
				return removed, err
			}
			removed += n
		}
	}
	return removed, nil
}
