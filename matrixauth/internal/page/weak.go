package page

import (
	"strconv"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
)

// weakTexts are the texts about refused passwords: this and the reason.
const weakTexts = "password.weak."

// Weak returns why a new password was refused, and what would be better.
func (v *view) Weak(reason password.Reason) string {
	if reason == "" {
		return ""
	}
	return v.T(weakTexts+string(reason), "least", v.passwordLeast())
}

// PasswordHint returns what a page says beside the field of a new password.
func (v *view) PasswordHint() string { return v.T("password.hint", "least", v.passwordLeast()) }

func (v *view) passwordLeast() string {
	return strconv.Itoa(max(v.pages.PasswordLeast, bound.PasswordLeast))
}
