package matrixauth

import (
	"net/http"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// healthAnswer is the body of /health.
type healthAnswer struct {
	Status string       `json:"status"`
	Schema int64        `json:"schema"`
	Outbox outboxHealth `json:"outbox"`
	// NotListening are the addresses at which the homeserver should reach us and cannot.
	NotListening []string `json:"not_listening,omitempty"`
}

type outboxHealth struct {
	Waiting          int64 `json:"waiting"`
	SetAside         int64 `json:"set_aside"`
	OldestAgeSeconds int64 `json:"oldest_age_seconds"`
}

// health answers GET /health: 200 while the database answers, whatever the homeserver does.
func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	unavailable := func(err error) error {
		return model.NewError(model.TemporarilyDown).WithCause(err)
	}
	if err := s.core.store.Check(r.Context()); err != nil {
		return unavailable(err)
	}
	schema, err := s.core.store.Schema(r.Context())
	if err != nil {
		return unavailable(err)
	}
	state, err := s.core.outbox.State(r.Context())
	if err != nil {
		return unavailable(err)
	}
	answer := healthAnswer{Status: "ok", Schema: schema, Outbox: outboxHealth{Waiting: state.Waiting, SetAside: state.SetAside}}
	if !state.Oldest.IsZero() {
		answer.Outbox.OldestAgeSeconds = int64(max(0, s.core.store.Now().Sub(state.Oldest)) / time.Second)
	}
	if s.deps.NotListening != nil {
		answer.NotListening = s.deps.NotListening()
	}
	return web.WriteJSON(w, http.StatusOK, answer)
}
