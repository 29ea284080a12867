package signin

import (
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// AccountPage is the goal of who wants to see their account, or something on its page.
type AccountPage struct {
	// Action is the name of an action that a link asked for (MSC4191); empty for the plain page.
	Action string
	// DeviceID is the device that the action is about; empty for none.
	DeviceID string
}

// Kind returns what the action asks for.
func (p AccountPage) Kind() Action { return actions[p.Action] }

// Action is what the account page can be asked for by a link (MSC4191).
type Action int

// The actions of the account page. ListSessions is the plain page.
const (
	ListSessions Action = iota
	ViewSession
	EndSession
	ResetCrossSigning
	ChangePassword
	AddAddress
	ListAddresses
	ListBrowsers
)

// actions are the actions of MSC4191 with the names that they had before (ACCT-2, ACCT-3). Any other
// action leads to the plain page (ACCT-7).
var actions = map[string]Action{
	"org.matrix.devices_list":  ListSessions,
	"org.matrix.sessions_list": ListSessions,
	"sessions_list":            ListSessions,
	"org.matrix.device_view":   ViewSession,
	"org.matrix.session_view":  ViewSession,
	"session_view":             ViewSession,
	"org.matrix.device_delete": EndSession,
	"org.matrix.session_end":   EndSession,
	"session_end":              EndSession,
	ResetAction:                ResetCrossSigning,
	"cross_signing_reset":      ResetCrossSigning,
	PasswordAction:             ChangePassword,
	AddressAction:              AddAddress,
	AddressesAction:            ListAddresses,
	BrowsersAction:             ListBrowsers,
}

// PasswordAction leads to the page on which the password is changed. No specification has one for that, so clients are not
// told of it.
const PasswordAction = "password"

// AddressAction leads to the page on which a mail address is added, AddressesAction to that of all addresses, and
// BrowsersAction to that of the browsers. They are ours as well.
const (
	AddressAction   = "add_address"
	AddressesAction = "addresses"
	BrowsersAction  = "browsers"
)

// ResetAction is the action with which Synapse and clients send people to the page that lets their
// clients replace the cross-signing keys. It has one name in all versions of MSC4191 and MSC4312.
const ResetAction = "org.matrix.cross_signing_reset"

// Actions are the actions that clients are told of: the specification's, and those from before it, which
// older clients look for (ACCT-1, ACCT-3).
var Actions = []string{
	"org.matrix.devices_list", "org.matrix.device_view", "org.matrix.device_delete",
	"org.matrix.sessions_list", "org.matrix.session_view", "org.matrix.session_end",
	ResetAction,
}

const (
	actionParam = "action"
	deviceParam = "device_id"
)

// ReadAccountPage reads what a link to the account page asks for. What is not known is left out.
func ReadAccountPage(get func(name string) string) (p AccountPage) {
	if action := get(actionParam); actions[action] != ListSessions {
		p.Action = action
	}
	if id := get(deviceParam); p.Action != "" && model.CheckDeviceID(id) == nil {
		p.DeviceID = id
	}
	return p
}

// Query returns the page as it stands in an address.
func (p AccountPage) Query() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{actionParam: p.Action, deviceParam: p.DeviceID} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}

func (p AccountPage) path() string {
	switch p.Kind() {
	case ChangePassword:
		return page.PasswordPath
	case ListAddresses:
		return page.AddressesPath
	case ListBrowsers:
		return page.BrowsersPath
	}
	return page.AccountPath
}

func (AccountPage) next(s *SignIns, tx *store.Tx, v *Visit) (Step, error) {
	return first(s, tx, v, blocked, password)
}
