package operate

import (
	"context"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/recovery"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// IssueRecoveryLink makes a link by which a user sets a new password, without a mail.
const IssueRecoveryLink Operation[NewRecoveryLink, RecoveryLink] = "user.recovery-link"

// NewRecoveryLink asks for a link for recovery.
type NewRecoveryLink struct {
	Name
	// Seconds is how long the link is good for; zero for an hour.
	Seconds int64 `json:"seconds,omitempty"`
}

// RecoveryLink is a link for recovery, which is a secret.
type RecoveryLink struct {
	MatrixID  string    `json:"matrix_id"`
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (o *Operations) issueRecoveryLink(ctx context.Context, by model.Actor, p NewRecoveryLink) (RecoveryLink, error) {
	made, err := update(ctx, o, func(tx *store.Tx) (recovery.Link, error) {
		found, err := o.find(ctx, tx, p.User)
		if err != nil {
			return recovery.Link{}, err
		}
		return o.c.Recoveries.Issue(tx, by, found, time.Duration(p.Seconds)*time.Second)
	})
	return RecoveryLink{MatrixID: model.MatrixID(made.User.Localpart, o.c.ServerName), URL: made.URL, ExpiresAt: made.ExpiresAt}, err
}
