package account_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

const (
	newPasswordPath = "/account/recover/password"
	choosePassword  = "Choose a new password"
	linkOver        = "This link does not work any more"
	passwordChanged = "Your password is changed"
	// anotherPassword is what people choose in these tests.
	anotherPassword = "staple-gun-orbit-71-fjord"
)

// recoveryLink has an operator make a link for recovery, and returns its ticket too.
func recoveryLink(h *house.House, localpart string) (link, ticket string) {
	h.T.Helper()
	made := house.Act(h, matrixauth.IssueRecoveryLink, matrixauth.NewRecoveryLink{Name: matrixauth.Name{User: localpart}})
	u, err := url.Parse(made.URL)
	h.Must(err)
	h.KeepSecret(u.Query().Get("ticket"))
	return made.URL, u.Query().Get("ticket")
}

// wantSignsInBy checks with which of two passwords an account signs in.
func wantSignsInBy(h *house.House, localpart, want string) {
	h.T.Helper()
	for _, clear := range []string{house.AlicesPassword, anotherPassword} {
		status := http.StatusForbidden
		if clear == want {
			status = http.StatusOK
		}
		a := h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody(localpart, clear, nil)})
		if a.Status != status {
			h.T.Fatalf("a login with %q gave %d %s", clear, a.Status, a.Body)
		}
		if status == http.StatusOK {
			h.Logout(h.SignedIn(a).AccessToken)
		}
	}
}

// TestRecoveryLink: a link sets a new password once, and nothing but the form uses it up (MAIL-2, MAIL-3, MAIL-5).
func TestRecoveryLink(t *testing.T) {
	t.Run("MAIL-3 opening it changes nothing, however often", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		link, _ := recoveryLink(h, "alice")
		before := h.Rows()
		for range 20 {
			h.Browser().Get(link).WantPage(t, http.StatusOK, choosePassword)
			if a := h.Browser().Ask(http.MethodHead, link, "", nil); a.Status != http.StatusOK || a.Header.Get("Referrer-Policy") != "no-referrer" {
				t.Fatalf("HEAD gave %d", a.Status)
			}
		}
		if h.Rows() != before {
			t.Error("looking at the page changed something")
		}
		wantSignsInBy(h, "alice", house.AlicesPassword)
	})
	t.Run("MAIL-5 sets the password, ends browsers, leaves apps, and signs nobody in", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice", "bob")
		phone := h.LoginOn("alice", "PHONE")
		elsewhere, b := h.Browser(), h.Browser()
		elsewhere.SignIn("alice", "")
		link, ticket := recoveryLink(h, "alice")
		b.Get(link).WantPage(t, http.StatusOK, choosePassword)
		if text := house.Shown(b.At); !strings.Contains(text, "@alice:"+house.ServerName) || !strings.Contains(text, "earlier encrypted messages") {
			t.Errorf("the page says %s", text)
		}
		if action := house.FormAction(b.At.Body); strings.Contains(action, ticket) || house.Hidden(b.At.Body, "ticket") != ticket {
			t.Errorf("the form goes to %s with the ticket %q", action, house.Hidden(b.At.Body, "ticket"))
		}
		b.Post(newPasswordPath, "ticket", ticket, "password", anotherPassword)
		if strings.Contains(b.At.Header.Get("Location"), ticket) {
			t.Error("the ticket stands in an address again")
		}
		b.Follow().WantPage(t, http.StatusOK, passwordChanged)
		b.Get("/account/").WantTo(t, "/account/login")
		elsewhere.Get("/account/").WantTo(t, "/account/login")
		h.WantActive(phone.AccessToken, "PHONE")
		b.Get("/account/login?login_hint=alice").WantPage(t, http.StatusOK, "Sign in")
		if !strings.Contains(b.At.Body, `value="alice"`) {
			t.Errorf("the name is not filled in: %s", b.At.Body)
		}
		wantSignsInBy(h, "alice", anotherPassword)
		wantSignsInBy(h, "bob", house.AlicesPassword)
		if events := house.Act(h, matrixauth.ListEvents, matrixauth.EventQuery{User: "alice"}).Events; !containsAction(events, "user.recover") || !containsAction(events, "user.recovery-link") || !containsAction(events, "user.set-password") {
			t.Errorf("the audit log has %+v", events)
		}
	})
	t.Run("MAIL-5 signs apps out if the person wants that", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		link, ticket := recoveryLink(h, "alice")
		b := h.Browser()
		b.Get(link)
		b.Post(newPasswordPath, "ticket", ticket, "password", anotherPassword, "apps", "1")
		b.Follow().WantPage(t, http.StatusOK, passwordChanged)
		h.WantInactive(phone.AccessToken)
		h.Settle()
		if u, _ := h.Fake.User("alice"); len(u.Devices) != 0 {
			t.Errorf("the homeserver has the devices %v", u.Devices)
		}
	})
	t.Run("MAIL-2 is good once; a double click is answered alike, and nobody else", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		link, ticket := recoveryLink(h, "alice")
		b, other := h.Browser(), h.Browser()
		b.Get(link)
		other.Get(link)
		fields := []string{"ticket", ticket, "password", anotherPassword}
		first := b.Post(newPasswordPath, fields...)
		if second := b.Submit(newPasswordPath, fields...); second.Status != http.StatusSeeOther || second.Header.Get("Location") != first.Header.Get("Location") {
			t.Errorf("a double click gave %d to %s", second.Status, second.Header.Get("Location"))
		}
		other.Post(newPasswordPath, "ticket", ticket, "password", house.AlicesPassword).WantPage(t, http.StatusNotFound, linkOver)
		other.Get(link).WantPage(t, http.StatusNotFound, linkOver)
		h.Clock.Move(bound.DoubleSubmit)
		b.Submit(newPasswordPath, fields...).WantPage(t, http.StatusNotFound, linkOver)
		wantSignsInBy(h, "alice", anotherPassword)
	})
	t.Run("MAIL-2 two at once: one password counts", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		link, ticket := recoveryLink(h, "alice")
		browsers := []*house.Browser{h.Browser(), h.Browser()}
		for _, b := range browsers {
			b.Get(link)
		}
		// Both are let in before either is written.
		hold, before := make(chan struct{}), h.Hashes()
		var both sync.WaitGroup
		both.Go(func() {
			h.Must(h.Store.Update(context.Background(), func(*store.Tx) error { <-hold; return nil }))
		})
		for i, b := range browsers {
			both.Go(func() {
				b.Submit(newPasswordPath, "ticket", ticket, "password", []string{anotherPassword, house.AlicesPassword}[i])
			})
		}
		for deadline := time.Now().Add(time.Minute); h.Hashes() < before+2 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		close(hold)
		both.Wait()
		if h.Hashes() != before+2 {
			t.Fatalf("%d passwords were hashed: the two did not meet", h.Hashes()-before)
		}
		won := -1
		for i, b := range browsers {
			switch b.At.Status {
			case http.StatusSeeOther:
				if won >= 0 {
					t.Fatal("both are told that theirs counts")
				}
				won = i
			case http.StatusNotFound:
			default:
				t.Fatalf("got %d %s", b.At.Status, b.At.Body)
			}
		}
		if won < 0 {
			t.Fatal("neither was done")
		}
		wantSignsInBy(h, "alice", []string{anotherPassword, house.AlicesPassword}[won])
	})
	t.Run("a password that cannot be used costs nothing", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		link, ticket := recoveryLink(h, "alice")
		b := h.Browser()
		b.Get(link)
		for _, bad := range []string{"", "short"} {
			b.Post(newPasswordPath, "ticket", ticket, "password", bad).WantPage(t, http.StatusBadRequest, choosePassword)
			if !strings.Contains(b.At.Body, `role="alert"`) || strings.Contains(b.At.Body, "value=\"short\"") {
				t.Errorf("the page is %s", b.At.Body)
			}
		}
		b.Post(newPasswordPath, "ticket", ticket, "password", anotherPassword)
		b.Follow().WantPage(t, http.StatusOK, passwordChanged)
	})
	t.Run("an account without a password sets its first one", func(t *testing.T) { // MAIL-6
		h := house.New(t, house.Unlimited)
		house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "carol"})
		h.Settle()
		link, ticket := recoveryLink(h, "carol")
		b := h.Browser()
		b.Get(link)
		b.Post(newPasswordPath, "ticket", ticket, "password", anotherPassword)
		b.Follow().WantPage(t, http.StatusOK, passwordChanged)
		wantSignsInBy(h, "carol", anotherPassword)
	})
}

func containsAction(events []matrixauth.Event, action string) bool {
	for _, e := range events {
		if e.Action == action {
			return true
		}
	}
	return false
}

// TestRecoveryLinkOver: what makes a link worthless, and that all of it looks the same (MAIL-2, MAIL-6).
func TestRecoveryLinkOver(t *testing.T) {
	alice := matrixauth.Name{User: "alice"}
	for name, change := range map[string]func(h *house.House){
		"MAIL-2 time":         func(h *house.House) { h.Clock.Move(time.Hour) },
		"MAIL-2 a later link": func(h *house.House) { recoveryLink(h, "alice") },
		"MAIL-2 a new password": func(h *house.House) {
			house.Act(h, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: alice, Password: anotherPassword})
		},
		"MAIL-6 a lock": func(h *house.House) { house.Act(h, matrixauth.LockUser, alice) },
		"MAIL-6 a lock of which tickets do not know": func(h *house.House) { h.SQL("UPDATE users SET locked_at = 1") },
		"MAIL-6 a lock that was undone": func(h *house.House) {
			house.Act(h, matrixauth.LockUser, alice)
			house.Act(h, matrixauth.UnlockUser, alice)
		},
		"MAIL-6 a deactivation": func(h *house.House) { house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: alice}) },
		"MAIL-6 a deactivation that was undone": func(h *house.House) {
			house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: alice})
			house.Act(h, matrixauth.ReactivateUser, alice)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := house.New(t, house.Unlimited)
			h.Add("alice")
			link, ticket := recoveryLink(h, "alice")
			b := h.Browser()
			b.Get(link).WantPage(t, http.StatusOK, choosePassword)
			change(h)
			hashes, before := h.Hashes(), h.Count("recoveries WHERE end_reason = 'used'")
			for _, a := range []house.Answer{b.Post(newPasswordPath, "ticket", ticket, "password", anotherPassword), b.Get(link)} {
				a.WantPage(t, http.StatusNotFound, linkOver)
			}
			if h.Hashes() != hashes || h.Count("recoveries WHERE end_reason = 'used'") != before {
				t.Error("it did something")
			}
		})
	}
	t.Run("MAIL-2 a link for another account, or one that was altered", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice", "bob")
		_, ticket := recoveryLink(h, "alice")
		b := h.Browser()
		b.Get("/account/login")
		for _, bad := range []string{"", ticket[1:], ticket + "x", strings.ToLower(ticket), "x" + ticket[1:], strings.Repeat("a", 32), strings.Repeat("a", 5000), ticket + "\x00", "' OR 1=1 --", "%00"} {
			if bad == ticket {
				continue
			}
			b.Get(newPasswordPath+house.Query("ticket", bad)).WantPage(t, http.StatusNotFound, linkOver)
			b.Submit(newPasswordPath, "ticket", bad, "password", anotherPassword).WantPage(t, http.StatusNotFound, linkOver)
		}
		// What else a form names does not choose whose password it is.
		b.Submit(newPasswordPath, "ticket", ticket, "password", anotherPassword, "user", "bob", "username", "bob")
		wantSignsInBy(h, "bob", house.AlicesPassword)
		wantSignsInBy(h, "alice", anotherPassword)
	})
	t.Run("HTTP-3 a form of another site", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		link, ticket := recoveryLink(h, "alice")
		b := h.Browser()
		b.Get(link)
		fields := house.Form("ticket", ticket, "password", anotherPassword, "csrf", b.Token())
		for name, try := range map[string]func() house.Answer{
			"another site": func() house.Answer {
				return b.Ask(http.MethodPost, newPasswordPath, fields, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}})
			},
			"without the token": func() house.Answer {
				return b.Ask(http.MethodPost, newPasswordPath, house.Form("ticket", ticket, "password", anotherPassword), house.SameOriginForm())
			},
			"another browser's token": func() house.Answer {
				return h.Browser().Ask(http.MethodPost, newPasswordPath, fields, house.SameOriginForm())
			},
			"the ticket in the address": func() house.Answer {
				return b.Ask(http.MethodPost, newPasswordPath+"?ticket="+ticket, house.Form("password", anotherPassword, "csrf", b.Token()), house.SameOriginForm())
			},
		} {
			if a := try(); a.Status == http.StatusSeeOther || a.Status < 400 {
				t.Errorf("%s: %d", name, a.Status)
			}
		}
		wantSignsInBy(h, "alice", house.AlicesPassword)
		b.Get(link).WantPage(t, http.StatusOK, choosePassword)
	})
	t.Run("tries are limited", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		link, _ := recoveryLink(h, "alice")
		b := h.Browser()
		for range bound.TicketsPerNetwork.Burst {
			b.Get(newPasswordPath + "?ticket=" + strings.Repeat("a", 32))
		}
		if a := b.Get(link); a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
			t.Errorf("got %d", a.Status)
		}
		b.IP = "203.0.113.9"
		b.Get(link).WantPage(t, http.StatusOK, choosePassword)
	})
	t.Run("nobody else's browser is told that it was done", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		link, ticket := recoveryLink(h, "alice")
		b := h.Browser()
		b.Get(link)
		done := b.Post(newPasswordPath, "ticket", ticket, "password", anotherPassword).Header.Get("Location")
		h.Browser().Get(done).WantTo(t, "/account/login")
		b.Get(strings.Replace(done, "user=alice", "user=bob", 1)).WantTo(t, "/account/login")
		h.Clock.Move(11 * time.Minute)
		b.Get(done).WantTo(t, "/account/login")
	})
	t.Run("a database that went back", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		link, _ := recoveryLink(h, "alice")
		h.Must(h.Store.KeepAlive(context.Background()))
		h.SQL("UPDATE alive SET at = at - 3600000000")
		h.Crash()
		h.Browser().Get(link).WantPage(t, http.StatusNotFound, linkOver)
	})
}

// TestRecoveryLinkOperation: for whom an operator gets a link, and for how long it is good.
func TestRecoveryLinkOperation(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "gone", "locked")
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "gone"}})
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "locked"})
	ask := func(user string, life time.Duration) (matrixauth.RecoveryLink, error) {
		made, err := matrixauth.IssueRecoveryLink.Do(t.Context(), h.Ops, matrixauth.NewRecoveryLink{Name: matrixauth.Name{User: user}, Seconds: int64(life / time.Second)})
		_, ticket, _ := strings.Cut(made.URL, "ticket=")
		if ticket != "" {
			h.KeepSecret(ticket)
		}
		return made, err
	}
	for life, good := range map[time.Duration]time.Duration{0: time.Hour, time.Minute: time.Minute, bound.RecoveryLinkMost: bound.RecoveryLinkMost} {
		made, err := ask("@alice:"+house.ServerName, life)
		h.Must(err)
		if made.MatrixID != "@alice:"+house.ServerName || !made.ExpiresAt.Equal(h.Clock.Now().Add(good)) || !strings.HasPrefix(made.URL, house.Issuer+"account/recover/password?ticket=") { // MAIL-4
			t.Errorf("got %+v", made)
		}
		h.Browser().Get(made.URL).WantPage(t, http.StatusOK, choosePassword)
	}
	for name, test := range map[string]struct {
		user string
		life time.Duration
		word string
	}{
		"too short": {"alice", 59 * time.Second, "a minute at least"}, "too long": {"alice", bound.RecoveryLinkMost + time.Second, "seven days at most"}, "the past": {"alice", -time.Hour, "a minute at least"},
		"nobody": {"nobody", 0, "there is no account"}, "deactivated": {"gone", 0, "reactivate it first"}, "locked": {"locked", 0, "unlock it first"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ask(test.user, test.life)
			h.WantSentence(err, test.word)
		})
	}
}
