package signin

import (
	"cmp"
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
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
	// Hint names the account that a link is for (MSC4198); empty for none. Somebody else thought of it: it is shown, and
	// fills a form in.
	Hint string
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
	EditProfile
	LeaveAccount
	ChangePassword
	AddAddress
	ListAddresses
	ListBrowsers
	ShowActivity
)

// actions are the actions of MSC4191 with the names that they had before, and without a prefix, as clients write both
// (ACCT-2, ACCT-3). Any other action leads to the plain page (ACCT-7), those that other services have for themselves among
// them (ACCT-13).
var actions = map[string]Action{
	"org.matrix.devices_list":  ListSessions,
	"devices_list":             ListSessions,
	"org.matrix.sessions_list": ListSessions,
	"sessions_list":            ListSessions,
	"org.matrix.device_view":   ViewSession,
	"device_view":              ViewSession,
	"org.matrix.session_view":  ViewSession,
	"session_view":             ViewSession,
	"org.matrix.device_delete": EndSession,
	"device_delete":            EndSession,
	"org.matrix.session_end":   EndSession,
	"session_end":              EndSession,
	ProfileAction:              EditProfile,
	"profile":                  EditProfile,
	LeaveAction:                LeaveAccount,
	"account_deactivate":       LeaveAccount,
	ResetAction:                ResetCrossSigning,
	"cross_signing_reset":      ResetCrossSigning,
	PasswordAction:             ChangePassword,
	AddressAction:              AddAddress,
	AddressesAction:            ListAddresses,
	BrowsersAction:             ListBrowsers,
	ActivityAction:             ShowActivity,
}

// PasswordAction leads to the page on which the password is changed. No specification has one for that, so clients are not
// told of it.
const PasswordAction = "password"

// AddressAction leads to the page on which a mail address is added, AddressesAction to that of all addresses,
// BrowsersAction to that of the browsers, and ActivityAction to that of what happened to the account. They are ours as well.
const (
	AddressAction   = "add_address"
	AddressesAction = "addresses"
	BrowsersAction  = "browsers"
	ActivityAction  = "activity"
)

// ResetAction is the action with which Synapse and clients send people to the page that lets their
// clients replace the cross-signing keys. It has one name in all versions of MSC4191 and MSC4312.
const ResetAction = "org.matrix.cross_signing_reset"

// ProfileAction and LeaveAction are the actions of the pages with what others see of the account, and on which it is
// deactivated.
const (
	ProfileAction = "org.matrix.profile"
	LeaveAction   = "org.matrix.account_deactivate"
)

// Actions are the actions that clients are told of: the specification's, and those from before it, which
// older clients look for (ACCT-1, ACCT-3).
var Actions = []string{
	ProfileAction, "org.matrix.devices_list", "org.matrix.device_view", "org.matrix.device_delete", LeaveAction,
	"org.matrix.sessions_list", "org.matrix.session_view", "org.matrix.session_end",
	ResetAction,
}

const (
	actionParam = "action"
	deviceParam = "device_id"
	hintParam   = "login_hint"
	// oldHintParam is the name that the hint has until it is in the specification.
	oldHintParam = "org.matrix.msc4198.login_hint"
)

// ReadAccountPage reads what a link to the account page asks for. What is not known is left out.
func ReadAccountPage(get func(name string) string) (p AccountPage) {
	if action := get(actionParam); actions[action] != ListSessions {
		p.Action = action
	}
	if id := get(deviceParam); p.Action != "" && model.CheckDeviceID(id) == nil {
		p.DeviceID = id
	}
	p.Hint = readHint(cmp.Or(get(hintParam), get(oldHintParam)))
	return p
}

// readHint returns what a hint names, if that can be an account or a mail address. Other texts are nothing that anybody can
// sign in by, and whoever makes a link could have a page of ours say them (HTTP-9).
func readHint(hint string) string {
	read := grant.ReadHint(hint)
	if _, err := model.ParseEmail(read.Text()); len(read.Text()) > bound.Identifier || err != nil && !read.IsName() {
		return ""
	}
	return read.Text()
}

// Query returns the page as it stands in an address.
func (p AccountPage) Query() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{actionParam: p.Action, deviceParam: p.DeviceID, hintParam: p.Hint} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}

func (p AccountPage) path() string {
	switch p.Kind() {
	case EditProfile:
		return page.ProfilePath
	case LeaveAccount:
		return page.LeavePath
	case ChangePassword:
		return page.PasswordPath
	case ListAddresses:
		return page.AddressesPath
	case ListBrowsers:
		return page.BrowsersPath
	case ShowActivity:
		return page.ActivityPath
	}
	return page.AccountPath
}

func (AccountPage) next(s *SignIns, tx *store.Tx, v *Visit) (Step, error) {
	return first(s, tx, v, blocked, password)
}
