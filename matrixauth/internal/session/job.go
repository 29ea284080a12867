package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// DeleteDeviceJob deletes a device of a user, who is the subject, unless a live session has it.
var DeleteDeviceJob = outbox.NewKind[DeleteDevice](model.JobDeleteDevice, model.ToHomeserver)

// DeleteDevice names the device that is deleted.
type DeleteDevice struct {
	DeviceID string `json:"device_id"`
}

// LogFields names the device in the log.
func (d DeleteDevice) LogFields() []slog.Attr {
	return []slog.Attr{slog.String("device_id", d.DeviceID)}
}

// Handlers returns the outbox handlers for sessions.
func (s *Sessions) Handlers() []outbox.Handler {
	return []outbox.Handler{DeleteDeviceJob.Handle(s.deleteDevice), NameDeviceJob.Handle(s.nameDevice)}
}

// deleteDevice deletes the device unless a live session has it, so that it may run late, twice, or after the
// crash of a login.
func (s *Sessions) deleteDevice(ctx context.Context, job outbox.Job[DeleteDevice]) error {
	var user model.User
	live := false
	err := s.config.Store.View(ctx, func(tx *store.Tx) (err error) {
		if user, err = tx.User(job.Subject); err != nil {
			return err
		}
		_, err = tx.LiveSessionOnDevice(user.ID, job.Payload.DeviceID)
		live = err == nil
		if errors.Is(err, model.ErrNotFound) {
			return nil
		}
		return err
	})
	if errors.Is(err, model.ErrNotFound) {
		return outbox.Permanent(fmt.Errorf("user %s: %w", job.Subject, err))
	}
	if err != nil || live {
		return err
	}
	err = s.config.Homeserver.DeleteDevice(ctx, user.Localpart, job.Payload.DeviceID)
	if homeserver.IsUnknownUser(err) {
		return nil // nobody has no devices
	}
	return err
}
