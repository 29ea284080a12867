package store

import (
	"strings"
	"testing"
	"time"
)

// TestPlans holds that no statement reads a whole table: neither one that a request waits for, nor one
// of retention, which keeps the writer from others.
func TestPlans(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	for name, one := range map[string]struct {
		query, index string
		args         int
	}{
		"live session on device":       {selectSession + liveOnDevice, "sessions_live_device", 2},
		"ended session on device":      {selectSession + endedOnDevice, "sessions_ended_device", 2},
		"user by login":                {selectUser + usersByLogin, "users_folded (<expr>=?)", 2},
		"any imported token":           {anyImported, "tokens_imported", 0},
		"overdue sessions":             {selectSession + overdue, "sessions_ends (ends_at>? AND ends_at<?)", 2},
		"token":                        {selectToken + " WHERE hash = ?1", "tokens_hash (hash=?)", 1},
		"live sessions of user":        {selectSession + liveOfUser, "sessions_live_user", 1},
		"live browser session of user": {selectBrowser + liveOfUser, "browser_sessions_user", 1},
		"codes of user":                {selectAuthorization + unspentOfUser, " (user_id=?)", 1},
		"codes of user and client":     {selectAuthorization + unspentOfUser + " AND client_id = ?2", "authorizations_unspent (user_id=? AND client_id=?)", 2},
		"events of user":               {userEvents, "events_user (user_id=? AND position<?)", 3},
		"events of person":             {personEvents, "events_user (user_id=? AND position<?)", 3},
		"failed sign-ins of user":      {failedOfUser, "PRIMARY KEY (user_id=?)", 3},
		"events":                       {anyEvents, "USING INTEGER PRIMARY KEY (rowid<?)", 2},
		"last event that is kept":      {newestEvents, "COVERING INDEX events_user (user_id=?)", 2},
		"events that go":               {removeEvents, "COVERING INDEX events_user (user_id=? AND position<?)", 3},
		"events by account":            {crowdedEvents, "COVERING INDEX events_user", 1},
		"consents of user":             {"SELECT scope FROM consents" + consentsOfUser, "PRIMARY KEY (user_id=?)", 1},
	} {
		t.Run(name, func(t *testing.T) {
			if plan := planOf(t, s, one.query, one.args); !strings.Contains(plan, one.index) {
				t.Errorf("%s\n%s", one.query, plan)
			}
		})
	}
	t.Run("room", func(t *testing.T) {
		for index, c := range map[string]crowd{"authorizations_waiting": waitingCrowd, "clients_unproven": unprovenCrowd, "registrations_open": openCrowd} {
			for _, query := range []string{c.weigh, c.evict} {
				if plan := planOf(t, s, query, strings.Count(query, "?")); !strings.Contains(plan, "USING COVERING INDEX "+index) {
					t.Errorf("%s\n%s", query, plan)
				}
			}
		}
	})
	t.Run("known places", func(t *testing.T) {
		for query, args := range map[string]int{knownPlace: 9, staleNetworks: 2} {
			if plan := planOf(t, s, query, args); strings.Contains(strings.ReplaceAll(plan, "SCAN CONSTANT ROW", ""), "SCAN") {
				t.Errorf("%s\n%s", query, plan)
			}
		}
	})
	t.Run("tidying", func(t *testing.T) {
		for query, args := range map[string]int{tidyOldest + oldAccess: 6, tidyOldest + oldRefresh: 6, idleSessions: 4} {
			if plan := planOf(t, s, query, args); strings.Contains(plan, "SCAN") && !strings.Contains(plan, "SCAN CONSTANT") {
				t.Errorf("%s\n%s", query, plan)
			}
		}
	})
	t.Run("retention", func(t *testing.T) {
		for _, step := range retention {
			if plan := planOf(t, s, step.query, 2); strings.Contains(plan, "SCAN") {
				t.Errorf("%s\n%s", step.query, plan)
			}
		}
	})
}

func planOf(t *testing.T, s *Store, query string, args int) (plan string) {
	t.Helper()
	update(t, s, func(tx *Tx) error {
		lines, err := many(tx, func(row scanner) (line string, err error) {
			var id, parent, unused int
			return line, row.Scan(&id, &parent, &unused, &line)
		}, "EXPLAIN QUERY PLAN "+query, make([]any, args)...)
		plan = strings.Join(lines, "\n")
		return err
	})
	return plan
}
