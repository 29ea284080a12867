package session

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// lostRetry is when a client whose session is lost may ask again: somebody has to put a database back.
const lostRetry = time.Minute

// lost is the answer to a token that was given out, and that the database may have forgotten: a passing condition, as
// nothing else keeps the client from signing out.
func lost() *model.Error {
	return model.Errorf(model.TemporarilyDown, "the server does not know this session at present; its owner may have restored a backup").WithRetry(lostRetry)
}

// lostSession is the cause of lost: a session that the database does not know.
type lostSession struct {
	id   string
	kind model.SessionKind
	// unproven says that no key proves the token, so that anybody can have made it: nothing is kept of it.
	unproven bool
	// imported says that it may be of another server: it says nothing of itself.
	imported bool
}

// Error says which session it is, for the log.
func (l *lostSession) Error() string {
	switch {
	case l.imported:
		return "the token is none of ours, and the database may have forgotten that it was imported"
	case l.unproven:
		return "no key proves the token, which is of a time that the database may have forgotten"
	}
	return "the database does not know the session " + l.id
}

// ofToken is the kind of sessions that have tokens of a kind.
func ofToken(kind model.TokenKind) model.SessionKind {
	for _, of := range model.SessionKinds {
		if access, refresh := of.Tokens(); kind == access || kind == refresh {
			return of
		}
	}
	return ""
}

// lostNotes are the lost sessions that were seen and are not written yet. Tokens of them prove that this server made
// them, so strangers cannot add any.
type lostNotes struct {
	mu   sync.Mutex
	seen map[string]model.LostSession
	// told has, for lost sessions and for tokens that nothing proves, when the log told of them last and how many
	// requests came since.
	told [2]toldOf
}

type toldOf struct {
	at    time.Time
	since int
}

// lostLines is the time between two lines of the log about tokens that are told to wait.
const lostLines = time.Minute

// noteLost notes that a token was presented of a session that the database may have forgotten, if that is what err says,
// and returns err. A refresh says where its client is.
func (s *Sessions) noteLost(err error, refresh bool, source model.Source) error {
	found := (*lostSession)(nil)
	if err == nil || !errors.As(err, &found) {
		return err
	}
	now, notes := s.config.Store.Now(), &s.config.Registry.lost
	if found.unproven {
		s.count(model.TokenUnproven)
		if n := notes.line(1, now); n > 0 {
			s.config.Logger.Warn("tokens that no key proves wait, as the database may have forgotten their time", "requests", n)
		}
		return err
	}
	s.count(model.SessionLost)
	if refresh {
		notes.add(model.LostSession{ID: found.id, Kind: found.kind, FirstSeenAt: now, LastSeenAt: now, Refreshes: 1, LastIP: source.IP, UserAgent: source.UserAgent})
	} else {
		notes.add(model.LostSession{ID: found.id, Kind: found.kind, FirstSeenAt: now, LastSeenAt: now, Introspections: 1})
	}
	if n := notes.line(0, now); n > 0 {
		s.config.Logger.Warn("sessions that the database does not know wait", "requests", n, "session_id", found.id)
	}
	return err
}

// line counts a request, and returns how many a line of the log is to tell of; zero for no line.
func (n *lostNotes) line(which int, now time.Time) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	told := &n.told[which]
	told.since++
	if !told.at.IsZero() && now.Sub(told.at).Abs() < lostLines {
		return 0
	}
	since := told.since
	*told = toldOf{at: now}
	return since
}

func (n *lostNotes) add(s model.LostSession) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen == nil {
		n.seen = map[string]model.LostSession{}
	}
	if noted, known := n.seen[s.ID]; known {
		s.FirstSeenAt = noted.FirstSeenAt
		s.Refreshes, s.Introspections = s.Refreshes+noted.Refreshes, s.Introspections+noted.Introspections
		if s.LastIP == "" && s.UserAgent == "" {
			s.LastIP, s.UserAgent = noted.LastIP, noted.UserAgent
		}
	} else if len(n.seen) >= maxPending {
		return // it comes again
	}
	n.seen[s.ID] = s
}

// flushLost writes the notes of lost sessions. What cannot be written is noted when it comes again.
func (r *Registry) flushLost(ctx context.Context) error {
	r.lost.mu.Lock()
	seen := make([]model.LostSession, 0, len(r.lost.seen))
	for _, s := range r.lost.seen {
		seen = append(seen, s)
	}
	r.lost.seen = nil
	r.lost.mu.Unlock()
	if len(seen) == 0 {
		return nil
	}
	return r.store.Update(ctx, func(tx *store.Tx) error { return tx.NoteLostSessions(seen) })
}

// WriteLost writes at once what is noted of lost sessions, so that whoever reads them sees all.
func (s *Sessions) WriteLost(ctx context.Context) error { return s.config.Registry.flushLost(ctx) }

// EndLost ends a session that the database may have forgotten, by one of its tokens, which was answered with err: nothing
// is granted by it any more, softly, and what the homeserver remembers of its tokens does not count. It returns any other
// err as it is; nil for none.
func (s *Sessions) EndLost(ctx context.Context, err error) error {
	found := (*lostSession)(nil)
	if err == nil || !errors.As(err, &found) || found.unproven {
		return err
	}
	return s.config.Store.Update(ctx, func(tx *store.Tx) error {
		over := retired{soft: true, at: tx.Now}
		tx.AfterCommit(func() { s.config.Registry.retireSession(found.id, nil, over) })
		return tx.EndLostSession(model.LostSession{ID: found.id, Kind: found.kind})
	})
}

// EndAllLost has all lost sessions count as ended that began before a time, those that nobody has noted too: OAuth
// clients sign in again, and legacy clients do so on their device. A later call with an earlier time has others wait
// again. Its error is InvalidParam for a time to come: it would end sessions that nobody has begun yet. It returns how
// many ended that were noted.
func (s *Sessions) EndAllLost(tx *store.Tx, by model.Actor, began time.Time) (noted int64, err error) {
	if began.After(tx.Now) {
		return 0, model.Errorf(model.InvalidParam, "the time is still to come")
	}
	if noted, err = tx.CountLostSessions(began, time.Time{}); err != nil {
		return 0, err
	}
	if err := tx.SetLostEnd(began); err != nil {
		return 0, err
	}
	return noted, tx.Record(by, model.ActionEndLost, "", model.Details{"began_before": began, "sessions": noted})
}

// CheckLost returns an error of kind Unavailable for a token of a session that the database may have forgotten, and
// EndedSoftly if that session has ended meanwhile. It returns nil for any other token, good or bad. A token that a
// client presents for a refresh says where the client is.
func (s *Sessions) CheckLost(token string, refresh bool, source model.Source) error {
	_, err := s.Find(token)
	if errors.Is(err, model.UnknownToken) || isLostImport(err) { // of which no client of OAuth has any
		return nil
	}
	return s.noteLost(err, refresh, source)
}

// count counts an event. It must not be called within a transaction, which may run twice, but after its commit.
func (s *Sessions) count(event model.SessionEvent) {
	if s.config.Count != nil {
		s.config.Count(event)
	}
}

// rowlessNotes tell when the log last told of a session that a token without a row was taken.
type rowlessNotes struct {
	mu   sync.Mutex
	told map[string]time.Time
}

// rowlessLines is the time between two such lines of a session.
const rowlessLines = time.Hour

// may reports whether the log is to tell of a session, and notes that it does.
func (n *rowlessNotes) may(sessionID string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at, known := n.told[sessionID]; known && now.Sub(at).Abs() < rowlessLines {
		return false
	}
	if len(n.told) >= bound.LostSessions {
		for id, at := range n.told {
			if now.Sub(at).Abs() >= rowlessLines {
				delete(n.told, id)
			}
		}
		if len(n.told) >= bound.LostSessions {
			return false // the count tells of it
		}
	}
	if n.told == nil {
		n.told = map[string]time.Time{}
	}
	n.told[sessionID] = now
	return true
}

// tookRowless counts a token that was taken without a row, and has the log tell of its session once an hour. known is
// the generation up to which the database had the session.
func (s *Sessions) tookRowless(t model.Token, known int64) {
	s.count(model.TakenRowless)
	if !s.config.Registry.rowless.may(t.SessionID, s.config.Store.Now()) {
		return
	}
	s.config.Logger.LogAttrs(context.Background(), slog.LevelInfo, "a token that the database had forgotten was taken", model.LogUser(t.Localpart, s.config.ServerName, t.UserID),
		slog.String("session_id", t.SessionID), slog.Int64("generation", t.Generation), slog.Int64("known_generation", known), slog.Time("minted_at", t.CreatedAt))
}
