package page

import "fmt"

// The paths of the pages to which other pages, their forms and redirects lead, below the issuer. The doors
// that answer there declare them as routes.
const (
	AccountPath          = "account/"
	LoginPath            = AccountPath + "login"
	ConsentPath          = AccountPath + "consent"
	LogoutPath           = AccountPath + "logout"
	SignedOutPath        = AccountPath + "signed-out"
	EndSessionPath       = AccountPath + "sessions/end"
	EndOthersPath        = AccountPath + "sessions/end-others"
	ResetPath            = AccountPath + "cross-signing-reset"
	WithdrawConsentPath  = AccountPath + "consents/withdraw"
	ConsentWithdrawnPath = AccountPath + "consents/withdrawn"
)

// linked are the paths that templates lead to, by the names that they have there.
var linked = map[string]string{
	"account":          AccountPath,
	"login":            LoginPath,
	"consent":          ConsentPath,
	"logout":           LogoutPath,
	"end_session":      EndSessionPath,
	"end_others":       EndOthersPath,
	"reset":            ResetPath,
	"withdraw_consent": WithdrawConsentPath,
}

// Path returns the path of one of our pages at the issuer's host, by its name.
func (v *view) Path(name string) (string, error) {
	path, ok := linked[name]
	if !ok {
		return "", fmt.Errorf("no page is called %q", name)
	}
	return v.Base() + path, nil
}
