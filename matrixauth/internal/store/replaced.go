package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Replaced is in what a database that is replaced differs from the backup that is put in its place, as far as it must
// not be forgotten: what only restricts, and is done again, and what an operator has to do by hand.
type Replaced struct {
	// EndedSessions and EndedBrowsers live in the backup and have ended in the replaced file.
	EndedSessions, EndedBrowsers []EndedAgain
	// EndedWhileLost are ids of sessions that live in the backup, that the replaced file did not know, and that their
	// holders ended meanwhile.
	EndedWhileLost []string
	// Deactivated, Locked and Demoted are ids of users who were active, not locked or administrators.
	Deactivated, Locked, Demoted []string
	// Passwords are hashes that are newer than those of the backup.
	Passwords []NewerPassword
	// Withdrawn are consents that are no longer remembered.
	Withdrawn []model.Consent
	// RemovedClients are ids of registrations that are gone.
	RemovedClients []string
	// Deletions are the jobs that delete a device and wait, and Done the positions of jobs of the backup that were done
	// or dropped since.
	Deletions []model.Job
	Done      []int64

	// Added are names of accounts that the backup does not have. Of these and all that follow at most maxByHand are named.
	Added []string
	// Promoted, Unlocked, Reactivated and Readdressed are names of users who may administer, are not locked or deactivated
	// any more, or have other mail addresses.
	Promoted, Unlocked, Reactivated, Readdressed []string
	// Begun is how many sessions live that the backup does not have.
	Begun int64
}

// EndedAgain is a session that ended.
type EndedAgain struct {
	ID     string
	Reason model.EndReason
}

// NewerPassword is the hash of a user's password.
type NewerPassword struct{ UserID, Hash string }

// maxByHand bounds the names of each kind of what is to be done by hand.
const maxByHand = 1000

// ReplacedError says why nothing follows from a replaced file for the backup in its place.
type ReplacedError struct{ why string }

// Error is the reason.
func (e *ReplacedError) Error() string { return e.why }

// Replaced reads how the database that is replaced differs from the backup, in the transaction of a Store that
// Restore.Open opened, which went back. Its error is a *ReplacedError: nothing follows from that database, and the
// transaction may go on.
func (tx *Tx) Replaced() (r Replaced, err error) {
	r, err = tx.replaced()
	if why := (*ReplacedError)(nil); err != nil && !errors.As(err, &why) {
		err = &ReplacedError{"it cannot be read (" + err.Error() + ")"}
	}
	return r, err
}

func (tx *Tx) replaced() (r Replaced, err error) {
	back, err := tx.checkReplaced()
	if err != nil {
		return r, err
	}
	// Until then the two have one history. What is in the backup and not in the replaced file was removed there only if
	// it is older, and what was changed there before is overtaken by the backup. The replaced file may have gone back
	// itself; if it did not, all of the backup is older.
	parted, err := one(tx, func(s scanner) (t time.Time, err error) { return t, s.Scan(timeInto{&t}) }, "SELECT since FROM replaced.went_back WHERE id = 1")
	removedUntil, changedSince := parted, parted
	switch {
	case errors.Is(err, model.ErrNotFound), err == nil && parted.After(back.Since):
		removedUntil, changedSince = tx.Now, back.Since
	case err != nil:
		return r, err
	}
	err = nil
	ended := func(table string) ([]EndedAgain, error) {
		return many(tx, func(s scanner) (e EndedAgain, err error) { return e, s.Scan(&e.ID, &e.Reason) },
			fmt.Sprintf("SELECT s.id, o.end_reason FROM %[1]s s JOIN replaced.%[1]s o ON o.id = s.id WHERE s.ended_at IS NULL AND o.ended_at IS NOT NULL ORDER BY s.id", table))
	}
	users := func(what, condition string) ([]string, error) {
		return many(tx, scanText, "SELECT "+what+" FROM users u JOIN replaced.users o ON o.id = u.id WHERE "+condition+" ORDER BY u.localpart")
	}
	byHand := func(condition string) ([]string, error) {
		return many(tx, scanText, "SELECT u.localpart FROM users u JOIN replaced.users o ON o.id = u.id WHERE "+condition+" ORDER BY u.localpart LIMIT ?1", maxByHand)
	}
	read := func(f func() error) {
		if err == nil {
			err = f()
		}
	}
	into := func(to *[]string, f func(string) ([]string, error), condition string) {
		read(func() (err error) { *to, err = f(condition); return err })
	}
	ids := func(condition string) ([]string, error) { return users("u.id", condition) }
	read(func() (err error) { r.EndedSessions, err = ended("sessions"); return err })
	read(func() (err error) { r.EndedBrowsers, err = ended("browser_sessions"); return err })
	read(func() (err error) {
		r.EndedWhileLost, err = many(tx, scanText, `SELECT s.id FROM sessions s JOIN replaced.lost_sessions l ON l.session_id = s.id
			WHERE s.ended_at IS NULL AND l.ended_at IS NOT NULL ORDER BY s.id`)
		return err
	})
	since := changedSince.UnixMicro()
	into(&r.Deactivated, ids, fmt.Sprintf("u.deactivated_at IS NULL AND o.deactivated_at >= %d", since))
	into(&r.Locked, ids, fmt.Sprintf("u.locked_at IS NULL AND o.locked_at >= %d", since))
	into(&r.Demoted, ids, "u.admin AND NOT o.admin")
	read(func() (err error) {
		r.Passwords, err = many(tx, func(s scanner) (p NewerPassword, err error) { return p, s.Scan(&p.UserID, &p.Hash) },
			`SELECT o.user_id, o.hash FROM replaced.passwords o JOIN users u ON u.id = o.user_id LEFT JOIN passwords p ON p.user_id = o.user_id
			WHERE p.user_id IS NULL OR o.changed_at > p.changed_at ORDER BY o.user_id`)
		return err
	})
	read(func() (err error) { r.Withdrawn, err = tx.withdrawnAmong(removedUntil); return err })
	read(func() (err error) {
		r.RemovedClients, err = many(tx, scanText, `SELECT c.id FROM clients c WHERE NOT EXISTS (SELECT 1 FROM replaced.clients o WHERE o.id = c.id)
			AND c.created_at <= ?1 ORDER BY c.id`, removedUntil.UnixMicro())
		return err
	})
	read(func() (err error) {
		r.Deletions, err = many(tx, scanJob, strings.Replace(selectJob, "FROM outbox", "FROM replaced.outbox", 1)+" WHERE kind = ?1 AND set_aside_at IS NULL ORDER BY position", model.JobDeleteDevice)
		return err
	})
	read(func() (err error) {
		r.Done, err = many(tx, scanCount, `SELECT j.position FROM outbox j WHERE j.last_error = ?1 AND NOT EXISTS (
			SELECT 1 FROM replaced.outbox o WHERE o.position = j.position AND o.created_at = j.created_at) ORDER BY j.position`, model.HeldBack)
		return err
	})
	read(func() (err error) {
		r.Added, err = many(tx, scanText, "SELECT o.localpart FROM replaced.users o WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = o.id) ORDER BY o.localpart LIMIT ?1", maxByHand)
		return err
	})
	into(&r.Promoted, byHand, "NOT u.admin AND o.admin AND o.deactivated_at IS NULL")
	into(&r.Unlocked, byHand, "u.locked_at IS NOT NULL AND o.locked_at IS NULL")
	into(&r.Reactivated, byHand, "u.deactivated_at IS NOT NULL AND o.deactivated_at IS NULL")
	into(&r.Readdressed, byHand, `o.deactivated_at IS NULL AND (
		EXISTS (SELECT 1 FROM user_emails e WHERE e.user_id = u.id AND NOT EXISTS (SELECT 1 FROM replaced.user_emails f WHERE f.id = e.id)) OR
		EXISTS (SELECT 1 FROM replaced.user_emails e WHERE e.user_id = u.id AND NOT EXISTS (SELECT 1 FROM user_emails f WHERE f.id = e.id)))`)
	read(func() (err error) {
		r.Begun, err = one(tx, scanCount, "SELECT COUNT(*) FROM replaced.sessions o WHERE o.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = o.id)")
		return err
	})
	return r, err
}

// LivesInReplaced reports whether a user has a session on a device by the database that is replaced.
func (tx *Tx) LivesInReplaced(userID, deviceID string) (bool, error) {
	return one(tx, func(s scanner) (yes bool, err error) { return yes, s.Scan(&yes) },
		"SELECT EXISTS (SELECT 1 FROM replaced.sessions"+liveOnDevice+")", userID, deviceID)
}

// KeepLostEnds notes which sessions their holders ended by the database that is replaced, although it did not know them, and
// this one does not either.
func (tx *Tx) KeepLostEnds() error {
	_, err := tx.exec(`INSERT INTO lost_sessions (session_id, kind, first_seen_at, last_seen_at, refreshes, introspections, last_ip, user_agent, ended_at)
		SELECT session_id, kind, first_seen_at, last_seen_at, refreshes, introspections, last_ip, user_agent, ended_at FROM replaced.lost_sessions l
		WHERE l.ended_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = l.session_id)
		ON CONFLICT (session_id) DO UPDATE SET ended_at = excluded.ended_at`)
	return err
}

// withdrawnAmong lists the consents of the backup, given until a time, that the replaced file does not have any more.
func (tx *Tx) withdrawnAmong(until time.Time) ([]model.Consent, error) {
	return many(tx, func(s scanner) (c model.Consent, err error) {
		return c, s.Scan(&c.UserID, &c.ClientID, &c.RedirectURI)
	}, `SELECT c.user_id, c.client_id, c.redirect_uri FROM consents c WHERE c.granted_at <= ?1
		AND EXISTS (SELECT 1 FROM replaced.users o WHERE o.id = c.user_id)
		AND NOT EXISTS (SELECT 1 FROM replaced.consents o WHERE o.user_id = c.user_id AND o.client_id = c.client_id AND o.redirect_uri = c.redirect_uri)
		ORDER BY c.user_id, c.client_id, c.redirect_uri`, until.UnixMicro())
}

// checkReplaced refuses a replaced file from which nothing follows for the backup, and tells when that went back.
func (tx *Tx) checkReplaced() (back WentBack, err error) {
	newest, err := NewestSchema()
	if err != nil {
		return back, err
	}
	schema, err := one(tx, scanCount, "SELECT COALESCE(MAX(version_id), 0) FROM replaced."+versionTable)
	switch {
	case err != nil:
		return back, err
	case schema != newest:
		return back, &ReplacedError{fmt.Sprintf("it has schema %d, and this program has %d", schema, newest)}
	}
	kept, err := one(tx, scanText, "SELECT server_name FROM replaced.homeserver")
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return back, err
	}
	own, err := tx.ServerName()
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return back, err
	}
	related, err := one(tx, func(s scanner) (yes bool, err error) { return yes, s.Scan(&yes) },
		"SELECT EXISTS (SELECT 1 FROM users u JOIN replaced.users o ON o.id = u.id)")
	if err != nil {
		return back, err
	}
	if kept != own || !related {
		return back, &ReplacedError{"it has no account of the backup's"}
	}
	if back, err = tx.WentBack(); err != nil {
		return back, err
	}
	later, err := one(tx, func(s scanner) (yes bool, err error) { return yes, s.Scan(&yes) },
		"SELECT EXISTS (SELECT 1 FROM replaced.alive WHERE at >= ?1)", back.Since.UnixMicro())
	if err == nil && !later {
		err = &ReplacedError{"it is older than the backup"}
	}
	return back, err
}
