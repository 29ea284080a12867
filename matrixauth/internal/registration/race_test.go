package registration_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// upTo registers up to the last page.
func upTo(v *house.Browser, name string) house.Answer {
	v.House.T.Helper()
	v.Open(house.RegisterPath)
	v.Answer("username", name)
	v.Land().WantPage(v.House.T, http.StatusOK, "Choose a password")
	v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
	v.Land().WantPage(v.House.T, http.StatusOK, "Almost done")
	return v.At
}

// TestOneName: two want one name. One gets it; the other reads so, chooses another, and loses nothing else (CREATE-5).
func TestOneName(t *testing.T) {
	h := house.New(t, house.Registers("open"))
	first, second := h.Browser(), h.Browser()
	upTo(first, "alice")
	upTo(second, "alice")
	first.Answer("display_name", "The First")
	first.Land().WantPage(t, http.StatusOK, "Apps and devices")
	second.Answer("display_name", "The Second")
	second.Land().WantPage(t, http.StatusOK, "Create an account")
	if text := house.Shown(second.At); !strings.Contains(text, "Somebody else took alice a moment ago.") {
		t.Errorf("the page says %s", text)
	}
	if h.Count("users") != 1 {
		t.Error("two accounts have one name")
	}
	second.Answer("username", "alice2")
	second.Land().WantPage(t, http.StatusOK, "Almost done")
	if !strings.Contains(second.At.Body, "The Second") {
		t.Error("the display name is lost")
	}
	second.Answer("display_name", "The Second")
	second.Land().WantPage(t, http.StatusOK, "Apps and devices")
}

// TestManyAtOnce: of many who want one name at the same moment one gets it, and all are answered.
func TestManyAtOnce(t *testing.T) {
	h := house.New(t, house.Registers("open"))
	const number = 6
	browsers := make([]*house.Browser, number)
	for i := range browsers {
		browsers[i] = h.Browser()
		upTo(browsers[i], "alice")
	}
	var wait sync.WaitGroup
	for _, v := range browsers {
		wait.Go(func() { v.Answer("display_name", "") })
	}
	wait.Wait()
	made := 0
	for _, v := range browsers {
		switch v.Land().Heading() {
		case "Apps and devices":
			made++
		case "Create an account":
		default:
			t.Errorf("somebody is at %q", v.At.Heading())
		}
	}
	if made != 1 || h.Count("users") != 1 || h.Count("browser_sessions") != 1 {
		t.Errorf("%d have the name, %d accounts, %d browsers are signed in", made, h.Count("users"), h.Count("browser_sessions"))
	}
}

// TestTwiceByTurns: the second of two forms asks for the name when the account of the first one has it.
func TestTwiceByTurns(t *testing.T) {
	h := house.New(t, house.Registers("open"))
	v := h.Browser()
	page := upTo(v, "alice")
	slow, fast := h.BrowserWith(v.Value()), h.BrowserWith(v.Value())
	slow.At, fast.At = page, page
	var began atomic.Bool
	h.Tap.Watch(func(string) {
		if began.CompareAndSwap(false, true) {
			fast.Answer("display_name", "")
			fast.Land().WantPage(t, http.StatusOK, "Apps and devices")
		}
	}, nil, nil)
	slow.Answer("display_name", "")
	slow.Land().WantPage(t, http.StatusOK, "Apps and devices")
	if h.Count("users") != 1 || h.Count("browser_sessions") != 1 || slow.Value() != fast.Value() {
		t.Errorf("%d accounts and %d browser sessions", h.Count("users"), h.Count("browser_sessions"))
	}
}

// TestTwice: a form that is sent twice makes one account and one browser session, and both answers sign in. What is left of a
// registration signs nobody in later.
func TestTwice(t *testing.T) {
	h := house.New(t, house.Registers("open"))
	v := h.Browser()
	page := upTo(v, "alice")
	old := v.Value()
	twice := []*house.Browser{h.BrowserWith(old), h.BrowserWith(old)}
	var wait sync.WaitGroup
	for _, one := range twice {
		one.At = page
		wait.Go(func() { one.Answer("display_name", "") })
	}
	wait.Wait()
	if twice[0].Value() != twice[1].Value() || twice[0].Value() == old {
		t.Error("the two answers bring different cookies")
	}
	for _, one := range twice {
		one.Land().WantPage(t, http.StatusOK, "Apps and devices")
	}
	if h.Count("users") != 1 || h.Count("browser_sessions") != 1 {
		t.Errorf("%d accounts and %d browser sessions", h.Count("users"), h.Count("browser_sessions"))
	}
	h.Clock.Move(bound.DoubleSubmit + time.Second)
	replay := h.BrowserWith(old)
	replay.At = page
	replay.Answer("display_name", "")
	if replay.Value() != old || h.Count("browser_sessions") != 1 {
		t.Errorf("a registration that is over signs somebody in: %d", replay.At.Status)
	}
}

// TestOtherBrowser: a registration is of no use in another browser, whoever has its address (MAIL-7).
func TestOtherBrowser(t *testing.T) {
	h := house.New(t, house.Registers("open"))
	v := h.Browser()
	action := house.FormAction(upTo(v, "alice").Body)
	before := h.Rows()
	thief := h.Browser()
	thief.Get(house.RegisterPath)
	for _, path := range []string{"name", "password", "profile", "waiting"} {
		_, query, _ := strings.Cut(action, "?")
		thief.Get(house.RegisterPath+"/"+path+"?"+query).WantPage(t, http.StatusNotFound, "Please begin again")
		if strings.Contains(thief.At.Body, "alice") {
			t.Error("the page tells of the registration")
		}
	}
	thief.Submit(action, "display_name", "Mallory").WantPage(t, http.StatusNotFound, "Please begin again")
	// Another site's form is refused, and one without the token of the cookie leads to the page again.
	header := house.SameOriginForm()
	header.Set("Sec-Fetch-Site", "cross-site")
	v.Ask(http.MethodPost, action, house.Form("display_name", "x"), header).WantPage(t, http.StatusForbidden, "Please try again")
	v.Ask(http.MethodPost, action, house.Form("display_name", "x"), house.SameOriginForm())
	v.Land().WantPage(t, http.StatusOK, "Almost done")
	if h.Rows() != before {
		t.Error("something was changed")
	}
}

// TestHomeserverDown: if the homeserver does not answer at the end, nothing is made and nothing lost, over a restart too; the
// same form works later (CREATE-9).
func TestHomeserverDown(t *testing.T) {
	h := house.New(t, house.Registers("open"))
	v := h.Browser()
	upTo(v, "alice")
	h.Fake.Stop()
	v.Answer("display_name", "Alice A.").WantPage(t, http.StatusServiceUnavailable, "Almost done")
	if h.Count("users") != 0 || !strings.Contains(v.At.Body, "Alice A.") || !strings.Contains(house.Shown(v.At), "Nothing that you typed is lost") {
		t.Errorf("the page says %s", house.Shown(v.At))
	}
	h.Crash()
	h.Fake.Resume()
	v.Answer("display_name", "Alice A.")
	v.Land().WantPage(t, http.StatusOK, "Apps and devices")
	if _, ok := h.Fake.User("alice"); !ok {
		t.Error("the homeserver has no such account")
	}
}

// TestNamesOfOthers: names that an account, the homeserver or an application service has are refused when they are typed.
func TestNamesOfOthers(t *testing.T) { // CREATE-5, CREATE-6
	h := house.New(t, house.Registers("open", func(r *matrixauth.Registration) { r.Names.Banned = []string{"Admin"} }))
	h.Add("alice")
	v := h.Browser()
	for name, words := range map[string]string{
		"ALICE": "This name is taken.", "12345": "A name needs more than digits.", "_x": "A name cannot begin with an underscore.",
		"admin": "This name is not given out.", "a b": "A name can have small letters", "@bob:elsewhere.test": "Accounts here end in " + house.ServerName,
	} {
		v.Open(house.RegisterPath)
		v.Answer("username", name)
		if v.At.Status < 400 || v.At.Status >= 500 || !strings.Contains(house.Shown(v.At), words) {
			t.Errorf("%q: %d %s", name, v.At.Status, house.Shown(v.At))
		}
	}
	if h.Count("registrations") != 0 {
		t.Error("a name that was refused is kept")
	}
}

// TestRegistrationIsOff: where nobody can register, every page leads to the sign-in (CREATE-1).
func TestRegistrationIsOff(t *testing.T) {
	h := house.New(t)
	h.Register("app", "")
	v := h.Browser()
	v.Open(house.AuthorizePath+"?"+house.Params("app", "prompt", "create").Encode()).WantPage(t, http.StatusOK, "Sign in")
	if strings.Contains(v.At.Body, house.RegisterPath) || !strings.Contains(house.Shown(v.At), "are made by its operator") {
		t.Errorf("the page says %s", house.Shown(v.At))
	}
	for _, path := range []string{"", "/name", "/password", "/profile", "/waiting", "/invitation"} {
		v.Get(house.RegisterPath+path).WantTo(t, "/account/login")
	}
	v.Submit(house.RegisterPath+"/name", "username", "alice").WantTo(t, "/account/login")
}

// TestSignedIn: who is signed in when an app asks for a new account may go on as who they are, or make one all the same.
func TestSignedIn(t *testing.T) { // CREATE-1
	h := house.New(t, house.Registers("open"))
	h.Add("bob")
	h.Register("app", "")
	v := h.SignedInAs("bob")
	h.Clock.Move(time.Minute)
	v.Open(house.AuthorizePath+"?"+house.Params("app", "prompt", "create").Encode()).WantPage(t, http.StatusOK, "Continue to An App?")
	link := regexp.MustCompile(`href="(/account/register[^"]*)"`).FindStringSubmatch(v.At.Body)
	if link == nil {
		t.Fatal("no way leads to a new account")
	}
	v.Open(link[1]).WantPage(t, http.StatusOK, "Create an account")
	if !strings.Contains(house.Shown(v.At), "You are signed in as @bob:"+house.ServerName) {
		t.Errorf("the page says %s", house.Shown(v.At))
	}
	v.Answer("username", "alice")
	v.Land()
	v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
	v.Land()
	h.Clock.Move(time.Minute)
	v.Answer("display_name", "")
	v.Land().WantPage(t, http.StatusOK, "Continue to An App?")
	if text := house.Shown(v.At); !strings.Contains(text, "@alice:"+house.ServerName) || strings.Contains(v.At.Body, "/account/register") {
		t.Errorf("the page says %s", text)
	}
}

// TestTerms: terms are accepted by their version, which the account keeps (CREATE-7).
func TestTerms(t *testing.T) {
	h := house.New(t, house.Registers("open", func(r *matrixauth.Registration) { r.Terms = []string{"https://example.test/terms", "2026-11"} }))
	v := h.Browser()
	v.Open(house.RegisterPath)
	v.Answer("username", "alice")
	v.Land()
	v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
	v.Land().WantPage(t, http.StatusOK, "Terms of service")
	v.Answer().WantPage(t, http.StatusBadRequest, "Terms of service")
	v.Answer("terms", "2025-01").WantPage(t, http.StatusBadRequest, "Terms of service")
	v.Answer("terms", "2026-11")
	v.Land().WantPage(t, http.StatusOK, "Almost done")
	v.Answer("display_name", "")
	v.Land().WantPage(t, http.StatusOK, "Apps and devices")
	if h.Count("accepted_terms WHERE version = '2026-11'") != 1 {
		t.Error("the version is not kept")
	}
	shown := house.Act(h, matrixauth.ShowUser, matrixauth.Name{User: "alice"})
	if len(shown.Terms) != 1 || shown.Terms[0].Version != "2026-11" {
		t.Errorf("the account is shown as %+v", shown)
	}
}

// TestInvitation: who has a token gets in, as often as it says, with the name that it fixes (CREATE-7).
func TestInvitation(t *testing.T) {
	h := house.New(t, house.Registers("token"))
	create := func(n matrixauth.NewInvitation) matrixauth.Invitation {
		made := house.Act(h, matrixauth.CreateInvitation, n)
		h.Secret(made.Token)
		return made
	}
	one := create(matrixauth.NewInvitation{Uses: 1})
	if !strings.HasPrefix(one.Link, "https://matrix.example.test/account/register?token=") {
		t.Errorf("the link is %s", one.Link)
	}
	use := func(v *house.Browser, link string) house.Answer {
		v.Open(link).WantPage(t, http.StatusOK, "Create an account")
		v.Answer("token", house.Hidden(strings.ReplaceAll(v.At.Body, `type="text" `, ""), "token"))
		return v.Land()
	}
	rest := func(v *house.Browser, name string) house.Answer {
		if name != "" {
			v.Answer("username", name)
			v.Land()
		}
		v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
		v.Land().WantPage(t, http.StatusOK, "Almost done")
		return v.At
	}
	t.Run("without one nobody gets anywhere", func(t *testing.T) {
		v := h.Browser()
		v.Open(house.RegisterPath)
		v.Submit(house.RegisterPath+"/name", "username", "mallory").WantTo(t, "/account/register")
		for _, guess := range []string{"", "x", "a b", strings.Repeat("a", 65), one.Token + "x", "' OR 1=1"} {
			v.Submit(house.RegisterPath+"/invitation", "token", guess)
			if v.At.Status != http.StatusForbidden {
				t.Errorf("%q: %d", guess, v.At.Status)
			}
		}
		if h.Count("registrations") != 0 {
			t.Error("something is kept")
		}
	})
	h.Clock.Move(10 * time.Minute)
	t.Run("one use is one account", func(t *testing.T) {
		first, second := h.Browser(), h.Browser()
		use(first, one.Link)
		use(second, one.Link)
		rest(first, "alice")
		rest(second, "bob")
		first.Answer("display_name", "")
		first.Land().WantPage(t, http.StatusOK, "Apps and devices")
		second.Answer("display_name", "")
		second.Land().WantPage(t, http.StatusOK, "Create an account")
		if !strings.Contains(house.Shown(second.At), "This invitation is not valid") || h.Count("users") != 1 {
			t.Errorf("the page says %s, and there are %d accounts", house.Shown(second.At), h.Count("users"))
		}
		// Another invitation goes on where they were.
		another := create(matrixauth.NewInvitation{Uses: 1})
		second.Answer("token", another.Token)
		second.Land().WantPage(t, http.StatusOK, "Almost done")
		second.Answer("display_name", "")
		second.Land().WantPage(t, http.StatusOK, "Apps and devices")
	})
	h.Clock.Move(10 * time.Minute)
	t.Run("a name that is fixed", func(t *testing.T) {
		fixed := create(matrixauth.NewInvitation{Uses: 1, Localpart: "carol"})
		v := h.Browser()
		use(v, fixed.Link).WantPage(t, http.StatusOK, "Choose a password")
		v.Submit(strings.Replace(house.FormAction(v.At.Body), "/password", "/name", 1), "username", "mallory")
		v.Land().WantPage(t, http.StatusOK, "Choose a password")
		rest(v, "")
		v.Answer("display_name", "")
		v.Land().WantPage(t, http.StatusOK, "Apps and devices")
		if h.UserID("carol") == "" {
			t.Error("the account has another name")
		}
	})
	h.Clock.Move(10 * time.Minute)
	t.Run("over, revoked", func(t *testing.T) {
		short := create(matrixauth.NewInvitation{Uses: 5, Life: time.Minute})
		revoked := create(matrixauth.NewInvitation{})
		house.Act(h, matrixauth.RevokeInvitation, matrixauth.InvitationRef{Token: revoked.ID})
		h.Clock.Move(time.Minute)
		v := h.Browser()
		v.Open(house.RegisterPath)
		for _, token := range []string{short.Token, revoked.Token} {
			v.Submit(house.RegisterPath+"/invitation", "token", token)
			if v.At.Status != http.StatusForbidden {
				t.Errorf("it lets somebody in: %d", v.At.Status)
			}
		}
		states := map[string]bool{}
		for _, listed := range house.Act(h, matrixauth.ListInvitations, matrixauth.InvitationQuery{}).Tokens {
			states[listed.State] = true
		}
		if !states["expired"] || !states["revoked"] || !states["used"] {
			t.Errorf("they are listed as %v", states)
		}
	})
	shown := house.Act(h, matrixauth.ShowInvitation, matrixauth.InvitationRef{Token: one.ID})
	if shown.Token != one.Token || shown.Link != one.Link {
		t.Error("it is shown otherwise than it was made")
	}
	if strings.Contains(h.Rows(), one.Token) {
		t.Error("a copy of the database has the token")
	}
}

// TestApproval: an account waits, with its name, until an operator decides, and the person is told.
func TestApproval(t *testing.T) {
	h := house.New(t, house.WithMail, house.Registers("open", func(r *matrixauth.Registration) { r.Approval, r.Email = true, "required" }))
	ask := func(name, address string) *house.Browser {
		v := h.Browser()
		v.Open(house.RegisterPath)
		v.Answer("username", name)
		v.Land().WantPage(t, http.StatusOK, "Your email address")
		v.Answer("email", address)
		v.Land().WantPage(t, http.StatusOK, "Look into your mailbox")
		h.Pass()
		v.Answer("code", codeTo(h, address))
		v.Land().WantPage(t, http.StatusOK, "Choose a password")
		v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
		v.Land().WantPage(t, http.StatusOK, "Almost done")
		v.Answer("display_name", "A Name")
		v.Land().WantPage(t, http.StatusOK, "Your account waits")
		return v
	}
	v, w := ask("alice", "alice@example.org"), ask("bob", "bob@example.org")
	if h.Count("users") != 0 {
		t.Fatal("an account was made")
	}
	h.Crash()
	waiting := house.Act(h, matrixauth.ListRegistrations, matrixauth.RegistrationQuery{}).Registrations
	if len(waiting) != 2 || waiting[0].Email != "alice@example.org" || waiting[0].IP != house.OfficeIP {
		t.Errorf("they are listed as %+v", waiting)
	}
	other := h.Browser()
	other.Open(house.RegisterPath)
	other.Answer("username", "alice")
	if !strings.Contains(house.Shown(other.At), "This name is taken") {
		t.Error("the name is not reserved")
	}
	house.Act(h, matrixauth.ApproveRegistration, matrixauth.Name{User: "@alice:" + house.ServerName})
	house.Act(h, matrixauth.RejectRegistration, matrixauth.Name{User: "bob"})
	h.Pass()
	for address, words := range map[string]string{"alice@example.org": "is ready", "bob@example.org": "was not made"} {
		mails := h.Mails.To(address)
		if last := mails[len(mails)-1]; !strings.Contains(last.Subject, words) {
			t.Errorf("%s was told %q", address, last.Subject)
		}
	}
	v.Open(v.Where).WantPage(t, http.StatusOK, "Your account is ready")
	w.Open(w.Where).WantPage(t, http.StatusOK, "Your account was not made")
	v.Get("/account/login")
	v.Post("/account/login", "username", "alice", "password", house.NewPassword).WantTo(t, "/account/")
	if _, err := matrixauth.ApproveRegistration.Do(context.Background(), h.Ops, matrixauth.Name{User: "bob"}); err == nil {
		t.Error("who was rejected is approved")
	}
	if user := house.Act(h, matrixauth.ShowUser, matrixauth.Name{User: "alice"}); len(user.Emails) != 1 {
		t.Errorf("the account is %+v", user)
	}
	if _, ok := h.Fake.User("alice"); !ok {
		t.Error("the homeserver has no such account")
	}
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

func codeTo(h *house.House, address string) string {
	mails := h.Mails.To(address)
	if len(mails) == 0 {
		h.T.Fatalf("no mail went to %s", address)
	}
	return sixDigits.FindString(mails[len(mails)-1].Text)
}
