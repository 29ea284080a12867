package account_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

const (
	recoverPath = "/account/recover"
	sentPath    = "/account/recover/sent"
	forgotten   = "Forgot your password?"
	lookAtMail  = "Look at your mail"
	alicesMail  = "alice@example.org"
)

// recoveryHouse sends mails, and has accounts in all states with addresses.
func recoveryHouse(t *testing.T, changes ...house.Change) *house.House {
	t.Helper()
	h := house.New(t, append([]house.Change{house.Unlimited, house.WithMail}, changes...)...)
	h.Add("alice", "bob", "gone", "locked", "nomail")
	house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "nopass", Email: "nopass@example.org"})
	for user, addresses := range map[string][]string{"alice": {alicesMail, "alice@work.example"}, "gone": {"gone@example.org"}, "locked": {"locked@example.org"}} {
		for _, address := range addresses {
			house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: user}, Email: address})
			h.Clock.Move(time.Second)
		}
	}
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "gone"}})
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "locked"})
	h.Settle()
	h.Clock.Move(time.Hour)
	h.Mails.Forget()
	return h
}

// ask asks for a link in a new browser, and returns the browser.
func ask(h *house.House, typed string) *house.Browser {
	h.T.Helper()
	b := h.Browser()
	b.Get(recoverPath).WantPage(h.T, http.StatusOK, forgotten)
	b.Post(recoverPath, "username", typed).WantTo(h.T, sentPath)
	return b
}

var linkInMail = regexp.MustCompile(`https://\S+/account/recover/password\?ticket=([0-9A-Za-z]+)`)

// linkIn finds the link in a mail, whose ticket the log must not show.
func linkIn(h *house.House, m mail.Message) (link, ticket string) {
	h.T.Helper()
	found := linkInMail.FindStringSubmatch(m.Text)
	if found == nil {
		h.T.Fatalf("no link in %s", m.Text)
	}
	h.KeepSecret(found[1])
	return found[0], found[1]
}

// TestRecovery: whoever forgot their password gets a link to a proven address, and sets a new one by it.
func TestRecovery(t *testing.T) {
	t.Run("from the sign-in page to a new password", func(t *testing.T) {
		h := recoveryHouse(t)
		b := h.Browser()
		b.Get("/account/login?action=org.matrix.cross_signing_reset").WantPage(t, http.StatusOK, "Sign in")
		if !strings.Contains(b.At.Body, `href="/account/recover?action=org.matrix.cross_signing_reset"`) {
			t.Fatalf("the sign-in page does not lead here: %s", b.At.Body)
		}
		b.Get("/account/recover?action=org.matrix.cross_signing_reset").WantPage(t, http.StatusOK, forgotten)
		b.Post("/account/recover?action=org.matrix.cross_signing_reset", "username", " Alice@Example.ORG ").WantTo(t, sentPath+"?action=org.matrix.cross_signing_reset")
		b.Follow().WantPage(t, http.StatusOK, lookAtMail)
		if !strings.Contains(b.At.Body, `href="/account/login?action=org.matrix.cross_signing_reset"`) {
			t.Errorf("the way back is lost: %s", b.At.Body)
		}
		m := h.LastMail(alicesMail)
		if len(h.Mails.All()) != 1 || !strings.Contains(m.Text, "30 minutes") || !strings.Contains(m.Text, "@alice:"+house.ServerName) {
			t.Errorf("got %+v", h.Mails.All())
		}
		link, ticket := linkIn(h, m)
		if !strings.HasPrefix(link, house.Issuer) || !strings.Contains(m.HTML, ticket) { // MAIL-4
			t.Errorf("the link is %s", link)
		}
		phone := h.Browser() // the mail is opened elsewhere
		phone.Get(link).WantPage(t, http.StatusOK, choosePassword)
		phone.Post(newPasswordPath, "ticket", ticket, "password", anotherPassword)
		phone.Follow().WantPage(t, http.StatusOK, passwordChanged)
		wantSignsInBy(h, "alice", anotherPassword)
		h.Pass()
		for _, address := range []string{alicesMail, "alice@work.example"} { // MAIL-5
			if !slices.ContainsFunc(h.Mails.To(address), func(m mail.Message) bool { return strings.Contains(m.Subject, "password was changed") }) {
				t.Errorf("%s was told %+v", address, h.Mails.To(address))
			}
		}
	})
	t.Run("in the language of the page", func(t *testing.T) {
		h := recoveryHouse(t)
		b := h.Browser()
		b.Language = "de"
		b.Get(recoverPath)
		b.Post(recoverPath, "username", "alice")
		if m := h.LastMail(alicesMail); m.Language != "de" || !strings.Contains(m.Text, "30 Minuten") {
			t.Errorf("got %+v", m)
		}
		linkIn(h, h.LastMail(alicesMail))
	})
	t.Run("a name gets the link to the address for recovery, an address to itself as it was proven", func(t *testing.T) { // MAIL-9
		h := recoveryHouse(t)
		for typed, want := range map[string]string{
			"alice": alicesMail, "@alice:" + house.ServerName: alicesMail, "ALICE": alicesMail,
			"alice@work.example": "alice@work.example", "ALICE@WORK.EXAMPLE": "alice@work.example",
			// Its key is that of alice's address, and the mailbox may be a stranger's.
			"al\u0131ce@example.org": "", "ALİCE@example.org": "", "alice@e\uff58ample.org": alicesMail,
		} {
			h.Mails.Forget()
			h.Clock.Move(2 * time.Hour)
			ask(h, typed)
			h.Pass()
			all := h.Mails.All()
			if want == "" && len(all) != 0 || want != "" && (len(all) != 1 || all[0].To != want) {
				t.Errorf("%q sent %+v, want one to %q", typed, all, want)
			}
			for _, m := range all {
				linkIn(h, m)
			}
		}
	})
	t.Run("an account without a password gets its first one", func(t *testing.T) { // MAIL-6
		h := recoveryHouse(t)
		ask(h, "nopass@example.org")
		link, ticket := linkIn(h, h.LastMail("nopass@example.org"))
		b := h.Browser()
		b.Get(link)
		b.Post(newPasswordPath, "ticket", ticket, "password", anotherPassword)
		wantSignsInBy(h, "nopass", anotherPassword)
	})
	t.Run("nobody gets a mail without an account that may act and an address", func(t *testing.T) { // MAIL-6
		h := recoveryHouse(t)
		for _, typed := range []string{"gone", "gone@example.org", "locked", "locked@example.org", "nomail", "nobody", "nobody@example.org", "@alice:elsewhere.test", "' OR 1=1", "a\r\nBcc: b@example.org", "<script>"} {
			ask(h, typed)
		}
		h.Settle()
		if all := h.Mails.All(); len(all) != 0 || h.Count("recoveries") != 0 {
			t.Errorf("%d recoveries are kept, sent were %+v", h.Count("recoveries"), all)
		}
	})
	t.Run("links come from the configuration, whatever host a request names", func(t *testing.T) { // MAIL-4, HTTP-2
		h := recoveryHouse(t)
		b := h.Browser()
		b.Get(recoverPath)
		b.Ask(http.MethodPost, recoverPath, house.Form("csrf", b.Token(), "username", "alice"), http.Header{
			"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}, "X-Forwarded-Host": {"evil.example"}, "Forwarded": {"host=evil.example"}, "X-Forwarded-Proto": {"http"},
		})
		link, _ := linkIn(h, h.LastMail(alicesMail))
		if !strings.HasPrefix(link, house.Issuer) {
			t.Errorf("the link is %s", link)
		}
	})
	t.Run("a copy of the database gives no link away", func(t *testing.T) {
		h := recoveryHouse(t)
		h.Mails.Failing(func(mail.Message) error { return errors.New("come back later") })
		ask(h, "alice")
		h.Pass()
		rows := h.Rows()
		if strings.Contains(rows, "recover/password") || !strings.Contains(rows, "recoveries") {
			t.Errorf("the rows are %s", rows)
		}
		h.Mails.Failing(nil)
		h.Clock.Move(time.Hour)
		_, ticket := linkIn(h, h.LastMail(alicesMail))
		if strings.Contains(rows, ticket) || strings.Contains(h.Rows(), ticket) {
			t.Error("the ticket stood in the database")
		}
	})
	t.Run("off, or without mail, it is not offered", func(t *testing.T) {
		for name, changes := range map[string][]house.Change{
			"without mail": {house.Unlimited}, "off": {house.Unlimited, house.WithMail, func(c *matrixauth.Config) { c.Recovery = matrixauth.RecoveryOff }},
		} {
			h := house.New(t, changes...)
			h.Add("alice")
			b := h.Browser()
			if b.Get("/account/login"); strings.Contains(b.At.Body, "recover") {
				t.Errorf("%s: the sign-in page offers it", name)
			}
			for _, path := range []string{recoverPath, sentPath} {
				b.Get(path).WantPage(t, http.StatusNotFound, "Page not found")
			}
			b.Submit(recoverPath, "username", "alice").WantPage(t, http.StatusNotFound, "Page not found")
			link, _ := recoveryLink(h, "alice") // an operator's links work all the same
			b.Get(link).WantPage(t, http.StatusOK, choosePassword)
		}
	})
}

// TestRecoveryTimes: a link is good for half an hour from when the mail server took it, a request waits for hours, and
// the newest link counts (MAIL-2).
func TestRecoveryTimes(t *testing.T) {
	t.Run("the time begins when the mail server has the mail", func(t *testing.T) {
		h := recoveryHouse(t)
		h.Mails.Failing(func(mail.Message) error { return errors.New("greylisted") })
		ask(h, "alice")
		h.Pass()
		h.Clock.Move(2 * time.Hour)
		h.Mails.Failing(nil)
		link, _ := linkIn(h, h.LastMail(alicesMail))
		h.Clock.Move(bound.RecoveryLife - time.Second)
		h.Browser().Get(link).WantPage(t, http.StatusOK, choosePassword)
		h.Clock.Move(time.Second)
		b := h.Browser()
		b.Get(link).WantPage(t, http.StatusNotFound, linkOver)
		if !strings.Contains(b.At.Body, `href="/account/recover"`) {
			t.Errorf("no other one is offered: %s", b.At.Body)
		}
	})
	t.Run("nobody is sent an old request", func(t *testing.T) {
		h := recoveryHouse(t)
		h.Mails.Failing(func(mail.Message) error { return errors.New("down") })
		ask(h, "alice")
		h.Pass()
		h.Clock.Move(bound.RecoveryWait)
		h.Mails.Failing(nil)
		h.Settle()
		if all := h.Mails.All(); len(all) != 0 {
			t.Errorf("sent were %+v", all)
		}
	})
	t.Run("a request makes an operator's link no worse: anybody can ask", func(t *testing.T) {
		h := recoveryHouse(t)
		given, _ := recoveryLink(h, "alice")
		for _, typed := range []string{"alice", alicesMail} {
			ask(h, typed)
			h.Pass()
			h.Clock.Move(time.Minute)
		}
		h.Browser().Get(given).WantPage(t, http.StatusOK, choosePassword)
		link, ticket := linkIn(h, h.LastMail(alicesMail))
		b := h.Browser()
		b.Get(link)
		b.Post(newPasswordPath, "ticket", ticket, "password", anotherPassword)
		b.Follow().WantPage(t, http.StatusOK, passwordChanged)
		h.Browser().Get(given).WantPage(t, http.StatusNotFound, linkOver)
	})
	t.Run("a later request makes the earlier link worthless, whatever the order of the mails", func(t *testing.T) {
		h := recoveryHouse(t)
		ask(h, "alice")
		first, _ := linkIn(h, h.LastMail(alicesMail))
		h.Clock.Move(time.Minute)
		ask(h, "alice@work.example")
		second, _ := linkIn(h, h.LastMail("alice@work.example"))
		h.Browser().Get(first).WantPage(t, http.StatusNotFound, linkOver)
		h.Browser().Get(second).WantPage(t, http.StatusOK, choosePassword)
	})
	t.Run("what waits is worthless once the password is changed or the address removed", func(t *testing.T) {
		alice := matrixauth.Name{User: "alice"}
		for name, change := range map[string]func(h *house.House){
			"password": func(h *house.House) {
				house.Act(h, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: alice, Password: anotherPassword})
			},
			"address": func(h *house.House) {
				house.Act(h, matrixauth.RemoveEmail, matrixauth.NameAndEmail{Name: alice, Email: alicesMail})
			},
			"lock": func(h *house.House) { house.Act(h, matrixauth.LockUser, alice) },
		} {
			for when, before := range map[string]func(h *house.House){"looked up": func(h *house.House) { h.Pass() }, "not looked up": func(*house.House) {}} {
				h := recoveryHouse(t)
				h.Mails.Failing(func(mail.Message) error { return errors.New("down") })
				ask(h, alicesMail)
				before(h)
				h.Clock.Move(time.Minute)
				change(h)
				h.Mails.Failing(nil)
				h.Settle()
				for _, m := range h.Mails.All() {
					if linkInMail.MatchString(m.Text) {
						t.Errorf("%s, %s: sent was %+v", name, when, m)
					}
				}
			}
		}
	})
}

// TestRecoveryLimits: what sends mail is limited, the same whether there is an account or not (MAIL-12, ENUM-5).
func TestRecoveryLimits(t *testing.T) {
	t.Run("by address", func(t *testing.T) {
		for _, typed := range []string{alicesMail, "nobody@example.org", "alice", "nobody"} {
			h := recoveryHouse(t)
			n := 0
			for ; n < 50; n++ {
				b := h.Browser()
				b.IP = fmt.Sprintf("203.0.113.%d", n)
				b.Get(recoverPath)
				if b.Post(recoverPath, "username", typed); b.At.Status == http.StatusTooManyRequests {
					b.At.WantPage(t, http.StatusTooManyRequests, forgotten)
					if b.At.Header.Get("Retry-After") == "" || !strings.Contains(b.At.Body, "Too many links") {
						t.Errorf("the page is %s", b.At.Body)
					}
					break
				}
			}
			if n != bound.MailsPerAddress.Burst {
				t.Errorf("%q was refused after %d", typed, n)
			}
			h.Pass()
			for _, m := range h.Mails.All() {
				linkIn(h, m)
			}
		}
	})
	t.Run("by account, whichever way it is named, and in silence", func(t *testing.T) {
		h := recoveryHouse(t)
		for i, typed := range []string{"alice", alicesMail, "alice@work.example", "@alice:" + house.ServerName} {
			for n := range bound.RecoveriesPerHour {
				b := h.Browser()
				b.IP = fmt.Sprintf("203.0.%d.%d", i, n)
				b.Get(recoverPath)
				b.Post(recoverPath, "username", typed)
				h.Clock.Move(time.Second)
				h.Pass()
			}
		}
		all := h.Mails.All()
		for _, m := range all {
			linkIn(h, m)
		}
		if len(all) > bound.RecoveriesPerHour {
			t.Errorf("%d mails were sent", len(all))
		}
		newest, _ := linkIn(h, all[len(all)-1])
		h.Browser().Get(newest).WantPage(t, http.StatusOK, choosePassword) // who was not asked does not shut anybody out
	})
	t.Run("what is no request", func(t *testing.T) {
		h := recoveryHouse(t)
		b := h.Browser()
		b.Get(recoverPath)
		for _, typed := range []string{"", "  ", strings.Repeat("a", bound.Identifier+1)} {
			b.Post(recoverPath, "username", typed).WantPage(t, http.StatusBadRequest, forgotten)
		}
		b.Ask(http.MethodPost, recoverPath, house.Form("username", "alice"), house.SameOriginForm()).WantTo(t, recoverPath+"?stale=1")
		b.Follow().WantPage(t, http.StatusOK, forgotten)
		b.Ask(http.MethodPost, recoverPath, house.Form("username", "alice", "csrf", b.Token()), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"cross-site"}})
		if b.At.Status != http.StatusForbidden {
			t.Errorf("a form of another site gave %d", b.At.Status)
		}
		if h.Count("recoveries") != 0 || h.Waiting() != 0 {
			t.Error("something was asked for")
		}
	})
}

// TestRecoveryEqualCost: asking for a link costs and answers the same whether or not there is an account (ENUM-1, MAIL-1).
func TestRecoveryEqualCost(t *testing.T) {
	h := recoveryHouse(t, func(c *matrixauth.Config) {})
	b := ask(h, "nobody") // the first one notes that something is sealed
	h.Settle()
	b.Get(recoverPath)
	var first *house.Answer
	var want house.Cost
	for n, typed := range []string{
		"alice", "nobody2", "@alice:" + house.ServerName, "@nobody:" + house.ServerName, "@alice:elsewhere.test", alicesMail, "nobody@example.org", "nomail", "gone", "gone@example.org",
		"locked", "locked@example.org", "nopass", "nopass@example.org", "' \r\n", "ALICE@WORK.example",
	} {
		rows := h.Count("recoveries") + h.Count("outbox")
		a, spent := h.Measure(house.Call{
			Method: http.MethodPost, Path: recoverPath, Body: house.Form("csrf", b.Token(), "username", typed), IP: fmt.Sprintf("203.0.113.%d", n),
			Header: headers(house.SameOriginForm(), b.CookieHeader()),
		})
		a.Header.Del("Date")
		if first == nil {
			first, want = &a, spent
			if spent.Hashes != 0 || spent.Statements == 0 || a.Status != http.StatusSeeOther {
				t.Fatalf("it cost %+v and gave %d %s", spent, a.Status, a.Body)
			}
		}
		if spent != want {
			t.Errorf("%q cost %+v, want %+v", typed, spent, want)
		}
		if a.Status != first.Status || a.Body != first.Body || !maps.EqualFunc(a.Header, first.Header, func(x, y []string) bool { return strings.Join(x, "\n") == strings.Join(y, "\n") }) {
			t.Errorf("%q gave %d %v %s, want %d %v", typed, a.Status, a.Header, a.Body, first.Status, first.Header)
		}
		if now := h.Count("recoveries") + h.Count("outbox"); now != rows+2 { // a job and a row, whoever it is
			t.Errorf("%q left %d rows", typed, now-rows)
		}
	}
	h.Settle()
	for _, m := range h.Mails.All() {
		linkIn(h, m)
	}
}

// headers are headers put together.
func headers(all ...http.Header) http.Header {
	together := http.Header{}
	for _, h := range all {
		maps.Copy(together, h)
	}
	return together
}

// TestRecoveryCrash: a mail is sent after a crash too, and a mail that was sent is not sent again but where the crash came
// between the mail server's word and its note: then the link is the same.
func TestRecoveryCrash(t *testing.T) {
	h := recoveryHouse(t)
	ask(h, "alice")
	h.Crash()
	link, ticket := linkIn(h, h.LastMail(alicesMail))
	h.Crash()
	h.Settle()
	if all := h.Mails.To(alicesMail); len(all) != 1 {
		t.Errorf("%d mails were sent", len(all))
	}
	b := h.Browser()
	b.Get(link)
	b.Post(newPasswordPath, "ticket", ticket, "password", anotherPassword)
	h.Crash()
	wantSignsInBy(h, "alice", anotherPassword)
	h.Browser().Get(link).WantPage(t, http.StatusNotFound, linkOver)
	if u, err := url.Parse(link); err != nil || u.Query().Get("ticket") != ticket {
		t.Errorf("%s: %v", link, err)
	}
}
