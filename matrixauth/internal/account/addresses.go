package account

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

const (
	// addressesParam marks the address of the page of addresses after one was added, removed or chosen.
	addressesParam = "changed"
	resentParam    = "resent"
)

// addressGoal leads to the page on which an address is added, addressesGoal to that of all addresses.
var (
	addressGoal   = signin.AccountPage{Action: signin.AddressAction}
	addressesGoal = signin.AccountPage{Action: signin.AddressesAction}
)

// AddressesPage answers GET account/addresses.
func (d *Door) AddressesPage(w http.ResponseWriter, r *http.Request) error {
	_, who, ok, err := d.owner(w, r, addressesGoal)
	if !ok {
		return err
	}
	all, err := d.addresses(r, who)
	if err != nil {
		return err
	}
	return d.Pages.Render(w, r, http.StatusOK, page.Addresses{
		MatrixID: model.MatrixID(who.Localpart, d.ServerName), Addresses: all, MayAdd: d.Users.MayAddEmails(), Changed: r.URL.Query().Has(addressesParam),
	})
}

// addresses returns the mail addresses of an account for its page.
func (d *Door) addresses(r *http.Request, who model.User) ([]page.Address, error) {
	all, err := d.Users.Emails(r.Context(), who)
	if err != nil {
		return nil, err
	}
	chosen, _ := model.RecoveryEmail(all)
	shown := make([]page.Address, 0, len(all))
	for _, e := range all {
		shown = append(shown, page.Address{ID: e.ID, Address: e.Address, Recovery: e.ID == chosen.ID})
	}
	return shown, nil
}

// AskAddress answers GET account/addresses/add.
func (d *Door) AskAddress(w http.ResponseWriter, r *http.Request) error {
	signedIn, who, ok, err := d.mayAddAddress(w, r)
	if !ok {
		return err
	}
	shown := d.addAddressPage(signedIn, who)
	shown.Problem = staleProblem(r)
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

// mayAddAddress is owner for pages that are there only where codes can be mailed.
func (d *Door) mayAddAddress(w http.ResponseWriter, r *http.Request) (signedIn model.BrowserSession, who model.User, ok bool, err error) {
	if !d.Users.MayAddEmails() {
		return signedIn, who, false, model.NewError(model.NotRecognized)
	}
	return d.owner(w, r, addressGoal)
}

func (d *Door) addAddressPage(signedIn model.BrowserSession, who model.User) page.AddAddress {
	return page.AddAddress{Proof: d.proof(signedIn, who)}
}

// AddAddress answers POST account/addresses/add: a code is mailed to an address. It takes a password that was given a moment
// ago, as whoever has an address of an account can have its password too (SESS-5).
func (d *Door) AddAddress(w http.ResponseWriter, r *http.Request) error {
	form, err := d.readForm(w, r, page.AddAddressPath, nil)
	if form == nil {
		return err
	}
	signedIn, who, ok, err := d.mayAddAddress(w, r)
	if !ok {
		return err
	}
	shown := d.addAddressPage(signedIn, who)
	shown.Typed = form["email"]
	if err := d.proven(r, signedIn, who, &shown.Proof, form); err != nil {
		return d.refuseAddress(w, r, &shown.Form, &shown, err)
	}
	err = d.Users.BeginEmail(r.Context(), who, shown.Typed, d.Pages.Language(r, ""), web.ClientIP(r))
	if err != nil {
		return d.refuseAddress(w, r, &shown.Form, &shown, err)
	}
	return d.seeOther(w, page.AddressCodePath, nil)
}

// refuseAddress shows a page again with what stands in the way, if that is something that the person can do something about
// here. form is that of the page.
func (d *Door) refuseAddress(w http.ResponseWriter, r *http.Request, form *page.Form, shown page.Page, err error) error {
	return d.refuseForm(w, r, form, shown, err,
		model.InvalidEmail, model.EmailNotAllowed, model.EmailOwned, model.EmailInUse, model.TooManyEmails, model.CodeWrong, model.CodeOver,
		model.InvalidCredentials, model.LoginRequired, model.RateLimited, model.TemporarilyDown)
}

// AskAddressCode answers GET account/addresses/code.
func (d *Door) AskAddressCode(w http.ResponseWriter, r *http.Request) error {
	_, who, ok, err := d.mayAddAddress(w, r)
	if !ok {
		return err
	}
	shown, err := d.addressCodePage(r, who)
	if errors.Is(err, model.CodeOver) {
		return d.seeOther(w, page.AddressesPath, nil) // it was added, most likely in another tab
	}
	if err != nil {
		return err
	}
	shown.Resent = r.URL.Query().Has(resentParam)
	if stale := staleProblem(r); stale != "" {
		shown.Problem = stale
	}
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

// addressCodePage returns the page of an address that is to be proven. It returns CodeOver if there is none.
func (d *Door) addressCodePage(r *http.Request, who model.User) (shown page.AddressCode, err error) {
	pending, err := d.Users.PendingEmail(r.Context(), who)
	if err != nil {
		return shown, err
	}
	shown = page.AddressCode{Address: pending.Address, Over: pending.Over(d.Now()), Refused: !pending.RefusedAt.IsZero()}
	if shown.Over {
		shown.Problem = model.CodeOver
	}
	return shown, nil
}

// readAddressCode reads a form of the page of an address that is to be proven, with who sent it. A second click finds nothing
// to prove, and leads to the page of addresses. Then ok is false, and err is what the handler returns.
func (d *Door) readAddressCode(w http.ResponseWriter, r *http.Request) (form map[string]string, who model.User, shown page.AddressCode, ok bool, err error) {
	if form, err = d.readForm(w, r, page.AddressCodePath, nil); form == nil {
		return nil, who, shown, false, err
	}
	if _, who, ok, err = d.mayAddAddress(w, r); !ok {
		return nil, who, shown, false, err
	}
	shown, err = d.addressCodePage(r, who)
	if errors.Is(err, model.CodeOver) {
		return nil, who, shown, false, d.seeOther(w, page.AddressesPath, nil)
	}
	return form, who, shown, err == nil, err
}

// ConfirmAddress answers POST account/addresses/code: the address is added.
func (d *Door) ConfirmAddress(w http.ResponseWriter, r *http.Request) error {
	form, who, shown, ok, err := d.readAddressCode(w, r)
	if !ok {
		return err
	}
	if err := d.Users.ConfirmEmail(r.Context(), holder(r, who), who, form["code"]); err != nil {
		shown.Over = errors.Is(err, model.CodeOver) || errors.Is(err, model.EmailInUse)
		return d.refuseAddress(w, r, &shown.Form, &shown, err)
	}
	return d.addressesDone(w)
}

// ResendAddressCode answers POST account/addresses/resend.
func (d *Door) ResendAddressCode(w http.ResponseWriter, r *http.Request) error {
	_, who, shown, ok, err := d.readAddressCode(w, r)
	if !ok {
		return err
	}
	if err := d.Users.ResendEmail(r.Context(), who, web.ClientIP(r)); err != nil {
		shown.Over = errors.Is(err, model.CodeOver)
		return d.refuseAddress(w, r, &shown.Form, &shown, err)
	}
	return d.seeOther(w, page.AddressCodePath, url.Values{resentParam: {"1"}})
}

// addressesDone leads to the page that lists the addresses as they are now.
func (d *Door) addressesDone(w http.ResponseWriter) error {
	return d.seeOther(w, page.AddressesPath, url.Values{addressesParam: {"1"}})
}

// AskOneAddress answers GET account/address: what can be done with an address.
func (d *Door) AskOneAddress(w http.ResponseWriter, r *http.Request) error {
	signedIn, who, ok, err := d.owner(w, r, addressesGoal)
	if !ok {
		return err
	}
	shown, err := d.oneAddressPage(r, signedIn, who)
	if errors.Is(err, model.EmailNotFound) {
		return d.seeOther(w, page.AddressesPath, nil)
	}
	if err != nil {
		return err
	}
	shown.Problem = staleProblem(r)
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

func (d *Door) oneAddressPage(r *http.Request, signedIn model.BrowserSession, who model.User) (shown page.OneAddress, err error) {
	all, err := d.addresses(r, who)
	if err != nil {
		return shown, err
	}
	for _, one := range all {
		if one.ID == r.URL.Query().Get("id") {
			return page.OneAddress{
				Address: one, Proof: d.proof(signedIn, who), Last: len(all) == 1,
			}, nil
		}
	}
	return shown, model.NewError(model.EmailNotFound)
}

// ChangeAddress answers POST account/address: an address is removed, or chosen for recovery by name. Both take a password
// that was given a moment ago (SESS-5). A second click finds it done.
func (d *Door) ChangeAddress(w http.ResponseWriter, r *http.Request) error {
	form, err := d.readForm(w, r, page.AddressPath, url.Values{"id": {r.URL.Query().Get("id")}})
	if form == nil {
		return err
	}
	signedIn, who, ok, err := d.owner(w, r, addressesGoal)
	if !ok {
		return err
	}
	shown, err := d.oneAddressPage(r, signedIn, who)
	if errors.Is(err, model.EmailNotFound) {
		return d.addressesDone(w)
	}
	if err != nil {
		return err
	}
	if err := d.proven(r, signedIn, who, &shown.Proof, form); err != nil {
		return d.refuseAddress(w, r, &shown.Form, &shown, err)
	}
	switch form["what"] {
	case "remove":
		err = d.Users.RemoveOwnEmail(r.Context(), holder(r, who), who, shown.ID)
	case "recovery":
		err = d.Users.ChooseForRecovery(r.Context(), holder(r, who), who, shown.ID)
	default:
		return model.NewError(model.InvalidParam)
	}
	if err != nil && !errors.Is(err, model.EmailNotFound) {
		return d.refuseAddress(w, r, &shown.Form, &shown, err)
	}
	return d.addressesDone(w)
}
