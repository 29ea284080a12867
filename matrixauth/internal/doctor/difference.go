package doctor

import (
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
)

// ComparisonCheck names the comparison among the checks of the doctor.
const ComparisonCheck = "accounts and devices"

// DifferenceFinding returns the finding for a difference. One that is harmless, or that may be meant, is no fault.
func DifferenceFinding(d operate.Difference) Finding {
	f := Wrong(ComparisonCheck, d.Kind, "", "account "+d.User, "")
	f.Difference = &d
	const fix = "caddy matrix-auth doctor --fix"
	switch d.Kind {
	case operate.SessionWithoutDevice:
		f.What = fmt.Sprintf("Synapse does not have the device %s of the session %s: its app gets nothing but refusals", d.DeviceID, d.SessionID)
		f.Change = fix + ", or caddy matrix-auth session end " + d.SessionID
	case operate.DeviceWithoutSession:
		f.What = fmt.Sprintf("Synapse has the device %s, on which nobody is signed in", d.DeviceID)
		if f.OK = !d.Certain; d.Certain {
			f.What = fmt.Sprintf("Synapse has the device %s still, whose session here has ended", d.DeviceID)
			f.Change = fix
		}
	case operate.DeactivatedThere:
		f.What, f.Change = "the account is deactivated at Synapse and not here", fix+", or caddy matrix-auth user deactivate "+d.User
	case operate.DeactivatedHere:
		f.What = "the account is deactivated here and not at Synapse"
		f.Change = "caddy matrix-auth user deactivate " + d.User + ", which tells Synapse once more, or user reactivate " + d.User
	case operate.LockedThere:
		f.What = "the account is locked at Synapse alone, which has no effect while logins are delegated"
		f.Change = "caddy matrix-auth user lock " + d.User + "; to have it unlocked there too, user unlock " + d.User + " after that"
	case operate.UnknownThere:
		f.What, f.Change = "Synapse does not know the account, so nobody can sign in to it", fix
	default:
		f.What, f.Change = "the two sides differ: "+d.Kind, "see the documentation of this version"
	}
	if f.OK {
		f.Where = ""
	}
	return f
}
