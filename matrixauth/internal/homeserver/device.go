package homeserver

import (
	"context"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// UpsertDevice makes sure that a user has a device, and reports whether it is new. A display name also
// goes to a device that exists; with an empty one that keeps the name it has. Errors: UnknownUser.
func (c *Client) UpsertDevice(ctx context.Context, localpart, deviceID, displayName string) (created bool, err error) {
	const op = "upsert_device"
	if err := checkID(op, localpart, deviceID); err != nil {
		return false, err
	}
	body := map[string]any{"localpart": localpart, "device_id": deviceID}
	if displayName != "" {
		body["display_name"] = cut(displayName)
	}
	a, err := c.call(ctx, post(op, body), http.StatusOK, http.StatusCreated)
	return err == nil && a.status == http.StatusCreated, err
}

// DeleteDevice deletes a device with its keys. A device that does not exist is no error. Errors:
// UnknownUser.
func (c *Client) DeleteDevice(ctx context.Context, localpart, deviceID string) error {
	const op = "delete_device"
	if err := checkID(op, localpart, deviceID); err != nil {
		return err
	}
	_, err := c.call(ctx, post(op, map[string]any{"localpart": localpart, "device_id": deviceID}), http.StatusNoContent)
	return err
}

// UpdateDeviceDisplayName names a device. Errors: UnknownUser for a user or a device that does not exist.
func (c *Client) UpdateDeviceDisplayName(ctx context.Context, localpart, deviceID, displayName string) error {
	if err := checkID("update_device_display_name", deviceID); err != nil {
		return err
	}
	return c.change(ctx, "update_device_display_name", localpart, map[string]any{"device_id": deviceID, "display_name": cut(displayName)})
}

// cut shortens a device's name to what Synapse takes. Synapse counts code points, as Python does.
func cut(name string) string {
	count := 0
	for i := range name {
		if count == bound.DeviceName {
			return name[:i]
		}
		count++
	}
	return name
}
