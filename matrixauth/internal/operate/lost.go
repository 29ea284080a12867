package operate

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// The operations on sessions that the database may have forgotten.
const (
	ListLostSessions Operation[LostQuery, LostPage]          = "session.lost"
	EndLostSessions  Operation[LostSessionsToEnd, EndedLost] = "session.end-lost"
)

// LostSession is a session that the database may have forgotten, as operators see it.
type LostSession struct {
	ID string `json:"id"`
	// Kind is "oauth" or "compat".
	Kind string `json:"kind"`
	// BeganAt is when the session began, FirstSeenAt and LastSeenAt when its client first and last came here since.
	BeganAt     time.Time `json:"began_at"`
	FirstSeenAt time.Time `json:"first_seen_at"`
	LastSeenAt  time.Time `json:"last_seen_at"`
	// Refreshes and Introspections are how often its tokens were presented.
	Refreshes      int64 `json:"refreshes"`
	Introspections int64 `json:"introspections"`
	// LastIP and UserAgent are of the last refresh.
	LastIP    string `json:"last_ip,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	// Ended is "holder" or "operator", by who ended it; empty for one that waits.
	Ended string `json:"ended,omitempty"`
}

// LostQuery says which lost sessions are asked for: those that wait, if nothing else is said.
type LostQuery struct {
	// All asks for those that have ended too.
	All bool `json:"all,omitempty"`
	// Before is the time before which they began; zero for all.
	Before time.Time `json:"before,omitzero"`
	// After is the Next of the page before; empty for the first. Limit bounds the page.
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// LostPage is a page of lost sessions in the order in which they began.
type LostPage struct {
	Sessions []LostSession `json:"sessions"`
	// Next is the After of the next page; empty at the end.
	Next string `json:"next,omitempty"`
}

// LostSessionsToEnd says which lost sessions end.
type LostSessionsToEnd struct {
	// Before is the time before which they began; zero for now.
	Before time.Time `json:"before,omitzero"`
	// DryRun ends nothing, and tells how many it would.
	DryRun bool `json:"dry_run,omitempty"`
}

// EndedLost tells which lost sessions ended.
type EndedLost struct {
	// Sessions is how many of them were noted.
	Sessions int64     `json:"sessions"`
	Before   time.Time `json:"before"`
}

func (o *Operations) listLost(ctx context.Context, _ model.Actor, p LostQuery) (LostPage, error) {
	if err := o.c.Sessions.WriteLost(ctx); err != nil {
		return LostPage{}, err
	}
	size := pageSize(p.Limit)
	return view(ctx, o, func(tx *store.Tx) (LostPage, error) {
		end, err := tx.LostEnd()
		if err != nil {
			return LostPage{}, err
		}
		found, err := tx.LostSessions(store.LostFilter{BeganBefore: p.Before, Ended: p.All, After: p.After, Limit: size + 1})
		if err != nil {
			return LostPage{}, err
		}
		page := LostPage{Sessions: []LostSession{}}
		found, page.Next = cutPage(found, size, func(one model.LostSession) string { return one.ID })
		for _, one := range found {
			page.Sessions = append(page.Sessions, describeLost(one, end))
		}
		return page, nil
	})
}

// describeLost describes a lost session; those that began before end have ended.
func describeLost(one model.LostSession, end time.Time) LostSession {
	described := LostSession{
		ID: one.ID, Kind: string(one.Kind), BeganAt: one.BeganAt(), FirstSeenAt: one.FirstSeenAt, LastSeenAt: one.LastSeenAt,
		Refreshes: one.Refreshes, Introspections: one.Introspections, LastIP: one.LastIP, UserAgent: one.UserAgent,
	}
	switch {
	case !one.EndedAt.IsZero():
		described.Ended = "holder"
	case one.BeganAt().Before(end):
		described.Ended = "operator"
	}
	return described
}

func (o *Operations) endLost(ctx context.Context, by model.Actor, p LostSessionsToEnd) (EndedLost, error) {
	noteDryRun(ctx, p.DryRun)
	if err := o.c.Sessions.WriteLost(ctx); err != nil {
		return EndedLost{}, err
	}
	ended, err := updateUnless(ctx, o, p.DryRun, func(tx *store.Tx) (EndedLost, error) {
		before := cmp.Or(p.Before, tx.Now)
		n, err := o.c.Sessions.EndAllLost(tx, by, before)
		return EndedLost{n, before}, err
	})
	if err == nil {
		note(ctx, model.User{}, slog.Int64("sessions", ended.Sessions), slog.Time("began_before", ended.Before))
	}
	return ended, err
}
