package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// NameDeviceJob gives a device of a user, who is the subject, the name at the homeserver that its session has.
var NameDeviceJob = outbox.NewKind[NamedDevice](model.JobNameDevice, model.ToHomeserver)

// NamedDevice names the device that has a new name. The name itself is that of its session when the job is done: an app may
// have named its device once more meanwhile, and has the last word.
type NamedDevice struct {
	DeviceID string `json:"device_id"`
}

// LogFields names the device in the log.
func (d NamedDevice) LogFields() []slog.Attr {
	return []slog.Attr{slog.String("device_id", d.DeviceID)}
}

// Rename gives the device of a live session another name at its user's wish, here at once and at the homeserver soon after.
// It returns an Error with code SessionNotFound for a session that is over, has no device or is somebody else's (ACCT-4),
// InvalidParam for a name that is none, and RateLimited.
func (s *Sessions) Rename(ctx context.Context, by model.Actor, id, name string) error {
	name, err := readDeviceName(name)
	if err != nil {
		return err
	}
	if err := s.config.Limiter.Take(limit.Renames, by.ID, bound.RenamesPerAccount); err != nil {
		return err
	}
	return s.config.Store.Update(ctx, func(tx *store.Tx) error {
		session, lives, err := live(tx, id)
		if err != nil {
			return err
		}
		if !lives || session.UserID != by.ID || session.DeviceID == "" {
			return model.NewError(model.SessionNotFound)
		}
		if session.DeviceName == name {
			return nil
		}
		if err := tx.NameDevice(session.ID, name); err != nil {
			return err
		}
		if err := tx.Record(by, model.ActionRenameSession, session.UserID, session.Details().With("name", name)); err != nil {
			return err
		}
		return NameDeviceJob.EnqueueOnce(s.config.Outbox, tx, session.UserID, NamedDevice{session.DeviceID})
	})
}

// readDeviceName reads a name that somebody typed for a device. Others see it: it is one line with something to see in it and
// nothing that turns the text around it, and no longer than the homeserver takes.
func readDeviceName(typed string) (string, error) {
	name := strings.TrimSpace(typed)
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > bound.DeviceName || name == "" || model.PlainText(name) != name {
		return "", model.NewError(model.InvalidParam)
	}
	return name, nil
}

// nameDevice has the homeserver call a device as its session does. A device without a live session has no name to give.
func (s *Sessions) nameDevice(ctx context.Context, job outbox.Job[NamedDevice]) error {
	var user model.User
	var session model.Session
	err := s.config.Store.View(ctx, func(tx *store.Tx) (err error) {
		if user, err = tx.User(job.Subject); err != nil {
			return err
		}
		session, err = tx.LiveSessionOnDevice(user.ID, job.Payload.DeviceID)
		if errors.Is(err, model.ErrNotFound) {
			return nil
		}
		return err
	})
	if errors.Is(err, model.ErrNotFound) {
		return outbox.Permanent(fmt.Errorf("user %s: %w", job.Subject, err))
	}
	if err != nil || session.ID == "" {
		return err
	}
	err = s.config.Homeserver.UpdateDeviceDisplayName(ctx, user.Localpart, session.DeviceID, session.DeviceName)
	if homeserver.IsUnknownUser(err) {
		return nil // nor has a device that is gone
	}
	return err
}
