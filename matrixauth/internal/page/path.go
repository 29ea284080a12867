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
	RenamePath           = AccountPath + "sessions/name"
	EndOthersPath        = AccountPath + "sessions/end-others"
	BrowsersPath         = AccountPath + "browsers"
	PasswordPath         = AccountPath + "password"
	AddressesPath        = AccountPath + "addresses"
	AddAddressPath       = AccountPath + "addresses/add"
	AddressCodePath      = AccountPath + "addresses/code"
	AddressResendPath    = AccountPath + "addresses/resend"
	AddressPath          = AccountPath + "address"
	ProfilePath          = AccountPath + "profile"
	ActivityPath         = AccountPath + "activity"
	LeavePath            = AccountPath + "leave"
	LeftPath             = AccountPath + "left"
	ResetPath            = AccountPath + "cross-signing-reset"
	WithdrawConsentPath  = AccountPath + "consents/withdraw"
	ConsentWithdrawnPath = AccountPath + "consents/withdrawn"
	RecoverPath          = AccountPath + "recover"
	RecoverSentPath      = AccountPath + "recover/sent"
	RecoverPasswordPath  = AccountPath + "recover/password"
	RecoverDonePath      = AccountPath + "recover/done"

	RegisterPath           = AccountPath + "register"
	RegisterInvitationPath = RegisterPath + "/invitation"
	RegisterNamePath       = RegisterPath + "/name"
	RegisterEmailPath      = RegisterPath + "/email"
	RegisterCodePath       = RegisterPath + "/code"
	RegisterPasswordPath   = RegisterPath + "/password"
	RegisterTermsPath      = RegisterPath + "/terms"
	RegisterProfilePath    = RegisterPath + "/profile"
	RegisterWaitingPath    = RegisterPath + "/waiting"
)

// linked are the paths that templates lead to, by the names that they have there.
var linked = map[string]string{
	"account":          AccountPath,
	"login":            LoginPath,
	"consent":          ConsentPath,
	"logout":           LogoutPath,
	"end_session":      EndSessionPath,
	"end_others":       EndOthersPath,
	"rename":           RenamePath,
	"browsers":         BrowsersPath,
	"activity":         ActivityPath,
	"password":         PasswordPath,
	"addresses":        AddressesPath,
	"add_address":      AddAddressPath,
	"address_resend":   AddressResendPath,
	"address":          AddressPath,
	"reset":            ResetPath,
	"withdraw_consent": WithdrawConsentPath,
	"register":         RegisterPath,
	"recover":          RecoverPath,
}

// Path returns the path of one of our pages at the issuer's host, by its name.
func (v *view) Path(name string) (string, error) {
	path, ok := linked[name]
	if !ok {
		return "", fmt.Errorf("no page is called %q", name)
	}
	return v.Base() + path, nil
}
