package store

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// openAt opens a store on a clock that the test moves.
func openAt(t *testing.T, now *time.Time) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{Path: filepath.Join(t.TempDir(), "test.db"), Create: true, Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func update(t *testing.T, s *Store, f func(tx *Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

func addSession(tx *Tx, id string) error {
	return tx.InsertSession(model.Session{ID: id, Kind: model.CompatSession, UserID: "alice", DeviceID: id, Scope: model.ScopeAPI, CreatedAt: tx.Now, LastIP: "192.0.2.1"})
}

// TestRetain removes what has had its day, in batches, and nothing else.
func TestRetain(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	const ended = 2*retentionBatch + 3
	update(t, s, func(tx *Tx) error {
		if err := addUser(tx, "alice"); err != nil {
			return err
		}
		for i := range ended {
			if err := addSession(tx, fmt.Sprint("ended", i)); err != nil {
				return err
			}
			if err := tx.EndSession(fmt.Sprint("ended", i), model.EndLogout); err != nil {
				return err
			}
		}
		position, err := tx.Enqueue(model.ToHomeserver.Lane("alice"), model.JobDeleteDevice, "{}")
		if err != nil {
			return err
		}
		if err := tx.SetJobAside(position, "refused"); err != nil {
			return err
		}
		if _, err := tx.Enqueue(model.ToHomeserver.Lane("alice"), model.JobDeleteDevice, "{}"); err != nil {
			return err
		}
		return addSession(tx, "live")
	})
	retain := func(want int64) {
		t.Helper()
		removed, err := s.Retain(context.Background())
		if err != nil || removed != want {
			t.Fatalf("removed %d, want %d: %v", removed, want, err)
		}
	}
	now = now.Add(30 * 24 * time.Hour)
	retain(0)
	now = now.Add(time.Second)
	retain(ended + 1 + 1) // the sessions, the job set aside, and the address of the live session
	retain(0)
	update(t, s, func(tx *Tx) error {
		live, err := tx.Session("live")
		if err != nil || live.Ended() || live.LastIP != "" {
			t.Errorf("the live session is %+v: %v", live, err)
		}
		if _, err := tx.NextJob(model.ToHomeserver.Lane("alice")); err != nil {
			t.Errorf("the job that waits: %v", err)
		}
		return nil
	})
}

// TestTidyTokens removes a session's old tokens as it goes on, and keeps those that may still be
// retried or tell of a theft.
func TestTidyTokens(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	update(t, s, func(tx *Tx) error {
		if err := addUser(tx, "alice"); err != nil {
			return err
		}
		return addSession(tx, "session")
	})
	const pairs = 32 * 24 * 12 // 32 days of a refresh every five minutes
	for generation := range int64(pairs) {
		now = now.Add(5 * time.Minute)
		update(t, s, func(tx *Tx) error {
			row := model.Token{SessionID: "session", Generation: generation, Pair: generation + 1, CreatedAt: tx.Now}
			access, refresh := row, row
			access.Kind, access.Hash, access.ExpiresAt = model.CompatAccess, model.HashToken(fmt.Sprint("a", generation)), tx.Now.Add(5*time.Minute)
			refresh.Kind, refresh.Hash = model.CompatRefresh, model.HashToken(fmt.Sprint("r", generation))
			if err := tx.TidyTokens(model.Session{ID: "session", Kind: model.CompatSession}, row.Pair, generation-1); err != nil {
				return err
			}
			return tx.InsertTokenPair(access, refresh)
		})
	}
	count := func(kind model.TokenKind, where string) (n int) {
		t.Helper()
		if err := s.reader.QueryRow("SELECT COUNT(*) FROM tokens WHERE kind = ?1 AND "+where, kind).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const hour = 12 // refreshes
	if n := count(model.CompatRefresh, "TRUE"); n < hour || n > hour+2*tidyEvery {
		t.Errorf("%d refresh tokens are left", n)
	}
	if n := count(model.CompatRefresh, fmt.Sprintf("generation >= %d", pairs-hour)); n != hour {
		t.Errorf("of the last hour's refresh tokens %d are left", n)
	}
	// An access token lives for five minutes, and is kept for an hour.
	if n := count(model.CompatAccess, "TRUE"); n < bound.KeptPairs || n > bound.KeptPairs+tidyEvery+hour {
		t.Errorf("%d access tokens are left", n)
	}
	if n := count(model.CompatAccess, fmt.Sprintf("generation >= %d", pairs-bound.KeptPairs)); n != bound.KeptPairs {
		t.Errorf("of the newest access tokens %d are left", n)
	}
}

// TestTidyBurst: of a session that minted as fast as it could little is left an hour and some refreshes
// later; of one that then fell silent too, and its newest tokens stay.
func TestTidyBurst(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprintf("silent_%v", silent), func(t *testing.T) {
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			s := openAt(t, &now)
			session := model.Session{ID: "session", Kind: model.CompatSession}
			update(t, s, func(tx *Tx) error {
				if err := addUser(tx, "alice"); err != nil {
					return err
				}
				return addSession(tx, session.ID)
			})
			generation := int64(0)
			mint := func() {
				update(t, s, func(tx *Tx) error {
					pair, err := tx.CountPair(session, generation, generation-1)
					if err != nil {
						return err
					}
					session.Pairs, session.UsedGeneration = pair, generation-1
					row := model.Token{SessionID: session.ID, Generation: generation, Pair: pair, CreatedAt: tx.Now}
					access, refresh := row, row
					access.Kind, access.Hash, access.ExpiresAt = model.CompatAccess, model.HashToken(fmt.Sprint("a", generation)), tx.Now.Add(5*time.Minute)
					refresh.Kind, refresh.Hash = model.CompatRefresh, model.HashToken(fmt.Sprint("r", generation))
					if err := tx.TidyTokens(session, pair, generation-1); err != nil {
						return err
					}
					return tx.InsertTokenPair(access, refresh)
				})
				generation++
			}
			const burst = 3000
			for range burst {
				mint()
			}
			if silent {
				now = now.Add(idle + time.Second)
			} else {
				now = now.Add(2 * time.Hour)
				for range tidyEvery * (burst/(tidyBatch-tidyEvery) + 2) {
					now = now.Add(5 * time.Minute)
					mint()
				}
			}
			if _, err := s.Retain(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, kind := range []model.TokenKind{model.CompatAccess, model.CompatRefresh} {
				var left, newest int64
				if err := s.reader.QueryRow("SELECT COUNT(*), MAX(generation) FROM tokens WHERE kind = ?1", kind).Scan(&left, &newest); err != nil {
					t.Fatal(err)
				}
				if left > 2*(bound.KeptPairs+tidyEvery) || newest != generation-1 {
					t.Errorf("%d tokens of kind %s are left, the newest of generation %d", left, kind, newest)
				}
			}
		})
	}
}

// TestTidyIdleIsBounded: what was tidied once is not looked at again.
func TestTidyIdleIsBounded(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	if _, err := s.Retain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := now.Add(-idle); !s.idleUntil.Equal(want) {
		t.Errorf("sessions were tidied until %v, want %v", s.idleUntil, want)
	}
}

// TestRetainAuthorizations removes what can be of no use: a request when nobody can answer it any more,
// one that was answered once its code need not be known again.
func TestRetainAuthorizations(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	const flood = retentionBatch + 1
	update(t, s, func(tx *Tx) error {
		if err := addUser(tx, "alice"); err != nil {
			return err
		}
		for i := range flood {
			if err := tx.InsertAuthorization(model.Authorization{ID: fmt.Sprint(i), CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(time.Hour)}); err != nil {
				return err
			}
		}
		_, err := tx.ApproveAuthorization(model.Authorization{ID: "0", UserID: "alice", CodeHash: model.HashToken("code"), ExpiresAt: tx.Now.Add(24 * time.Hour)})
		return err
	})
	for _, step := range []struct {
		after time.Duration
		want  int64
	}{{time.Hour, 0}, {time.Second, flood - 1}, {23 * time.Hour, 1}} {
		now = now.Add(step.after)
		removed, err := s.Retain(context.Background())
		if err != nil || removed != step.want {
			t.Errorf("%v later %d rows were removed, want %d: %v", step.after, removed, step.want, err)
		}
	}
}
