package homeserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// The calls in this file are those of users and administrators: the API for the authentication service lists no
// devices and does not tell of locks. They take an access token that the homeserver asks us about, which must not
// belong to anybody's session.

// Device is a device as the homeserver has it.
type Device struct {
	ID string
	// DisplayName is empty if there is none.
	DisplayName string
	// LastSeen is zero if the homeserver does not know.
	LastSeen time.Time
	// Dehydrated devices hold keys for their owner while nobody is signed in on them (MSC3814). Only
	// AdminDevices tells.
	Dehydrated bool
}

// Devices lists the devices of the user of an access token, by the Client-Server API. Errors:
// RefusedToken. An error never means that there are no devices.
func (c *Client) Devices(ctx context.Context, token string) ([]Device, error) {
	return c.devices(ctx, request{op: "devices", method: http.MethodGet, path: devicesPath, token: token, limit: bound.DeviceList})
}

// AdminDevices lists the devices of any user, by Synapse's administration API; the token grants that.
// Errors: RefusedToken, UnknownUser.
func (c *Client) AdminDevices(ctx context.Context, token, userID string) ([]Device, error) {
	return c.devices(ctx, request{
		op: "admin devices", method: http.MethodGet, path: usersPath + url.PathEscape(userID) + "/devices", token: token, limit: bound.DeviceList,
	})
}

func (c *Client) devices(ctx context.Context, r request) ([]Device, error) {
	a, err := c.callWithToken(ctx, r)
	if err != nil {
		return nil, err
	}
	var body struct {
		Devices *[]struct {
			ID          string  `json:"device_id"`
			DisplayName *string `json:"display_name"`
			LastSeen    *int64  `json:"last_seen_ts"`
			Dehydrated  bool    `json:"dehydrated"`
		} `json:"devices"`
	}
	err = json.Unmarshal(a.body, &body)
	if err == nil && body.Devices == nil {
		err = errors.New("the answer has no list of devices")
	}
	if err != nil {
		return nil, &Error{Reason: Down, Op: r.op, Status: a.status, Err: err}
	}
	list := make([]Device, 0, len(*body.Devices))
	for _, d := range *body.Devices {
		device := Device{ID: d.ID, Dehydrated: d.Dehydrated}
		if d.DisplayName != nil {
			device.DisplayName = *d.DisplayName
		}
		if d.LastSeen != nil {
			device.LastSeen = time.UnixMilli(*d.LastSeen).UTC()
		}
		list = append(list, device)
	}
	return list, nil
}

// callWithToken keeps a call without a token from being made with the secret.
func (c *Client) callWithToken(ctx context.Context, r request) (answer, error) {
	if r.token == "" {
		return answer{}, &Error{Reason: Rejected, Op: r.op, Err: errors.New("there is no token")}
	}
	return c.call(ctx, r, http.StatusOK)
}

// Account is what Synapse's administration API says of a user.
type Account struct {
	Deactivated bool
	// Locked is Synapse's own lock, which has no effect while logins are delegated.
	Locked bool
}

// AdminUser finds any user by Synapse's administration API; the token grants that. Errors: RefusedToken,
// UnknownUser.
func (c *Client) AdminUser(ctx context.Context, token, userID string) (Account, error) {
	const op = "admin user"
	a, err := c.callWithToken(ctx, request{op: op, method: http.MethodGet, path: usersPath + url.PathEscape(userID), token: token})
	if err != nil {
		return Account{}, err
	}
	var body struct {
		Deactivated *bool `json:"deactivated"`
		Locked      *bool `json:"locked"`
	}
	err = json.Unmarshal(a.body, &body)
	if err == nil && (body.Deactivated == nil || body.Locked == nil) {
		err = errors.New("the answer lacks a field")
	}
	if err != nil {
		return Account{}, &Error{Reason: Down, Op: op, Status: a.status, Err: err}
	}
	return Account{Deactivated: *body.Deactivated, Locked: *body.Locked}, nil
}
