package account

import (
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
)

// aim is what the account page can be asked for by a link (MSC4191).
type aim int

const (
	aimHome aim = iota
	aimView
	aimEnd
	aimReset
)

// aims are the actions of MSC4191 with the names that they had before (ACCT-2, ACCT-3). Any other
// action leads to the plain page (ACCT-7).
var aims = map[string]aim{
	"org.matrix.devices_list":  aimHome,
	"org.matrix.sessions_list": aimHome,
	"sessions_list":            aimHome,
	"org.matrix.device_view":   aimView,
	"org.matrix.session_view":  aimView,
	"session_view":             aimView,
	"org.matrix.device_delete": aimEnd,
	"org.matrix.session_end":   aimEnd,
	"session_end":              aimEnd,
	resetAction:                aimReset,
	"cross_signing_reset":      aimReset,
}

// resetAction is the action with which Synapse and clients send people to the page that lets their
// clients replace the cross-signing keys. It has one name in all versions of MSC4191 and MSC4312.
const resetAction = "org.matrix.cross_signing_reset"

// Actions are the actions that clients are told of: the specification's, and those from before it, which
// older clients look for (ACCT-1, ACCT-3).
var Actions = []string{
	"org.matrix.devices_list", "org.matrix.device_view", "org.matrix.device_delete",
	"org.matrix.sessions_list", "org.matrix.session_view", "org.matrix.session_end",
	resetAction,
}

// goal is where a person wants to be once they are signed in: with an app's request, or at something
// on the account page. It travels in the query of addresses.
type goal struct {
	request          string
	action, deviceID string
}

// maxRequest is more than the id of a request has, in bytes.
const maxRequest = 64

// readGoal reads a goal from an address or a form. What is not known, or cannot be, is left out, so that
// an address which we make of it holds nothing that somebody else thought of (ACCT-8, HTTP-8).
func readGoal(get func(name string) string) (g goal) {
	if id := get("request"); len(id) <= maxRequest {
		g.request = id
	}
	if action := get("action"); aims[action] != aimHome {
		g.action = action
	}
	if id := get("device_id"); g.action != "" && model.CheckDeviceID(id) == nil {
		g.deviceID = id
	}
	return g
}

// shown is the goal as pages have it.
func (g goal) shown() page.Goal {
	return page.Goal{Request: g.request, Action: g.action, DeviceID: g.deviceID}
}

// query is the goal as it stands in an address.
func (g goal) query() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{"request": g.request, "action": g.action, "device_id": g.deviceID} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}
