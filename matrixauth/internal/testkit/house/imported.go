package house

import (
	"context"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Imported is a session that another server began, with the tokens that its client has. What is empty is not there.
type Imported struct {
	Localpart, Device, DeviceName string
	Admin                         bool
	// Access and Refresh are of one pair. The access token lives for AccessLife, and for ever if that is zero; the refresh
	// token likewise.
	Access, Refresh         string
	AccessLife, RefreshLife time.Duration
	// Consumed is a refresh token that has minted that pair.
	Consumed string
	// Used says that the access token was presented there.
	Used bool
	// Lasts is how long the session may be refreshed; zero for ever.
	Lasts time.Duration
}

// Import writes a session of an account as an import does, has the homeserver have its device, and returns its id. Its
// tokens must not show in the log.
func (h *House) Import(i Imported) (id string) {
	h.T.Helper()
	h.Keep(SignedIn{AccessToken: i.Access, RefreshToken: i.Refresh})
	h.Keep(SignedIn{RefreshToken: i.Consumed})
	if i.Device != "" {
		_, err := h.Homeserver().UpsertDevice(context.Background(), i.Localpart, i.Device, i.DeviceName)
		h.Must(err)
	}
	h.Must(h.Store.Update(context.Background(), func(tx *store.Tx) error {
		u, err := tx.UserByLocalpart(i.Localpart)
		if err != nil {
			return err
		}
		id = model.NewID(tx.Now)
		return tx.InsertImported(i.session(tx.Now, id, u.ID), i.Localpart, i.tokens(tx.Now))
	}))
	return id
}

func (i Imported) session(now time.Time, id, userID string) model.Session {
	return model.Session{
		ID: id, Kind: model.CompatSession, UserID: userID, DeviceID: i.Device, DeviceName: i.DeviceName, Scope: model.CompatScope(i.Admin), EndsAt: in(now, i.Lasts),
	}
}

func (i Imported) tokens(now time.Time) (tokens []model.Token) {
	next := model.Token{Pair: 1}
	if i.Consumed != "" {
		tokens = append(tokens, model.Token{Kind: model.CompatRefresh, Hash: model.HashToken(i.Consumed), Pair: 1})
		next = model.Token{Generation: 1, Pair: 2, Parent: model.HashToken(i.Consumed)}
	}
	access, refresh := next, next
	if i.Access != "" {
		access.Kind, access.Hash, access.ExpiresAt = model.CompatAccess, model.HashToken(i.Access), in(now, i.AccessLife)
		if i.Used {
			access.UsedAt = now
		}
		tokens = append(tokens, access)
	}
	if i.Refresh != "" {
		refresh.Kind, refresh.Hash, refresh.ExpiresAt = model.CompatRefresh, model.HashToken(i.Refresh), in(now, i.RefreshLife)
		tokens = append(tokens, refresh)
	}
	return tokens
}

// in is the time after a life; zero for one that has no end.
func in(now time.Time, life time.Duration) time.Time {
	if life == 0 {
		return time.Time{}
	}
	return now.Add(life)
}
