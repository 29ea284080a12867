package homeserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// User is what the homeserver says about one of its users.
type User struct {
	// ID is the full Matrix id, of the configured server name.
	ID string
	// DisplayName is empty if there is none.
	DisplayName string
	// AvatarURL is empty if there is none.
	AvatarURL string
	// Suspended users may only read.
	Suspended bool
	// Deactivated users are gone until ReactivateUser.
	Deactivated bool
}

// QueryUser finds a user by localpart. Errors: UnknownUser; OtherServerName if the homeserver's answer
// is about a user of another server name than the configured one (SYN-24).
func (c *Client) QueryUser(ctx context.Context, localpart string) (User, error) {
	const op = queryUser
	if err := checkID(op, localpart); err != nil {
		return User{}, err
	}
	a, err := c.call(ctx, get(op, url.Values{"localpart": {localpart}}), http.StatusOK)
	if err != nil {
		return User{}, err
	}
	var body struct {
		UserID      *string `json:"user_id"`
		DisplayName *string `json:"display_name"`
		AvatarURL   *string `json:"avatar_url"`
		Suspended   *bool   `json:"is_suspended"`
		Deactivated *bool   `json:"is_deactivated"`
	}
	err = json.Unmarshal(a.body, &body)
	if err == nil && (body.UserID == nil || body.Suspended == nil || body.Deactivated == nil) {
		err = errors.New("the answer lacks a field")
	}
	if err != nil {
		return User{}, &Error{Reason: Down, Op: op, Status: a.status, Err: err}
	}
	_, server, ok := strings.Cut(*body.UserID, ":")
	if !ok || server != c.serverName {
		return User{}, c.otherServerName(op, a.status, server)
	}
	user := User{ID: *body.UserID, Suspended: *body.Suspended, Deactivated: *body.Deactivated}
	if body.DisplayName != nil {
		user.DisplayName = *body.DisplayName
	}
	if body.AvatarURL != nil {
		user.AvatarURL = *body.AvatarURL
	}
	return user, nil
}

// LocalpartAvailable asks whether a new user may have this localpart; nil means yes. A no is an Error
// of reason Rejected with Errcode M_USER_IN_USE, M_INVALID_USERNAME or M_EXCLUSIVE (an application
// service has the name). The name of a deactivated user stays in use.
func (c *Client) LocalpartAvailable(ctx context.Context, localpart string) error {
	const op = "is_localpart_available"
	if err := checkID(op, localpart); err != nil {
		return err
	}
	_, err := c.call(ctx, get(op, url.Values{"localpart": {localpart}}), http.StatusOK)
	return err
}

// ProvisionUser is a user that must exist, with the state that they must have. A nil field leaves things as they are,
// or as the homeserver sets them for new users.
type ProvisionUser struct {
	Localpart string
	// DisplayName is the new display name; an empty one removes it.
	DisplayName *string
	// Emails replaces all addresses of the user. An address of another user is moved to this one. Synapse refuses an
	// address that does not have exactly one @, but only after it has created the user (SYN-13).
	Emails *[]string
	// Locked keeps the user out of the directory. Synapse before 1.150 ignores it.
	Locked *bool
}

// ProvisionUser creates a user or brings an existing one up to date, and tells which it was. It leaves a
// deactivated user deactivated.
func (c *Client) ProvisionUser(ctx context.Context, p ProvisionUser) (created bool, err error) {
	const op = "provision_user"
	if err := checkID(op, p.Localpart); err != nil {
		return false, err
	}
	// Synapse refuses a body that has both the set_ and the unset_ key, whatever their values, and takes
	// null for "as it is"; so only what changes is sent.
	body := map[string]any{"localpart": p.Localpart}
	if p.DisplayName != nil {
		body["set_displayname"] = *p.DisplayName
	}
	if p.Emails != nil {
		body["set_emails"] = append([]string{}, *p.Emails...)
	}
	if p.Locked != nil {
		body["locked"] = *p.Locked
	}
	a, err := c.call(ctx, post(op, body), http.StatusOK, http.StatusCreated)
	return err == nil && a.status == http.StatusCreated, err
}

// DeleteUser deactivates a user: they leave their rooms, their devices and addresses are deleted. With
// erase, newcomers no longer see their messages and the profile is deleted. Doing it again is no error.
func (c *Client) DeleteUser(ctx context.Context, localpart string, erase bool) error {
	return c.change(ctx, "delete_user", localpart, map[string]any{"erase": erase})
}

// ReactivateUser makes a deactivated user usable again; rooms, devices and addresses do not come back.
// For a user who is not deactivated it changes nothing. Synapse 1.157.1 and later with a new database fails to do
// it, which is Down, until it has built an index in the background: for its first minutes.
func (c *Client) ReactivateUser(ctx context.Context, localpart string) error {
	return c.change(ctx, "reactivate_user", localpart, nil)
}

// SetDisplayName sets a user's display name of at most bound.DisplayName characters. Synapse limits how
// often; beyond that the Error's reason is Down. For an erased user newer versions answer with a server
// error, which is Down too: do not call it for a deactivated user.
func (c *Client) SetDisplayName(ctx context.Context, localpart, name string) error {
	return c.change(ctx, "set_displayname", localpart, map[string]any{"displayname": name})
}

// UnsetDisplayName removes a user's display name.
func (c *Client) UnsetDisplayName(ctx context.Context, localpart string) error {
	return c.change(ctx, "unset_displayname", localpart, nil)
}

// UnsetAvatar removes a user's picture. It is a ProvisionUser of nothing else, for want of a call of its own: a user who is not
// there would be made.
func (c *Client) UnsetAvatar(ctx context.Context, localpart string) error {
	const op = "provision_user"
	if err := checkID(op, localpart); err != nil {
		return err
	}
	_, err := c.call(ctx, post(op, map[string]any{"localpart": localpart, "unset_avatar_url": true}), http.StatusOK, http.StatusCreated)
	return err
}

// AllowCrossSigningReset lets a user's clients replace the cross-signing keys without further proof for
// bound.ResetWindow. The caller must have checked who the user is. For a user who has no such keys, and so may make
// some at any time, it changes nothing.
func (c *Client) AllowCrossSigningReset(ctx context.Context, localpart string) error {
	return c.change(ctx, "allow_cross_signing_reset", localpart, nil)
}

// change makes a call about a user that is answered by 200 and nothing else.
func (c *Client) change(ctx context.Context, op, localpart string, more map[string]any) error {
	if err := checkID(op, localpart); err != nil {
		return err
	}
	body := map[string]any{"localpart": localpart}
	for key, value := range more {
		body[key] = value
	}
	_, err := c.call(ctx, post(op, body), http.StatusOK)
	return err
}
