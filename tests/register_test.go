package tests

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// registration is the block of the Caddyfile for people who register; more stands in it.
func registration(mode, more string) string { return "registration " + mode + " {\n\t" + more + "\n}" }

// everyStep is a registration that asks for all there is, but for an invitation.
const everyStep = "email required\n\tterms https://chat.example.com/terms 3"

// changeOptions has a running Caddy take other options.
func changeOptions(t *testing.T, c *rig.Caddy, options string) {
	t.Helper()
	c.CaddyConfig.Options = options
	c.Write(c.Text(""))
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
}

// newcomer is what somebody types who makes an account.
type newcomer struct{ Name, Password, Address, Invitation, DisplayName string }

// somebody is a newcomer with an address and a good password.
func somebody(name string) newcomer {
	return newcomer{Name: name, Address: name + "@example.org", Password: rand.Text(), DisplayName: "Somebody " + name}
}

// accept is the box of the page of terms.
const accept = "I have read the terms and accept them"

// registers goes through all steps that come, up to the client that sent the person here, or to the page that asks for
// what upTo names. It returns the steps, by what their pages are called, and the last page.
func (p *person) registers(n newcomer, at shown, upTo string) (steps []string, last shown) {
	p.t.Helper()
	before := 0
	if n.Address != "" {
		before = len(p.of.mail.Messages(n.Address))
	}
	for range 15 {
		if !strings.HasPrefix(at.URL, p.of.h.URL) {
			return steps, at
		}
		if at.Alert != "" {
			p.t.Fatalf("after %v: %s: %s", steps, at.URL, at.Alert)
		}
		step := stepOf(p.t, at)
		if len(steps) > 0 && steps[len(steps)-1] == step {
			p.t.Fatalf("after %v comes the same page again: %s", steps, at.Text)
		}
		steps = append(steps, step)
		if strings.HasPrefix(step, "register") {
			p.looks(step)
		} else { // the pages of others have pictures of their own
			p.looks("register-" + step)
		}
		if at.has(upTo) {
			return steps, at
		}
		at = p.answersPage(n, at, before)
		if at.URL == "" {
			return steps, p.sees()
		}
	}
	p.t.Fatalf("it does not end: %v", steps)
	return nil, shown{}
}

// stepOf names a page of a registration; one that asks for a code has the same address as the one that asks for the mail
// address.
func stepOf(t *testing.T, at shown) string {
	t.Helper()
	if at.has("Code from the email") {
		return "register-code"
	}
	return pageOf(t, at.URL)
}

// answersPage fills in a page of a registration and sends it. It returns the next page, an empty one if this has no form
// that leads on. before is how many mails the person had.
func (p *person) answersPage(n newcomer, at shown, before int) shown {
	p.t.Helper()
	for _, field := range at.Fields {
		p.answers(field, n, before)
	}
	for _, button := range []string{"Create account", "Continue"} {
		if at.offers(button) {
			return p.presses(button)
		}
	}
	return shown{}
}

// answers fills in a field of a registration.
func (p *person) answers(field string, n newcomer, before int) {
	p.t.Helper()
	switch field {
	case "Username":
		p.types(field, n.Name)
	case "Password", "Repeat the password":
		p.types(field, n.Password)
	case "Email address":
		p.types(field, n.Address)
	case "Code from the email":
		p.types(field, codeIn(p.t, p.of.mail.Await(n.Address, "", before)))
	case "Invitation":
		p.types(field, n.Invitation)
	case "Display name":
		p.types(field, n.DisplayName)
	case accept:
		p.ticks(field)
	default:
		p.t.Fatalf("the field %q is not known", field)
	}
}

// matrixID is the account that somebody registers.
func (n newcomer) matrixID() string { return "@" + n.Name + ":" + rig.ServerName }

// wantAccount fails the test unless the person has the account that they asked for, here and at Synapse.
func (n newcomer) wantAccount(t *testing.T, h *rig.Homeserver) {
	t.Helper()
	token := h.Login(n.Name, n.Password, nil).Must(t, http.StatusOK).Text("access_token")
	profile := h.Call(http.MethodGet, "/v3/profile/"+url.PathEscape(n.matrixID()), token, nil).Must(t, http.StatusOK)
	if n.DisplayName != "" && profile.Text("displayname") != n.DisplayName {
		t.Errorf("at Synapse it is called %q", profile.Text("displayname"))
	}
	shown := h.MustCommand("", "user", "show", n.Name)
	if n.Address != "" && !strings.Contains(shown, n.Address) {
		t.Errorf("it lacks the address: %s", shown)
	}
}

// TestRegistration has people come from a client, in a real browser, and make accounts: matrix-js-sdk opens prompt=create,
// and is signed in at the end (CREATE-1 to CREATE-9).
func TestRegistration(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			mail := rig.StartMail(t)
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{Env: mail.Env(), Options: oauthOptions + mail.Option("") + registration("open", everyStep)})
			r := &registrar{newPeople(t, h, mail), h, mail, version == rig.Newest}
			t.Run("from_a_client", r.fromClient)
			if version != rig.Newest {
				return
			}
			t.Run("by_keyboard", r.byKeyboard)
			t.Run("without_script", r.withoutScript)
			t.Run("in_German_at_night_on_a_small_screen", r.inGerman)
			t.Run("reload_and_restart", r.reloadAndRestart)
			t.Run("a_name_that_two_want", r.race)
			t.Run("mail_server_is_away", r.mailAway)
			t.Run("invitation", r.invitation)
			t.Run("approval", r.approval)
			t.Run("off", r.off)
		})
	}
}

// registrar are the cases of TestRegistration, on one homeserver.
type registrar struct {
	all  *people
	h    *rig.Homeserver
	mail *rig.Mail
	// pictured has the steps looked at in every view.
	pictured bool
}

// steps are those of everyStep, with the client's question at the end.
var steps = []string{"register", "register-email", "register-code", "register-password", "register-terms", "register-profile", "consent"}

// comes has somebody come from a client, register and be signed in there.
func (r *registrar) comes(t *testing.T, how eyes, n newcomer, want []string, pictured bool) *person {
	t.Helper()
	p := r.all.person(t, how)
	p.judged, p.pictured = true, pictured
	took, _ := p.registers(n, p.begins("create"), "")
	if !slices.Equal(took, want) {
		t.Errorf("it took %q", took)
	}
	if who := p.signedIn(); who != n.matrixID() {
		t.Errorf("the client is signed in as %s", who)
	}
	n.wantAccount(t, r.h)
	return p
}

func (r *registrar) fromClient(t *testing.T) {
	n := somebody("newcomer")
	r.comes(t, eyes{}, n, steps, r.pictured)
	got := r.mail.Await(n.Address, "", 0)
	if !got.Encrypted || got.User != r.mail.User {
		t.Errorf("the mail came %s, encrypted %v, from %q", got.Transport, got.Encrypted, got.User)
	}
	if strings.Contains(got.Raw, n.Name+":") || strings.Contains(got.Text, n.DisplayName) {
		t.Errorf("the mail has what a stranger typed: %s", got.Text) // MAIL-11
	}
}

func (r *registrar) byKeyboard(t *testing.T) {
	r.comes(t, eyes{Keyboard: true}, somebody("keyboard"), steps, false)
}

func (r *registrar) inGerman(t *testing.T) {
	n := somebody("german")
	p := r.comes(t, eyes{View: "narrow", ColorScheme: "dark", Locale: "de-DE"}, n, steps, false)
	if p.language != "de" {
		t.Errorf("the pages were in %q", p.language)
	}
	if got := r.mail.Await(n.Address, "", 0); !strings.Contains(strings.Join(got.Headers["Content-Language"], ""), "de") || !regexp.MustCompile(`\b(Ihre?|Sie|der)\b`).MatchString(got.Text) {
		t.Errorf("the mail is not in German: %s", got.Text)
	}
}

// withoutScript comes from a client of Go's OAuth library, as a client on a page needs script.
func (r *registrar) withoutScript(t *testing.T) {
	n := somebody("plain")
	p := r.all.person(t, eyes{NoScript: true})
	config := registered(t, r.h)
	config.Scopes = []string{apiScope, deviceScope("NOSCRIPT")}
	verifier := oauth2.GenerateVerifier()
	address := config.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "create"))
	took, last := p.registers(n, p.opens(address), "")
	if !slices.Equal(took, steps) {
		t.Errorf("it took %q", took)
	}
	back, err := url.Parse(last.URL)
	if err != nil {
		t.Fatal(err)
	}
	token, err := config.Exchange(context.Background(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatalf("%s: %v", last.URL, err)
	}
	if who := r.h.Call(http.MethodGet, "/v3/account/whoami", token.AccessToken, nil).Must(t, http.StatusOK).Text("user_id"); who != n.matrixID() {
		t.Errorf("the client is signed in as %s", who)
	}
}

// reloadAndRestart reloads every page that is shown, opens it in the tab once more by its address, and restarts Caddy in
// the middle, before the code is typed.
func (r *registrar) reloadAndRestart(t *testing.T) {
	n := somebody("patient")
	p := r.all.person(t, eyes{})
	at := p.begins("create")
	for _, step := range steps {
		if got := stepOf(t, at); got != step {
			t.Fatalf("%s comes, and not %s: %s", got, step, at.Text)
		}
		if again := p.reloads(); again.URL != at.URL || again.Heading != at.Heading || again.Alert != "" {
			t.Fatalf("after a reload of %s: %+v", step, again)
		}
		if step == "register-code" {
			r.mail.Await(n.Address, "", 0) // it has gone out
			r.h.Caddy.Stop()
			r.h.Caddy.Start()
		}
		if again := p.opens(at.URL); again.Heading != at.Heading || again.Alert != "" {
			t.Fatalf("%s once more by its address: %+v", step, again)
		}
		at = p.answersPage(n, at, 0)
	}
	if who := p.signedIn(); who != n.matrixID() {
		t.Errorf("the client is signed in as %s", who)
	}
	n.wantAccount(t, r.h)
}

// race has two people want one name: both get as far as the last page, and the second chooses another name there, with
// nothing else to type again (CREATE-5).
func (r *registrar) race(t *testing.T) {
	first, second := somebody("wanted"), somebody("wanted")
	second.Address = "another@example.org"
	p, q := r.all.person(t, eyes{}), r.all.person(t, eyes{})
	_, at := p.registers(first, p.begins("create"), "Display name")
	_, late := q.registers(second, q.begins("create"), "Display name")
	p.registers(first, at, "")
	if who := p.signedIn(); who != first.matrixID() {
		t.Errorf("the client is signed in as %s", who)
	}
	q.pictured = true
	q.answers("Display name", second, 0)
	late = q.presses("Create account")
	if pageOf(t, late.URL) != "register-name" || !strings.Contains(late.Alert, "wanted") {
		t.Fatalf("who is too late sees %+v", late)
	}
	q.looks("register-name-lost")
	second.Name = "unwanted"
	q.types("Username", second.Name)
	late = q.presses("Continue")
	if pageOf(t, late.URL) != "register-profile" || late.Values["Display name"] != second.DisplayName {
		t.Fatalf("after another name comes %+v", late)
	}
	q.registers(second, late, "")
	if who := q.signedIn(); who != second.matrixID() {
		t.Errorf("the client is signed in as %s", who)
	}
	second.wantAccount(t, r.h)
}

// mailAway has people register while the mail server does not answer, is down, or wants them to come later: the pages go
// on, and the code comes when the server takes it.
func (r *registrar) mailAway(t *testing.T) {
	for _, trouble := range []struct {
		name        string
		begin, over func()
	}{
		{"hangs", func() { r.mail.Behave("hang") }, func() { r.mail.Behave("") }},
		{"down", r.mail.Stop, r.mail.Start},
		{"greylists", func() { r.mail.Behave("greylist") }, func() {}},
	} {
		t.Run(trouble.name, func(t *testing.T) {
			n := somebody(trouble.name)
			p := r.all.person(t, eyes{})
			trouble.begin()
			defer r.mail.Behave("")
			_, at := p.registers(n, p.begins("create"), "Code from the email")
			trouble.over()
			p.registers(n, at, "")
			if who := p.signedIn(); who != n.matrixID() {
				t.Errorf("the client is signed in as %s", who)
			}
		})
	}
}

// invitation has an operator invite: a link fills the token in, for one account of a name; it is used up then, and one
// that is revoked is good for nothing (CREATE-7).
func (r *registrar) invitation(t *testing.T) {
	changeOptions(t, r.h.Caddy, oauthOptions+r.mail.Option("")+registration("token", "email off"))
	r.h.MustCommand("", "registration-token", "create", "--token", "for-guests", "--uses", "2", "--expires", "7d")
	said := r.h.MustCommand("", "registration-token", "create", "--uses", "1", "--name", "invited")
	link := regexp.MustCompile(regexp.QuoteMeta(r.h.URL) + `\S+`).FindString(said)
	if link == "" {
		t.Fatalf("the command says %q", said)
	}

	n := newcomer{Name: "invited", Password: rand.Text(), DisplayName: "Invited"}
	p := r.all.person(t, eyes{})
	p.judged = true
	at := p.opens(link)
	if at.Values["Invitation"] == "" {
		t.Fatalf("the link leads to %+v", at)
	}
	n.Invitation = at.Values["Invitation"]
	took, last := p.registers(n, at, "")
	if want := []string{"register", "register-password", "register-profile", ""}; !slices.Equal(took, want) {
		t.Errorf("it took %q, and ended at %+v", took, last)
	}
	n.wantAccount(t, r.h)

	late := r.all.person(t, eyes{})
	late.pictured = true
	late.opens(link)
	if at = late.presses("Continue"); at.Alert == "" {
		t.Errorf("an invitation that is used up leads to %+v", at)
	}
	late.looks("register-invitation-refused")

	guest := newcomer{Name: "guest1", Password: rand.Text(), Invitation: "for-guests"}
	r.comes(t, eyes{}, guest, []string{"register", "register-name", "register-password", "register-profile", "consent"}, false)
	if list := r.h.MustCommand("", "registration-token", "list"); !strings.Contains(list, "1 of 2") || strings.Contains(list, "for-guests") {
		t.Errorf("the list says %s", list)
	}
	if again := r.h.MustCommand("", "registration-token", "show", "for-guests"); !strings.Contains(again, "for-guests") {
		t.Errorf("it is shown as %q", again)
	}
	r.h.MustCommand("", "registration-token", "revoke", "for-guests")
	late.types("Invitation", "for-guests")
	if at = late.presses("Continue"); at.Alert == "" {
		t.Errorf("a revoked invitation leads to %+v", at)
	}
}

// approval has accounts wait for an operator, who approves one and rejects another; both hear of it by mail.
func (r *registrar) approval(t *testing.T) {
	changeOptions(t, r.h.Caddy, oauthOptions+r.mail.Option("")+registration("open", "email required\n\tapproval"))
	wanted, refused := somebody("applicant"), somebody("spammer")
	p, q := r.all.person(t, eyes{}), r.all.person(t, eyes{})
	took, at := p.registers(wanted, p.begins("create"), "")
	if took[len(took)-1] != "register-waiting" {
		t.Fatalf("it took %q, and ended at %+v", took, at)
	}
	q.registers(refused, q.begins("create"), "")
	p.pictured = true
	r.h.Login(wanted.Name, wanted.Password, nil).Must(t, http.StatusForbidden)
	if list := r.h.MustCommand("", "registration", "list"); !strings.Contains(list, "applicant") || !strings.Contains(list, "spammer") {
		t.Fatalf("the list lacks somebody: %s", list)
	}
	r.h.MustCommand("", "registration", "approve", "applicant")
	r.h.MustCommand("", "registration", "reject", "spammer")
	r.mail.Await(wanted.Address, "", 1)
	r.mail.Await(refused.Address, "", 1)
	p.looks("register-waiting")
	p.reloads()
	p.looks("register-approved")
	wanted.wantAccount(t, r.h)
	r.h.Login(refused.Name, refused.Password, nil).Must(t, http.StatusForbidden)
	q.pictured = true
	q.reloads()
	q.looks("register-rejected")
	if list := r.h.MustCommand("", "registration", "list"); strings.Contains(list, "applicant") || strings.Contains(list, "spammer") {
		t.Errorf("the list still has somebody: %s", list)
	}
}

// off has a client ask for a new account where nobody can make one: the person can sign in.
func (r *registrar) off(t *testing.T) {
	changeOptions(t, r.h.Caddy, oauthOptions+r.mail.Option(""))
	p := r.all.person(t, eyes{})
	if at := p.begins("create"); !at.has("Username") || !at.has("Password") || slices.Contains(at.Links, "Create an account") {
		t.Errorf("it leads to %+v", at)
	}
	if at := p.opens("/account/register"); at.Code != http.StatusNotFound && !at.has("Password") {
		t.Errorf("the page is %+v", at)
	}
}
