package edge

import (
	"net/http"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Health answers those who watch the server.
type Health struct {
	Store  *store.Store
	Outbox *outbox.Outbox
	// SealUsable reports whether what was sealed in the database can be opened.
	SealUsable func() bool
	// NotListening returns the addresses at which the homeserver should reach us and cannot. It may be nil.
	NotListening func() []string
}

// HealthRoutes is what Health serves.
var HealthRoutes = web.Routes[*Health]{
	Routes: []web.Route[*Health]{
		{Endpoint: web.Endpoint{Name: "health", Place: web.Root, Path: "health", Wire: web.PlainWire, Side: web.Internal, Hot: true}, Get: (*Health).answer},
	},
}

// healthAnswer is the body of /health.
type healthAnswer struct {
	Status string       `json:"status"`
	Schema int64        `json:"schema"`
	Outbox outboxHealth `json:"outbox"`
	// Database is "damaged" if a page of it was found to be.
	Database string `json:"database,omitempty"`
	// Seal is "unusable" if what was sealed in the database cannot be opened.
	Seal string `json:"seal,omitempty"`
	// NotListening are the addresses at which the homeserver should reach us and cannot.
	NotListening []string `json:"not_listening,omitempty"`
}

type outboxHealth struct {
	Waiting          int64 `json:"waiting"`
	SetAside         int64 `json:"set_aside"`
	OldestAgeSeconds int64 `json:"oldest_age_seconds"`
}

// answer answers GET /health: 200 while the database answers and takes what is written, whatever the homeserver does.
func (h *Health) answer(w http.ResponseWriter, r *http.Request) error {
	unavailable := func(err error) error {
		return model.NewError(model.TemporarilyDown).WithCause(err)
	}
	if err := h.Store.Check(r.Context()); err != nil {
		return unavailable(err)
	}
	if t := h.Store.CannotWrite(); t != nil {
		return unavailable(t.Err)
	}
	schema, err := h.Store.Schema(r.Context())
	if err != nil {
		return unavailable(err)
	}
	state, err := h.Outbox.State(r.Context())
	if err != nil {
		return unavailable(err)
	}
	answer := healthAnswer{Status: "ok", Schema: schema, Outbox: outboxHealth{Waiting: state.Waiting, SetAside: state.SetAside}}
	if !state.Oldest.IsZero() {
		answer.Outbox.OldestAgeSeconds = int64(max(0, h.Store.Now().Sub(state.Oldest)) / time.Second)
	}
	if h.Store.Damaged() != nil {
		answer.Database = "damaged"
	}
	if !h.SealUsable() {
		answer.Seal = "unusable"
	}
	if h.NotListening != nil {
		answer.NotListening = h.NotListening()
	}
	return web.WriteJSON(w, http.StatusOK, answer)
}
