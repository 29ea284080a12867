package page

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"

// Profile is the page with what others see of an account.
type Profile struct {
	inProfile
	// Form has the problem InvalidParam, RateLimited, TemporarilyDown or CrossOrigin.
	Form
	MatrixID string
	// Known reports whether the profile is known. If it is not, as the homeserver does not answer, there is no form: one that is
	// empty would remove the name.
	Known bool
	// DisplayName fills the form in: the name as it is, or what was typed.
	DisplayName string
	// Avatar reports whether there is a picture, which can be removed. It is not shown: the homeserver gives pictures to its
	// clients alone.
	Avatar bool
	// Saved reports whether the name was changed just now, and Removed whether the picture was removed.
	Saved, Removed bool
}

func (Profile) template() string { return "profile" }

func (Profile) action() string { return ProfilePath }

func (Profile) problems() map[model.Code]string {
	return map[model.Code]string{
		model.InvalidParam:    "register.profile.long",
		model.RateLimited:     "profile.limited",
		model.TemporarilyDown: "address.down",
		model.CrossOrigin:     "address.stale",
	}
}

func profileSamples() []Page {
	plain := Profile{MatrixID: "@alice:example.com", Known: true, DisplayName: "Alice"}
	saved, limited, down := plain, plain, plain
	saved.Saved, saved.Avatar = true, true
	limited.Problem = model.RateLimited
	down.Known, down.Problem = false, model.TemporarilyDown
	removed := plain
	removed.Removed = true
	return []Page{plain, saved, removed, limited, down}
}
