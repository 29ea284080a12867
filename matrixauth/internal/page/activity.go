package page

import (
	"maps"
	"slices"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Activity is the page that tells what happened to an account.
type Activity struct {
	inActivity
	MatrixID string
	// Failed are the tries to sign in that failed, the newest first; on the first page alone.
	Failed []FailedSignIns
	// Happened is what happened, the newest first.
	Happened []Happening
	// Later reports whether there is a page before this one, and Older is the cursor of the page after; zero at the end.
	Later bool
	Older int64
}

func (Activity) template() string { return "activity" }

// FailedSignIns are tries to sign in from one network, by wrong passwords.
type FailedSignIns struct {
	First, Last time.Time
	Tries       int64
	// Network is empty if it is not known, as is Agent, what they came by.
	Network, Agent string
}

// Several reports whether there is a time between the first and the last that the page could show.
func (f FailedSignIns) Several() bool { return clock(f.First) != clock(f.Last) }

// Happening is one thing that happened to an account.
type Happening struct {
	At     time.Time
	Action model.Action
	// Browser reports whether it is about a browser's session with these pages, and not an app's.
	Browser bool
	// Admin reports whether rights of administration were given, where the action is about these.
	Admin bool
	// Name is what it was done to: the name of an app, an address, a display name. DeviceID is the device of an app.
	Name, DeviceID string
	// By is who did it. Operators have no names here.
	By model.ActorKind
	// Agent and IP are by what and from where the holder did it; empty for others, and after a while.
	Agent, IP string
}

// tellings are the texts of actions. What is in none of them is no account's, or tells its holder nothing.
var tellings = map[model.Action]string{
	model.ActionAddUser:         "activity.created",
	model.ActionRegisterUser:    "activity.created",
	model.ActionSetPassword:     "mail.notice.password.title",
	model.ActionAddEmail:        "mail.notice.address_added.title",
	model.ActionRemoveEmail:     "mail.notice.address_removed.title",
	model.ActionRecoveryEmail:   "activity.recovery",
	model.ActionRecoveryLink:    "activity.link",
	model.ActionRecover:         "activity.recovered",
	model.ActionSetDisplayName:  "activity.name",
	model.ActionRemoveAvatar:    "activity.picture",
	model.ActionLockUser:        "activity.locked",
	model.ActionUnlockUser:      "activity.unlocked",
	model.ActionDeactivateUser:  "mail.notice.deactivated.title",
	model.ActionReactivateUser:  "activity.reactivated",
	model.ActionSetAdmin:        "activity.unadmin",
	model.ActionAllowReset:      "activity.reset",
	model.ActionStartSession:    "activity.app",
	model.ActionEndSession:      "activity.appEnded",
	model.ActionRenameSession:   "activity.renamed",
	model.ActionWithdrawConsent: "withdrawn.title",
}

// browserTellings are those of sessions of browsers.
var browserTellings = map[model.Action]string{
	model.ActionStartSession: "activity.browser",
	model.ActionEndSession:   "activity.browserEnded",
}

const adminTelling = "activity.admin"

// actorTellings are the texts of who did something.
var actorTellings = map[model.ActorKind]string{
	model.ActorUser:     "activity.you",
	model.ActorOperator: "activity.operator",
	model.ActorServer:   "activity.server",
}

// Tells reports whether people are told of an action.
func Tells(a model.Action) bool { return tellings[a] != "" }

func (h Happening) telling() string {
	if h.Admin && h.Action == model.ActionSetAdmin {
		return adminTelling
	}
	if key := browserTellings[h.Action]; h.Browser && key != "" {
		return key
	}
	return tellings[h.Action]
}

// Telling returns what happened.
func (v *view) Telling(h Happening) string { return v.T(h.telling()) }

// Actor returns by whom it was.
func (v *view) Actor(h Happening) string { return v.T(actorTellings[h.By]) }

// Tries returns how many there were.
func (v *view) Tries(f FailedSignIns) string { return v.texts.count("activity.tries", int(f.Tries)) }

// Clock returns a time in UTC, as nobody told us the visitor's zone.
func (v *view) Clock(at time.Time) string { return clock(at) }

func clock(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") }

// Machine returns a time as programs read it.
func (v *view) Machine(at time.Time) string { return at.UTC().Format(time.RFC3339) }

func activitySamples(now time.Time) []Page {
	all := []Happening{
		{At: now, Action: model.ActionStartSession, Browser: true, By: model.ActorUser, Agent: "Firefox, Linux", IP: "192.0.2.7"},
		{At: now, Action: model.ActionEndSession, Name: "Element X", DeviceID: "WXYZABCDEF", By: model.ActorServer},
		{At: now, Action: model.ActionSetAdmin, Admin: true, By: model.ActorOperator},
		{At: now, Action: model.ActionAddEmail, Name: "alice@example.com", By: model.ActorUser, Agent: "Safari, iOS", IP: "2001:db8:1234:5678:9abc:def0:1234:5678"},
	}
	for _, action := range slices.Sorted(maps.Keys(tellings)) {
		all = append(all, Happening{At: now, Action: action, By: model.ActorUser})
	}
	return []Page{
		Activity{MatrixID: "@alice:example.com", Happened: all, Older: 42, Failed: []FailedSignIns{
			{First: now.Add(-72 * time.Hour), Last: now.Add(-time.Hour), Tries: 1234, Network: "2001:db8:1234:5678::/64", Agent: "Chrome, Windows"},
			{First: now.Add(-time.Hour), Last: now.Add(-time.Hour), Tries: 1},
		}},
		Activity{MatrixID: "@alice:example.com", Happened: all[:1], Later: true},
		Activity{MatrixID: "@alice:example.com"},
	}
}
