package operate

import (
	"context"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// ListEvents lists what was changed, and by whom.
const ListEvents Operation[EventQuery, EventPage] = "audit.list"

// EventQuery says which events are asked for.
type EventQuery struct {
	// User is whose account they are about, as typed; empty for all.
	User string `json:"user,omitempty"`
	// Limit bounds the events; 0, and more than maxPage, mean that many.
	Limit int `json:"limit,omitempty"`
	// Before is the Next of the page before; 0 for the first.
	Before int64 `json:"before,omitempty"`
}

func (a EventQuery) typedUser() string { return a.User }

// EventPage is a page of events, the newest first.
type EventPage struct {
	Events []Event `json:"events"`
	// Next is the Before of the next page; 0 at the end.
	Next int64 `json:"next,omitempty"`
}

// Event is a change as operators see it.
type Event struct {
	At     time.Time `json:"at"`
	By     By        `json:"by"`
	Action string    `json:"action"`
	// User and UserID are whose account was changed; empty for what is no account's.
	User    string         `json:"user,omitempty"`
	UserID  string         `json:"user_id,omitempty"`
	Details map[string]any `json:"details"`
}

// By is who made a change.
type By struct {
	// Kind is "operator", "user" or "server".
	Kind string `json:"kind"`
	// ID is the uid of an operator, or the id of a user.
	ID string `json:"id,omitempty"`
	// Name is the name of an operator on the machine, or the localpart of a user.
	Name      string `json:"name,omitempty"`
	IP        string `json:"ip,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
}

func (o *Operations) listEvents(ctx context.Context, _ model.Actor, p EventQuery) (EventPage, error) {
	size := pageSize(p.Limit)
	return view(ctx, o, func(tx *store.Tx) (EventPage, error) {
		filter := store.EventFilter{Before: p.Before, Limit: size + 1}
		if p.User != "" {
			found, err := o.find(ctx, tx, p.User)
			if err != nil {
				return EventPage{}, err
			}
			filter.UserID = found.ID
		}
		found, err := tx.Events(filter)
		if err != nil {
			return EventPage{}, err
		}
		page := EventPage{Events: []Event{}}
		found, page.Next = cutPage(found, size, func(e model.Event) int64 { return e.Position })
		for _, e := range found {
			page.Events = append(page.Events, describeEvent(e))
		}
		return page, nil
	})
}

func describeEvent(e model.Event) Event {
	return Event{
		At: e.At, Action: string(e.Action), User: e.Localpart, UserID: e.UserID, Details: e.Details,
		By: By{Kind: string(e.By.Kind), ID: e.By.ID, Name: e.By.Name, IP: e.By.Source.IP, UserAgent: e.By.Source.UserAgent},
	}
}
