package notify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// told checks how many mails the holder got since the last look, and returns the last one.
func told(t *testing.T, h *house.House, what string, want int) (last mail.Message) {
	t.Helper()
	h.Pass()
	all := h.Mails.All()
	h.Mails.Forget()
	if len(all) != want {
		t.Errorf("%s: %d mails, want %d: %+v", what, len(all), want, all)
	}
	if len(all) > 0 {
		last = all[len(all)-1]
	}
	return last
}

func newHouse(t *testing.T) *house.House {
	h := house.New(t, house.Unlimited, house.WithMail)
	h.Add("alice")
	addEmail(h, "alice", "alice@example.org")
	return h
}

// TestBrowserNotices: a sign-in is told in a browser that is new, not at the first of all, and not again where the account
// is known. The mail is in the language of the page, and names the browser by our words alone (MAIL-11).
func TestBrowserNotices(t *testing.T) {
	h := newHouse(t)
	first := h.Browser()
	first.SignIn("alice", "")
	told(t, h, "the first sign-in", 0)
	delete(first.Cookies, house.CookieName) // and what stays is the device cookie
	first.SignIn("alice", "")
	told(t, h, "again in that browser", 0)
	second := h.Browser()
	second.Language = "de"
	second.Get("/account/login")
	second.Post("/account/login", "username", "alice", "password", house.AlicesPassword).WantTo(t, "/account/")
	if m := told(t, h, "another browser", 1); m.Language != "de" || !strings.Contains(m.Text, "Firefox, Linux") || !strings.Contains(m.Text, house.Issuer+"account/") {
		t.Errorf("%+v", m)
	}
	// The language is remembered for what has no page.
	house.Act(h, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: matrixauth.Name{User: "alice"}, Password: "another staple of horses"})
	if m := told(t, h, "a new password", 1); m.Language != "de" || !strings.Contains(m.Subject, "Passwort") {
		t.Errorf("%+v", m)
	}
}

// TestAppNotices: an app is told that the account had not before, unless it is part of a sign-in in a browser that was told.
func TestAppNotices(t *testing.T) {
	t.Run("legacy", func(t *testing.T) {
		h := newHouse(t)
		h.LoginOn("alice", "ONE")
		told(t, h, "the first sign-in", 0)
		h.LoginOn("alice", "ONE")
		told(t, h, "the same device", 0)
		h.LoginOn("alice", "TWO")
		told(t, h, "the same program from the same network", 0)
		h.Do(house.Call{Method: "POST", Path: "/_matrix/client/v3/login", Body: house.LoginBody("alice", house.AlicesPassword, nil), IP: "198.51.100.7"}).WantStatus(t, 200)
		if m := told(t, h, "from another network", 1); !strings.Contains(m.Text, "An app") {
			t.Errorf("%+v", m)
		}
	})
	t.Run("oauth", func(t *testing.T) {
		h := newHouse(t)
		known := h.Browser()
		known.SignIn("alice", "")
		one, two, three := h.Register("01JONE", ""), h.Register("01JTWO", ""), h.Register("01JTHREE", "")
		approve := func(b *house.Browser, client, device string) {
			t.Helper()
			h.Tokens(h.Exchange(client, b.Consent(house.Params(client, "scope", "urn:matrix:client:api:* urn:matrix:client:device:"+device))))
		}
		approve(known, one, "AAAAAAAAAA")
		told(t, h, "the app of the first sign-in", 0)
		h.Clock.Move(bound.NoticeQuiet + time.Minute)
		approve(known, one, "BBBBBBBBBB")
		told(t, h, "the same app on another device", 0)
		approve(known, two, "CCCCCCCCCC")
		told(t, h, "another app in a known browser", 1)
		fresh := h.Browser()
		fresh.SignIn("alice", "")
		approve(fresh, three, "DDDDDDDDDD")
		told(t, h, "a new browser and its app", 1)
		house.Act(h, matrixauth.IssueToken, matrixauth.NewToken{Name: matrixauth.Name{User: "alice"}})
		told(t, h, "a token of an operator", 0)
	})
}

// TestNoticesOfTheDomain: each change is told, to the addresses of before and after (MAIL-8).
func TestNoticesOfTheDomain(t *testing.T) {
	h := newHouse(t)
	name := matrixauth.Name{User: "alice"}
	house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: name, Email: "alice@work.example"})
	told(t, h, "an address was added", 2)
	house.Act(h, matrixauth.RemoveEmail, matrixauth.NameAndEmail{Name: name, Email: "alice@work.example"})
	told(t, h, "an address was removed", 2)
	house.Act(h, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: name, Password: "another staple of horses"})
	told(t, h, "the password was changed", 1)
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: name})
	told(t, h, "the account was deactivated", 1)
}

// TestNoticesWaitBounded: while no server takes mails, those about sign-ins do not pile up, and the others are written down
// all the same.
func TestNoticesWaitBounded(t *testing.T) {
	h := newHouse(t)
	h.Mails.Failing(func(mail.Message) error { return &net{} })
	h.Browser().SignIn("alice", "")
	for range bound.NoticesWaiting + 10 {
		h.Browser().SignIn("alice", "")
	}
	if waiting := h.Waiting(); waiting != bound.NoticesWaiting {
		t.Errorf("%d mails wait", waiting)
	}
	house.Act(h, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: matrixauth.Name{User: "alice"}, Password: "another staple of horses"})
	h.Mails.Failing(nil)
	h.Settle()
	passwords := 0
	for _, m := range h.Mails.All() {
		if strings.Contains(m.Subject, "password") {
			passwords++
		}
	}
	if passwords != 1 {
		t.Errorf("the new password was told %d times", passwords)
	}
}

// net is a failure that passes.
type net struct{}

func (*net) Error() string { return "the network is down" }
