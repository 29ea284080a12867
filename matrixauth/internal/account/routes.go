package account

import (
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// The endpoints to which others lead people.
var (
	HomeEndpoint  = endpoint("account", page.AccountPath)
	LoginEndpoint = endpoint("sign_in", page.LoginPath)
)

func endpoint(name, path string) web.Endpoint {
	return web.Endpoint{Name: name, Path: path, Wire: web.PageWire}
}

// Routes is what the door serves.
var Routes = web.Routes[*Door]{
	Routes: slices.Concat([]web.Route[*Door]{
		{Endpoint: LoginEndpoint, Get: (*Door).LoginPage, Post: (*Door).Login},
		{Endpoint: endpoint("sign_out", page.LogoutPath), Post: (*Door).Logout},
		{Endpoint: endpoint("signed_out", page.SignedOutPath), Get: (*Door).SignedOut},
		{Endpoint: endpoint("account", strings.TrimSuffix(page.AccountPath, "/")), Get: (*Door).HomeWithoutSlash},
		{Endpoint: HomeEndpoint, Get: (*Door).Home},
		{Endpoint: endpoint("browsers", page.BrowsersPath), Get: (*Door).BrowsersPage},
		{Endpoint: endpoint("activity", page.ActivityPath), Get: (*Door).ActivityPage},
		{Endpoint: endpoint("addresses", page.AddressesPath), Get: (*Door).AddressesPage},
		{Endpoint: endpoint("end_session", page.EndSessionPath), Get: (*Door).AskEndSession, Post: (*Door).EndSession},
		{Endpoint: endpoint("rename_session", page.RenamePath), Get: (*Door).AskRename, Post: (*Door).Rename},
		{Endpoint: endpoint("end_others", page.EndOthersPath), Get: (*Door).AskEndOthers, Post: (*Door).EndOthers},
		{Endpoint: endpoint("withdraw_consent", page.WithdrawConsentPath), Post: (*Door).WithdrawConsent},
		{Endpoint: endpoint("withdrawn", page.ConsentWithdrawnPath), Get: (*Door).Withdrawn},
		{Endpoint: endpoint("password", page.PasswordPath), Get: (*Door).AskPassword, Post: (*Door).ChangePassword},
		{Endpoint: endpoint("add_address", page.AddAddressPath), Get: (*Door).AskAddress, Post: (*Door).AddAddress},
		{Endpoint: endpoint("address_code", page.AddressCodePath), Get: (*Door).AskAddressCode, Post: (*Door).ConfirmAddress},
		{Endpoint: endpoint("address_resend", page.AddressResendPath), Post: (*Door).ResendAddressCode},
		{Endpoint: endpoint("address", page.AddressPath), Get: (*Door).AskOneAddress, Post: (*Door).ChangeAddress},
		{Endpoint: endpoint("profile", page.ProfilePath), Get: (*Door).AskProfile, Post: (*Door).ChangeProfile},
		{Endpoint: endpoint("leave", page.LeavePath), Get: (*Door).AskLeave, Post: (*Door).Leave},
		{Endpoint: endpoint("left", page.LeftPath), Get: (*Door).Left},
		{Endpoint: endpoint("cross_signing_reset", page.ResetPath), Post: (*Door).Reset},
		{Endpoint: endpoint("recover", page.RecoverPath), Get: (*Door).RecoverPage, Post: (*Door).Recover},
		{Endpoint: endpoint("recover_sent", page.RecoverSentPath), Get: (*Door).RecoverSent},
		{Endpoint: endpoint("new_password", page.RecoverPasswordPath), Get: (*Door).NewPasswordPage, Post: (*Door).NewPassword},
		{Endpoint: endpoint("recovered", page.RecoverDonePath), Get: (*Door).Recovered},
	}, registerRoutes()),
	Families: []web.Family{{Prefix: page.AccountPath, Wire: web.PageWire}},
}
