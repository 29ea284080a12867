package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// WentBack is a time at which the database was found to be an earlier state of itself.
type WentBack struct {
	// At is when that was noticed, and Since the last note of life before: what happened between them is lost.
	At, Since time.Time
}

// WentBack returns the last time at which the database went back; model.ErrNotFound if it never did. A server that was
// only down for a while has not gone back.
func (tx *Tx) WentBack() (WentBack, error) {
	return one(tx, func(s scanner) (w WentBack, err error) { return w, s.Scan(timeInto{&w.At}, timeInto{&w.Since}) },
		"SELECT at, since FROM went_back WHERE id = 1")
}

// BeforeGoingBack reports whether a time is before the database last went back. What followed then may be forgotten: a
// device whose session had ended may have another one by now.
func (tx *Tx) BeforeGoingBack(at time.Time) (bool, error) {
	back, err := tx.WentBack()
	if errors.Is(err, model.ErrNotFound) {
		return false, nil
	}
	return !at.After(back.At), err
}

// CountAsBefore has what happens in this transaction count as before the database went back: a restore does again what
// was done then.
func (tx *Tx) CountAsBefore() error {
	_, err := tx.exec("UPDATE went_back SET at = ?1", micros(tx.Now))
	return err
}

// NoteWentBack notes that the database is an earlier state of itself, whose last note of life is since. What was asked
// for then and may have been done meanwhile is not done again: codes and links for recovery are worthless, and requests
// that wait for a person are gone. Jobs that delete devices are set aside, as the device may be that of an app that signed in since.
func (tx *Tx) NoteWentBack(since time.Time) error {
	if _, err := tx.exec("INSERT INTO went_back (id, at, since) VALUES (1, ?1, ?2) ON CONFLICT (id) DO UPDATE SET at = excluded.at, since = excluded.since",
		micros(tx.Now), since.UnixMicro()); err != nil {
		return err
	}
	if _, err := tx.exec("UPDATE authorizations SET consumed_at = ?1 WHERE code_hash IS NOT NULL AND consumed_at IS NULL", micros(tx.Now)); err != nil {
		return err
	}
	if _, err := tx.exec("DELETE FROM authorizations WHERE user_id IS NULL"); err != nil {
		return err
	}
	if _, err := tx.exec("UPDATE recoveries SET ended_at = ?1, end_reason = ?2, asked = NULL, ticket = NULL WHERE ended_at IS NULL", micros(tx.Now), model.RecoveryWentBack); err != nil {
		return err
	}
	if _, err := tx.exec("DELETE FROM registrations WHERE state = ?1", model.RegistrationOpen); err != nil {
		return err
	}
	_, err := tx.exec("UPDATE outbox SET set_aside_at = ?1, last_error = ?2 WHERE set_aside_at IS NULL AND kind IN (?3, ?4)",
		micros(tx.Now), model.HeldBack, model.JobDeleteDevice, model.JobDeactivateUser)
	return err
}

// alivePath returns the file that holds a note of life too. The row alone would not tell that the database was put back.
func alivePath(path string) string { return path + ".alive" }

// KeepAlive writes the last note of life beside the database. Only a server calls it.
func (s *Store) KeepAlive(ctx context.Context) error {
	var at time.Time
	err := s.View(ctx, func(tx *Tx) (err error) {
		at, err = tx.alive()
		return err
	})
	if err == nil {
		err = place.Replace(alivePath(s.path), []byte(at.Format(time.RFC3339Nano)+"\n"))
	}
	if err != nil {
		return fmt.Errorf("that the database lives cannot be noted beside it: %w", err)
	}
	return nil
}

// keptAlive returns what KeepAlive wrote. Of a file that is not there or cannot be read nothing follows.
func (s *Store) keptAlive() time.Time {
	text, err := place.ReadSmall(alivePath(s.path), place.Closed)
	if err != nil {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(text)))
	if err != nil {
		return time.Time{}
	}
	return at
}

// noteOpening notes that the database lives from now on, and that nobody knows what became of it since the last note.
// One that has no note was not there before. If the file beside the database knows a later note, or putBack is true,
// the database went back, and its error says that this could not be noted: nothing may be done by such a database.
func (s *Store) noteOpening(ctx context.Context, putBack bool) error {
	var last time.Time
	err := s.View(ctx, func(tx *Tx) (err error) {
		last, err = tx.alive()
		return err
	})
	if err != nil {
		return fmt.Errorf("database %s: %w", s.path, err)
	}
	kept := s.keptAlive()
	s.wentBack = putBack || kept.After(last)
	err = s.Update(ctx, func(tx *Tx) error {
		until := tx.Now
		if kept.After(until) { // the clock was set back meanwhile
			until = kept
		}
		if err := tx.addGap(last, until); err != nil {
			return err
		}
		if s.wentBack {
			if err := tx.NoteWentBack(last); err != nil {
				return err
			}
		}
		return tx.NoteAlive()
	})
	if err != nil && s.wentBack {
		return fmt.Errorf("database %s went back in time, and that cannot be noted: %w", s.path, err)
	}
	// A full disk keeps nobody from reading: all since the last note is in a gap then, until one succeeds.
	return nil
}

// FoundBack reports whether this opening found that the database went back.
func (s *Store) FoundBack() bool { return s.wentBack }
