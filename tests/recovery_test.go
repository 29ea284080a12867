package tests

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestPeopleComeBack has people who forgot their password, change it, or change their addresses, in a real browser and
// with real mail; what happens to an account is told by mail (MAIL-1 to MAIL-10, PW-8).
func TestPeopleComeBack(t *testing.T) {
	mail := rig.StartMail(t)
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{Env: mail.Env(), Options: oauthOptions + mail.Option("")})
	c := &comeBack{newPeople(t, h, mail), h, mail}
	t.Run("link_by_mail", c.byMail)
	t.Run("nobody's_address", c.unknown)
	t.Run("in_German_by_keyboard", c.inGerman)
	t.Run("without_script", c.withoutScript)
	t.Run("link_of_an_operator", c.byOperator)
	t.Run("greylisted", c.greylisted)
	t.Run("change_of_password", c.change)
	t.Run("addresses", c.addresses)
	t.Run("notices", c.notices)
}

type comeBack struct {
	all  *people
	h    *rig.Homeserver
	mail *rig.Mail
}

// account makes an account that has an address.
func (c *comeBack) account(name string) newcomer {
	n := newcomer{Name: name, Address: name + "@example.org"}
	n.Password = c.h.AddUser(name, "--email", n.Address)
	return n
}

// changed is in the notices of a changed password.
const changed = "password was changed"

// link waits for the first mail with a link for recovery.
func (c *comeBack) link(n newcomer) rig.Message {
	return c.mail.Await(n.Address, "/account/recover", 0)
}

// asks goes from the sign-in to the page that asks for the address, and sends it.
func (p *person) asks(address string) shown {
	p.t.Helper()
	p.opens("/account/login")
	at := p.follows("Forgot your password?")
	if !at.has("Email address or username") {
		p.t.Fatalf("the way leads to %+v", at)
	}
	p.looks("recover")
	p.types("Email address or username", address)
	at = p.presses("Send link")
	if at.Alert != "" {
		p.t.Fatalf("it says %s", at.Alert)
	}
	p.looks("recover-sent")
	return at
}

// setsNew follows a link and sets a password.
func (p *person) setsNew(link, password string, apps bool) shown {
	p.t.Helper()
	at := p.opens(link)
	if !at.has("New password") {
		p.t.Fatalf("the link leads to %+v", at)
	}
	p.looks("recover-password")
	p.typesNew(at, password)
	if apps {
		p.ticks("Sign out all apps too")
	}
	at = p.presses("Change password")
	if at.Alert != "" || at.has("New password") {
		p.t.Fatalf("it leads to %+v", at)
	}
	p.looks("recover-done")
	return at
}

// typesNew fills in a new password, as often as the page asks for it.
func (p *person) typesNew(at shown, password string) {
	p.t.Helper()
	for _, field := range at.Fields {
		if field == "New password" || field == "Repeat the password" || field == "Repeat the new password" {
			p.types(field, password)
		}
	}
}

// byMail has somebody who is signed in with an app and a browser come by the link of a mail in a browser that was never
// here: the password is new, the browser is signed out, the app stays. What scanners of mail do with a link burns nothing
// (MAIL-3), and a link is good once.
func (c *comeBack) byMail(t *testing.T) {
	alice := c.account("alice")
	app, other := c.all.person(t, eyes{}), c.all.person(t, eyes{})
	app.begins("")
	app.signsIn(alice.Name, alice.Password)
	app.presses("Continue")
	app.signedIn()
	other.opens("/account/")
	if at := other.signsIn(alice.Name, alice.Password); at.Heading != "Apps and devices" {
		t.Fatalf("the sign-in leads to %+v", at)
	}

	p := c.all.person(t, eyes{})
	p.pictured = true
	p.asks(alice.Address)
	link := linkIn(t, c.link(alice), c.h.URL)
	scan(t, link)
	fresh := c.all.person(t, eyes{View: "narrow"})
	fresh.pictured = true
	fresh.opens(link)
	fresh.reloads()
	fresh.setsNew(link, "four unlikely words together", false)

	c.h.Login(alice.Name, alice.Password, nil).Must(t, http.StatusForbidden)
	c.h.Login(alice.Name, "four unlikely words together", nil).Must(t, http.StatusOK)
	if at := other.reloads(); !at.has("Password") {
		t.Errorf("the browser of before sees %+v", at)
	}
	if !app.stillIn() {
		t.Error("the app was signed out")
	}
	if at := fresh.opens(link); at.has("New password") {
		t.Errorf("the link is good again: %+v", at)
	}
	fresh.looks("recover-over")
	if told := c.mail.Await(alice.Address, changed, 0); strings.Contains(told.Text, "unlikely words") {
		t.Errorf("the mail after it has the password: %s", told.Text)
	}
}

// scan does with a link what scanners of mail do: they ask for it, by HEAD and by GET, without cookies.
func scan(t *testing.T, link string) {
	t.Helper()
	for _, method := range []string{http.MethodHead, http.MethodGet, http.MethodGet} {
		request, err := http.NewRequest(method, link, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s of the link: %d, %v", method, response.StatusCode, err)
		}
		if policy := response.Header.Get("Referrer-Policy"); policy != "no-referrer" { // MAIL-4
			t.Errorf("the policy for referrers is %q", policy)
		}
	}
}

// unknown asks for the address of nobody: the page is the same, and nothing is sent.
func (c *comeBack) unknown(t *testing.T) {
	known := c.account("known")
	p, q := c.all.person(t, eyes{}), c.all.person(t, eyes{})
	nobody := "nobody@example.org"
	yes, no := p.asks(known.Address), q.asks(nobody)
	if strings.ReplaceAll(yes.Text, known.Address, "") != strings.ReplaceAll(no.Text, nobody, "") || pageOf(t, yes.URL) != pageOf(t, no.URL) {
		t.Errorf("somebody sees\n%s\nand nobody\n%s", yes.Text, no.Text)
	}
	c.link(known)
	if sent := c.mail.Messages(nobody); len(sent) != 0 {
		t.Errorf("nobody got %+v", sent)
	}
}

func (c *comeBack) inGerman(t *testing.T) {
	bea := c.account("bea")
	p := c.all.person(t, eyes{View: "narrow", ColorScheme: "dark", Locale: "de-DE", Keyboard: true})
	p.judged = true
	p.asks(bea.Address)
	got := c.link(bea)
	p.setsNew(linkIn(t, got, c.h.URL), "vier seltene Worte nebeneinander", false)
	if p.language != "de" {
		t.Errorf("the pages were in %q", p.language)
	}
	c.h.Login(bea.Name, "vier seltene Worte nebeneinander", nil).Must(t, http.StatusOK)
}

func (c *comeBack) withoutScript(t *testing.T) {
	carl := c.account("carl")
	p := c.all.person(t, eyes{NoScript: true})
	p.asks(carl.Address)
	p.setsNew(linkIn(t, c.link(carl), c.h.URL), "nothing runs in this browser", false)
	c.h.Login(carl.Name, "nothing runs in this browser", nil).Must(t, http.StatusOK)
}

// byOperator follows the link that an operator prints for somebody without an address, who has all apps signed out. A
// later link takes the place of an earlier one (MAIL-2).
func (c *comeBack) byOperator(t *testing.T) {
	password := c.h.AddUser("dora")
	app := c.h.Login("dora", password, nil).Must(t, http.StatusOK).Text("access_token")
	printed := func() string { return strings.TrimSpace(c.h.MustCommand("", "user", "recovery-link", "dora")) }
	old := printed()
	link := printed()
	p := c.all.person(t, eyes{View: "dark"})
	p.judged = true
	if at := p.opens(old); at.has("New password") {
		t.Errorf("the earlier link still is good: %+v", at)
	}
	p.setsNew(link, "a link by another channel", true)
	c.h.Login("dora", "a link by another channel", nil).Must(t, http.StatusOK)
	c.h.Call(http.MethodGet, "/v3/account/whoami", app, nil).Must(t, http.StatusUnauthorized)
}

// greylisted has the mail server take the mail at the second try only.
func (c *comeBack) greylisted(t *testing.T) {
	emil := c.account("emil")
	p := c.all.person(t, eyes{})
	c.mail.Behave("greylist")
	defer c.mail.Behave("")
	p.asks(emil.Address)
	p.setsNew(linkIn(t, c.link(emil), c.h.URL), "patience has its own reward", false)
}

// change changes a password on the account page: other browsers are signed out, apps stay.
func (c *comeBack) change(t *testing.T) {
	fred := c.account("fred")
	app := c.h.Login(fred.Name, fred.Password, nil).Must(t, http.StatusOK).Text("access_token")
	p, other := c.all.person(t, eyes{}), c.all.person(t, eyes{})
	p.pictured = true
	for _, one := range []*person{other, p} {
		one.opens("/account/")
		one.signsIn(fred.Name, fred.Password)
	}
	at := p.follows("Password")
	p.looks("password")
	p.types("Current password", "a wrong one")
	p.typesNew(at, "orbit velvet thimble cactus")
	if at = p.presses("Change password"); at.Alert == "" {
		t.Fatalf("with a wrong password it leads to %+v", at)
	}
	p.looks("password-refused")
	p.types("Current password", fred.Password)
	p.typesNew(at, "password1")
	if at = p.presses("Change password"); at.Alert == "" {
		t.Fatalf("with a weak password it leads to %+v", at)
	}
	p.looks("password-weak")
	p.types("Current password", fred.Password)
	p.typesNew(at, "orbit velvet thimble cactus")
	if at = p.presses("Change password"); at.Alert != "" {
		t.Fatalf("it leads to %+v", at)
	}
	p.looks("password-changed")
	if at = p.opens("/account/"); at.Heading != "Apps and devices" {
		t.Errorf("who changed it sees %+v", at)
	}
	if at = other.reloads(); !at.has("Password") {
		t.Errorf("the other browser sees %+v", at)
	}
	c.h.Call(http.MethodGet, "/v3/account/whoami", app, nil).Must(t, http.StatusOK)
	c.h.Login(fred.Name, fred.Password, nil).Must(t, http.StatusForbidden)
	c.h.Login(fred.Name, "orbit velvet thimble cactus", nil).Must(t, http.StatusOK)
	told := c.mail.Await(fred.Address, changed, 0)
	if time.Since(at0(t, told)) > time.Hour {
		t.Errorf("the mail is of %s", told.Headers["Date"])
	}
}

// addresses adds an address by the code of a mail, and removes the one of before; both hear of what changes (MAIL-7, MAIL-8).
// Somebody else's address looks the same, and its owner alone is told (MAIL-10).
func (c *comeBack) addresses(t *testing.T) {
	gina, owner := c.account("gina"), c.account("owner")
	p := c.all.person(t, eyes{})
	p.pictured = true
	p.opens("/account/")
	p.signsIn(gina.Name, gina.Password)
	adds := func(address string) (at shown) {
		p.opens("/account/")
		p.follows("Email addresses")
		p.follows("Add address")
		p.looks("address-add")
		p.types("Email address", address)
		if at = p.presses("Continue"); !at.has("Code from the email") {
			t.Fatalf("%s leads to %+v", address, at)
		}
		return at
	}
	const second = "gina@second.example.org"
	of := strings.ReplaceAll(adds(owner.Address).Text, owner.Address, "")
	at := adds(second)
	if free := strings.ReplaceAll(at.Text, second, ""); free != of {
		t.Errorf("somebody's address shows\n%s\nand a free one\n%s", of, free)
	}
	if told := c.mail.Await(owner.Address, "", 0); codes.MatchString(told.Text) {
		t.Errorf("the owner got a code: %s", told.Text)
	}
	p.looks("address-code")
	code := codeIn(t, c.mail.Await(second, "", 0))
	wrong := "111111"
	if code == wrong {
		wrong = "222222"
	}
	p.types("Code from the email", wrong)
	if at = p.presses("Continue"); at.Alert == "" {
		t.Fatalf("a wrong code leads to %+v", at)
	}
	p.looks("address-code-wrong")
	p.types("Code from the email", code)
	if at = p.presses("Continue"); at.Heading != "Email addresses" || at.Status == "" || !strings.Contains(at.Text, second) {
		t.Fatalf("the code leads to %+v", at)
	}
	p.looks("address-added")
	c.mail.Await(gina.Address, "added", 0)

	if at = p.presses("Change"); !strings.Contains(at.Text, gina.Address) { // the first in the list is the older one
		t.Fatalf("the page of the address is %+v", at)
	}
	p.looks("address")
	if at = p.presses("Remove"); at.Alert != "" || strings.Contains(at.Text, gina.Address) {
		t.Fatalf("the removal leads to %+v", at)
	}
	c.mail.Await(gina.Address, "removed", 0)
	if shown := c.h.MustCommand("", "user", "show", gina.Name); !strings.Contains(shown, second) || strings.Contains(shown, gina.Address) {
		t.Errorf("it has %s", shown)
	}
}

// notices has things happen to an account, each of which its holder hears of; the first sign-in is none.
func (c *comeBack) notices(t *testing.T) {
	hanna := c.account("hanna")
	for range 2 { // the second is a browser that nobody knows
		p := c.all.person(t, eyes{})
		p.opens("/account/")
		if at := p.signsIn(hanna.Name, hanna.Password); at.Heading != "Apps and devices" {
			t.Fatalf("the sign-in leads to %+v", at)
		}
	}
	const other = "hanna@other.example.org"
	c.mail.Await(hanna.Address, "sign-in", 0)
	c.h.MustCommand("a password by a command\n", "user", "set-password", hanna.Name)
	c.mail.Await(hanna.Address, changed, 0)
	c.h.MustCommand("", "user", "add-email", hanna.Name, other)
	c.mail.Await(hanna.Address, "added", 0)
	c.h.MustCommand("", "user", "remove-email", hanna.Name, other)
	c.mail.Await(hanna.Address, "removed", 0)
	c.mail.Await(other, "removed", 0) // MAIL-8
	c.h.MustCommand("", "user", "deactivate", hanna.Name, "--yes")
	c.mail.Await(hanna.Address, "deactivated", 0)
	for _, told := range c.mail.Messages(hanna.Address) {
		if !told.Encrypted || told.User != c.mail.User || strings.Contains(told.Raw, other) || !strings.Contains(told.Text, "@hanna:") {
			t.Errorf("it was told %+v", told)
		}
	}
	if told := len(c.mail.Messages(hanna.Address)); told != 5 {
		t.Errorf("%d mails came", told)
	}
}

// at0 returns when a mail says that it was written.
func at0(t *testing.T, m rig.Message) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC1123Z, m.Headers["Date"][0])
	if err != nil {
		t.Fatal(err)
	}
	return when
}
