package user

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Events lists what happened to an account, for its holder: a page of it, the newest first, that ends before a position; zero
// is for the newest. older is the position for the page after; zero at the end.
func (u *Users) Events(ctx context.Context, userID string, before int64) (events []model.Event, older int64, err error) {
	err = u.config.Store.View(ctx, func(tx *store.Tx) error {
		events, err = tx.Events(store.EventFilter{UserID: userID, Person: true, Before: before, Limit: bound.EventsPerPage + 1})
		return err
	})
	if len(events) > bound.EventsPerPage {
		events = events[:bound.EventsPerPage]
		older = events[len(events)-1].Position
	}
	return events, older, err
}
