package page

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"

// Rename is the page on which somebody gives a device another name.
type Rename struct {
	inApps
	// Form has the problem InvalidParam, RateLimited or CrossOrigin.
	Form
	Session
	// Typed is the name that was typed, or the one so far.
	Typed string
}

func (Rename) template() string { return "rename" }

func (p Rename) action() string { return RenamePath + "?session=" + p.ID }

func (Rename) problems() map[model.Code]string {
	return map[model.Code]string{model.InvalidParam: "rename.invalid", model.RateLimited: "login.limited", model.CrossOrigin: "address.stale"}
}

// renameSamples are samples of the page that names a device.
func renameSamples(phone Session) []Page {
	wrong := Rename{Session: phone, Typed: "a name\u202e", Form: Form{Problem: model.InvalidParam}}
	return []Page{Rename{Session: phone, Typed: phone.DeviceName}, wrong}
}
