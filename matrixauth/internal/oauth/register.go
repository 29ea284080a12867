package oauth

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Register answers POST /oauth2/registration (RFC 7591 section 3). Anybody may register: the client
// that signs somebody in for the first time is nobody whom we could know (REG-30). So the answers are
// bounded by network, in a bucket of their own (REG-29, ENUM-5).
func (d *Door) Register(w http.ResponseWriter, r *http.Request) error {
	if err := d.Limiter.TakeNetwork(limit.Registrations, web.ClientIP(r), d.Registrations); err != nil {
		return err
	}
	body, err := web.ReadObject(w, r)
	if err != nil {
		return unreadable(err)
	}
	registered, err := d.Clients.Register(r.Context(), client.Metadata(body), web.ClientIP(r))
	if err != nil {
		return err
	}
	answer, err := describeClient(registered)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, answer)
}

// unreadable says of a body that is not a JSON object what RFC 7591 section 3.2.2 has for it (REG-18).
func unreadable(err error) error {
	e := new(model.Error)
	if errors.As(err, &e) && (e.Code == model.NotJSON || e.Code == model.BadJSON) {
		return model.Errorf(model.InvalidClientMetadata, "the body must be a JSON object").WithCause(err)
	}
	return err
}

// issued are the members of a registration's answer that the server makes (RFC 7591 section 3.2.1).
type issued struct {
	ClientID string `json:"client_id"`
	IssuedAt int64  `json:"client_id_issued_at"`
	Secret   string `json:"client_secret,omitempty"`
	// SecretExpiresAt is 0 for never, and left out without a secret.
	SecretExpiresAt *int64 `json:"client_secret_expires_at,omitempty"`
}

// describeClient lays what was registered and what was issued into one document (REG-2, REG-20).
func describeClient(r client.Registration) (web.Object, error) {
	made := issued{ClientID: r.ID, IssuedAt: r.CreatedAt.Unix(), Secret: r.Secret}
	if r.Secret != "" {
		made.SecretExpiresAt = new(int64)
	}
	document := web.Object{}
	for _, part := range []any{r.Metadata, made} {
		text, err := json.Marshal(part)
		if err == nil {
			err = json.Unmarshal(text, &document)
		}
		if err != nil {
			return nil, err
		}
	}
	return document, nil
}
