package account_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

const (
	passwordPath   = "/account/password"
	changeHeading  = "Change your password"
	anotherOne     = "glacier teapot 4711"
	wrongPassword  = "That is not your current password."
	passwordIsDone = "Your password was changed."
)

// change sends the form of the page that the browser is at.
func change(v *house.Browser, current, password string, more ...string) house.Answer {
	v.House.T.Helper()
	return v.Post(passwordPath, append([]string{"current", current, "new", password}, more...)...)
}

// wantChanged follows to the account page, which says what was done.
func wantChanged(v *house.Browser) {
	v.House.T.Helper()
	v.Follow().WantPage(v.House.T, http.StatusOK, "Apps and devices")
	if !strings.Contains(house.Shown(v.At), passwordIsDone) {
		v.House.T.Errorf("the page says %s", house.Shown(v.At))
	}
}

// wantRefused looks for a reason on the page, and that the form shows nothing of what was typed (PW-9).
func wantRefused(v *house.Browser, status int, reason string, typed ...string) {
	v.House.T.Helper()
	v.At.WantPage(v.House.T, status, changeHeading)
	if !strings.Contains(house.Shown(v.At), reason) {
		v.House.T.Errorf("the page says %s, want %q", house.Shown(v.At), reason)
	}
	for _, text := range typed {
		if strings.Contains(v.At.Body, text) {
			v.House.T.Errorf("the page shows %q", text)
		}
	}
}

// wantPassword looks which password of an account counts.
func wantPassword(h *house.House, user, password string) {
	h.T.Helper()
	for _, one := range []string{house.AlicesPassword, anotherOne} {
		want := http.StatusForbidden
		if one == password {
			want = http.StatusOK
		}
		if a := h.LoginFrom("192.0.2.250", user, one, nil); a.Status != want {
			h.T.Errorf("%s signs in by %q with %d, want %d", user, one, a.Status, want)
		}
	}
}

// passwordHouse has alice at the page on which she changes her password, signed in with an app and another browser.
func passwordHouse(t *testing.T, changes ...house.Change) (h *house.House, v, other *house.Browser, app house.SignedIn) {
	t.Helper()
	h = house.New(t, append([]house.Change{house.Unlimited}, changes...)...)
	h.Add("alice", "bob")
	app = h.LoginOn("alice", "PHONE")
	other = h.Browser()
	other.SignIn("alice", "")
	v = h.Browser()
	v.SignIn("alice", "")
	v.Get(passwordPath).WantPage(t, http.StatusOK, changeHeading)
	return h, v, other, app
}

// TestChangePassword is the page on which people change their password (PW-8, SESS-2, SESS-5).
func TestChangePassword(t *testing.T) {
	t.Run("PW-8 browsers are signed out and apps are not, and the one that asks goes on under another value", func(t *testing.T) {
		h, v, other, app := passwordHouse(t)
		old, id := v.Value(), h.BrowserOf("alice")
		change(v, house.AlicesPassword, anotherOne)
		if v.Value() == old || v.Value() == "" {
			t.Errorf("the cookie is %q", v.Value()) // SESS-2
		}
		wantChanged(v)
		if h.BrowserOf("alice") == "" || id == "" {
			t.Error("the browser session is another")
		}
		h.BrowserWith(old).Get("/account/").WantTo(t, "/account/login")
		other.Get("/account/").WantTo(t, "/account/login")
		h.WantActive(app.AccessToken, "PHONE")
		wantPassword(h, "alice", anotherOne)
		wantPassword(h, "bob", house.AlicesPassword)
	})
	t.Run("the box signs the apps out too, with a reason that is kept", func(t *testing.T) {
		h, v, _, app := passwordHouse(t)
		if !strings.Contains(v.At.Body, `name="apps" type="checkbox"`) || strings.Contains(v.At.Body, "checked") {
			t.Errorf("the page is %s", v.At.Body)
		}
		change(v, house.AlicesPassword, anotherOne, "apps", "1")
		wantChanged(v)
		h.WantInactive(app.AccessToken)
		h.WantDevices("alice")
		if n := h.Count("sessions WHERE end_reason = 'password_changed'"); n != 1 {
			t.Errorf("%d sessions ended so", n)
		}
	})
	t.Run("the change is kept with who made it", func(t *testing.T) {
		h, v, _, _ := passwordHouse(t)
		change(v, house.AlicesPassword, anotherOne)
		if n := h.Count("events WHERE action = 'user.set-password' AND user_id = ?1 AND actor_id = ?1", h.UserID("alice")); n != 1 {
			t.Errorf("%d events", n)
		}
	})
	t.Run("SESS-5 the current password is asked for however new the sign-in is", func(t *testing.T) {
		h, v, other, app := passwordHouse(t)
		for _, wrong := range []string{"", "wrong", anotherOne, strings.Repeat("long", 2000)} {
			old := v.Value()
			change(v, wrong, anotherOne, "apps", "1")
			wantRefused(v, http.StatusForbidden, wrongPassword, anotherOne)
			if v.Value() != old {
				t.Error("the cookie is another")
			}
			if !strings.Contains(v.At.Body, "checked") {
				t.Error("the box is not as it was")
			}
		}
		h.WantActive(app.AccessToken, "PHONE")
		other.Get("/account/").WantPage(t, http.StatusOK, "Apps and devices")
		wantPassword(h, "alice", house.AlicesPassword)
	})
	t.Run("PW-6 a weak one is refused with the reason, and nothing is changed", func(t *testing.T) {
		h, v, other, app := passwordHouse(t)
		for weak, reason := range map[string]string{
			"short": "at least 8 characters", "trustno1": "in use by many people", "alice.example2024": "made of your name", "abcdefghijk": "a sequence",
			house.AlicesPassword: "That is your current password", "": "at least 8 characters", strings.Repeat("long", 2000): "too long",
		} {
			change(v, house.AlicesPassword, weak)
			wantRefused(v, http.StatusBadRequest, reason, house.AlicesPassword)
			if weak != "" && strings.Contains(v.At.Body, `value="`+weak) {
				t.Errorf("the page shows %q", weak)
			}
		}
		h.WantActive(app.AccessToken, "PHONE")
		other.Get("/account/").WantPage(t, http.StatusOK, "Apps and devices")
		wantPassword(h, "alice", house.AlicesPassword)
		v.Language = "de"
		v.Get(passwordPath).WantPage(t, http.StatusOK, "Passwort ändern")
		change(v, house.AlicesPassword, "trustno1").WantPage(t, http.StatusBadRequest, "Passwort ändern")
		if !strings.Contains(house.Shown(v.At), "Dieses Passwort haben viele") {
			t.Errorf("the page says %s", house.Shown(v.At))
		}
	})
	t.Run("PW-5 the owner's length is told and counts", func(t *testing.T) {
		_, v, _, _ := passwordHouse(t, func(c *matrixauth.Config) { c.Passwords.MinLength = 20 })
		if !strings.Contains(house.Shown(v.At), "At least 20 characters") {
			t.Errorf("the page says %s", house.Shown(v.At))
		}
		change(v, house.AlicesPassword, anotherOne)
		wantRefused(v, http.StatusBadRequest, "at least 20 characters", anotherOne)
		change(v, house.AlicesPassword, anotherOne+" pelican")
		wantChanged(v)
	})
	t.Run("an address of the account is no password", func(t *testing.T) {
		h, v, _, _ := passwordHouse(t)
		house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "wonderland@mad-hatter.example"})
		change(v, house.AlicesPassword, "hatter wonderland")
		wantRefused(v, http.StatusBadRequest, "made of your name")
	})
	t.Run("who signed in with a weak one long ago still does, and changes it", func(t *testing.T) {
		h, _, _, _ := passwordHouse(t)
		h.Must(h.Seed("weak", "123456"))
		v := h.Browser()
		v.Get("/account/login").WantPage(t, http.StatusOK, "Sign in")
		v.Post("/account/login", "username", "weak", "password", "123456").WantTo(t, "/account/")
		v.Get(passwordPath).WantPage(t, http.StatusOK, changeHeading)
		change(v, "123456", anotherOne)
		wantChanged(v)
	})
	t.Run("who is not signed in signs in first, and comes back", func(t *testing.T) {
		h, _, _, _ := passwordHouse(t)
		v := h.Browser()
		v.Get(passwordPath).WantTo(t, "/account/login?action=password")
		if to := v.SignIn("alice", "?action=password"); to != passwordPath+"?action=password" {
			t.Errorf("it leads to %s", to)
		}
		v.Follow().WantPage(t, http.StatusOK, changeHeading)
		v.Get("/account/?action=password").WantTo(t, passwordPath)
		v.Get("/account/").WantPage(t, http.StatusOK, "Apps and devices")
		if !strings.Contains(v.At.Body, `href="`+passwordPath+`"`) {
			t.Error("the account page does not lead there")
		}
	})
	t.Run("an account without a password reads what to do", func(t *testing.T) {
		h, v, _, _ := passwordHouse(t)
		h.SQL("DELETE FROM passwords WHERE user_id = ?1", h.UserID("alice"))
		v.Get(passwordPath).WantPage(t, http.StatusOK, changeHeading)
		if strings.Contains(v.At.Body, `type="password"`) || !strings.Contains(house.Shown(v.At), "has no password") {
			t.Errorf("the page is %s", v.At.Body)
		}
		v.Submit(passwordPath, "current", "", "new", anotherOne)
		if v.At.Status != http.StatusForbidden || h.Count("passwords WHERE user_id = ?1", h.UserID("alice")) != 0 {
			t.Errorf("got %d", v.At.Status)
		}
	})
	t.Run("without one, where links are mailed", func(t *testing.T) {
		h := house.New(t, house.WithMail)
		h.Add("alice")
		v := h.SignedInAs("alice")
		h.SQL("DELETE FROM passwords")
		v.Get(passwordPath).Shows(t, http.StatusOK, `href="/account/recover"`)
	})
	t.Run("MOD-7 locked", func(t *testing.T) {
		h, v, _, _ := passwordHouse(t)
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		change(v, house.AlicesPassword, anotherOne).WantPage(t, http.StatusForbidden, "This account is locked")
		v.Get(passwordPath).WantPage(t, http.StatusForbidden, "This account is locked")
		house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
		wantPassword(h, "alice", house.AlicesPassword)
	})
	t.Run("a password that an operator set meanwhile stands", func(t *testing.T) {
		h, v, _, _ := passwordHouse(t)
		house.Act(h, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: matrixauth.Name{User: "alice"}, Password: "from the operator 12"})
		change(v, house.AlicesPassword, anotherOne).WantTo(t, "/account/login?action=password")
		h.LoginFrom(house.HomeIP, "alice", "from the operator 12", nil).Want(t, http.StatusOK, "")
	})
}

// TestChangePasswordTwice: a form that comes twice, at once or one after the other, is done once and says so both times; and
// both answers bring the same cookie, so that it does not matter which one the browser takes.
func TestChangePasswordTwice(t *testing.T) {
	for name, atOnce := range map[string]bool{"at once": true, "one after the other": false} {
		t.Run(name, func(t *testing.T) {
			h, v, _, _ := passwordHouse(t)
			tabs := make([]*house.Browser, 3)
			var group sync.WaitGroup
			for i := range tabs {
				tabs[i] = h.BrowserWith(v.Value())
				tabs[i].At = v.At
				send := func() { change(tabs[i], house.AlicesPassword, anotherOne) }
				if atOnce {
					group.Go(send)
				} else {
					send()
				}
			}
			group.Wait()
			for _, tab := range tabs {
				if tab.Value() != tabs[0].Value() || tab.Value() == v.Value() {
					t.Errorf("the cookies are %q and %q", tab.Value(), tabs[0].Value())
				}
				wantChanged(tab)
			}
			if n := h.Count("events WHERE action = 'user.set-password'"); n != 1 {
				t.Errorf("it was changed %d times", n)
			}
			wantPassword(h, "alice", anotherOne)
		})
	}
	t.Run("later it is a form of before", func(t *testing.T) {
		h, v, _, _ := passwordHouse(t)
		again := h.BrowserWith(v.Value())
		again.At = v.At
		change(v, house.AlicesPassword, anotherOne)
		h.Clock.Move(bound.DoubleSubmit + time.Second)
		change(again, house.AlicesPassword, anotherOne).WantTo(t, "/account/login?action=password")
		if again.Value() == v.Value() {
			t.Error("the old cookie is worth the new one")
		}
	})
	t.Run("with other words it is another form", func(t *testing.T) {
		h, v, _, _ := passwordHouse(t)
		again := h.BrowserWith(v.Value())
		again.At = v.At
		change(v, house.AlicesPassword, anotherOne)
		for _, words := range [][2]string{{house.AlicesPassword, "pelican teapot 4711"}, {"", ""}, {anotherOne, "pelican teapot 4711"}, {"wrong", anotherOne}} {
			change(again, words[0], words[1])
			if again.At.Status != http.StatusSeeOther || again.Value() == v.Value() {
				t.Errorf("%q: got %d, and the cookie of the other form: %v", words, again.At.Status, again.Value() == v.Value())
			}
		}
		wantPassword(h, "alice", anotherOne)
	})
	t.Run("a form in another tab leads back, and the page is whose it is now", func(t *testing.T) {
		_, v, _, _ := passwordHouse(t)
		tab := v.At
		change(v, house.AlicesPassword, anotherOne)
		v.At = tab
		change(v, house.AlicesPassword, "pelican teapot 4711").WantTo(t, passwordPath+"?stale=1")
		v.Follow().WantPage(t, http.StatusOK, changeHeading)
		if !strings.Contains(house.Shown(v.At), "another tab") {
			t.Errorf("the page says %s", house.Shown(v.At))
		}
		change(v, anotherOne, "pelican teapot 4711")
		wantChanged(v)
	})
	t.Run("the way back after the change, and a link that says it was changed", func(t *testing.T) {
		h, v, other, _ := passwordHouse(t)
		change(v, house.AlicesPassword, anotherOne)
		receipt := v.At.Header.Get("Location")
		wantChanged(v)
		v.Get(passwordPath).WantPage(t, http.StatusOK, changeHeading)
		other.Get("/account/login")
		other.Post("/account/login", "username", "alice", "password", anotherOne)
		for _, b := range []*house.Browser{other, v} {
			b.Get("/account/?changed=1").WantPage(t, http.StatusOK, "Apps and devices")
			if strings.Contains(house.Shown(b.At), passwordIsDone) {
				t.Error("a link has the page say it")
			}
		}
		other.Get(receipt)
		if strings.Contains(house.Shown(other.At), passwordIsDone) {
			t.Error("the receipt of another browser counts")
		}
		h.Clock.Move(5 * time.Minute)
		v.Get(receipt)
		if strings.Contains(house.Shown(v.At), passwordIsDone) {
			t.Error("the receipt counts for ever")
		}
	})
}

// TestChangePasswordAttacks: what does not help who has no password.
func TestChangePasswordAttacks(t *testing.T) {
	t.Run("HTTP-3 a form of another site", func(t *testing.T) {
		h, v, _, _ := passwordHouse(t)
		for name, header := range map[string]http.Header{
			"said so":        {"Content-Type": house.FormType["Content-Type"], "Sec-Fetch-Site": {"cross-site"}},
			"a sister site":  {"Content-Type": house.FormType["Content-Type"], "Sec-Fetch-Site": {"same-site"}},
			"an old browser": {"Content-Type": house.FormType["Content-Type"], "Origin": {"https://evil.example"}},
		} {
			if a := v.Ask(http.MethodPost, passwordPath, house.Form("csrf", v.Token(), "current", house.AlicesPassword, "new", anotherOne), header); a.Status != http.StatusForbidden {
				t.Errorf("%s: got %d", name, a.Status)
			}
			v.Get(passwordPath)
		}
		v.Ask(http.MethodPost, passwordPath, house.Form("current", house.AlicesPassword, "new", anotherOne), house.SameOriginForm()).WantTo(t, passwordPath+"?stale=1")
		v.Ask(http.MethodPost, passwordPath+"?current=x&new=y", house.Form("csrf", house.HiddenToken.FindString("")), house.SameOriginForm())
		wantPassword(h, "alice", house.AlicesPassword)
	})
	t.Run("the cookie of another account, whose password is known", func(t *testing.T) {
		h, v, _, _ := passwordHouse(t)
		mallory := h.Browser()
		mallory.SignIn("bob", "")
		// With alice's page, or her form token, in bob's browser.
		mallory.At = v.At
		change(mallory, house.AlicesPassword, anotherOne).WantTo(t, passwordPath+"?stale=1")
		mallory.Get(passwordPath)
		change(mallory, house.AlicesPassword, anotherOne, "username", "alice", "user", h.UserID("alice"))
		wantPassword(h, "alice", house.AlicesPassword)
		wantPassword(h, "bob", anotherOne)
	})
	t.Run("a stolen cookie is worth nothing after the change", func(t *testing.T) {
		h, v, _, _ := passwordHouse(t)
		thief := h.BrowserWith(v.Value())
		thief.Get(passwordPath).WantPage(t, http.StatusOK, changeHeading)
		page := thief.At
		change(v, house.AlicesPassword, anotherOne)
		thief.At = page
		change(thief, "a guess", "pelican teapot 4711").WantTo(t, "/account/login?action=password")
		thief.Get("/account/").WantTo(t, "/account/login")
		if n := h.Count("browser_sessions WHERE ended_at IS NULL"); n != 1 {
			t.Errorf("%d browsers are signed in", n)
		}
	})
	t.Run("PW-13 who has a signed-in browser guesses within the limits of all sign-ins, and at their cost", func(t *testing.T) {
		h, v, _, _ := passwordHouse(t, house.Limits(matrixauth.Rate{Burst: 1000, PerMinute: 1000}, matrixauth.Rate{Burst: 5, PerMinute: 0.5}))
		for range 5 {
			before := house.Cost{Hashes: h.Hashes(), Statements: h.Store.Statements()}
			change(v, "wrong", anotherOne)
			wantRefused(v, http.StatusForbidden, wrongPassword)
			// Beside those of a sign-in: who is it that asks, and what the page shows.
			if spent := (house.Cost{Hashes: h.Hashes() - before.Hashes, Statements: h.Store.Statements() - before.Statements}); spent != (house.Cost{Hashes: 1, Statements: 8}) {
				t.Errorf("it cost %+v", spent)
			}
		}
		hashes := h.Hashes()
		change(v, house.AlicesPassword, anotherOne)
		wantRefused(v, http.StatusTooManyRequests, "That was too many tries. Try again in 2 minutes.")
		if h.Hashes() != hashes || v.At.Header.Get("Retry-After") != "120" {
			t.Errorf("%d hashes, %v", h.Hashes()-hashes, v.At.Header)
		}
		// It is the same count at every door.
		h.Do(house.Call{Method: "POST", Path: house.LoginPath, Header: v.CookieHeader(), Body: house.LoginBody("alice", house.AlicesPassword, nil)}).
			Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		h.Clock.Move(2 * time.Minute)
		v.Get(passwordPath)
		change(v, house.AlicesPassword, anotherOne)
		wantChanged(v)
	})
	t.Run("PW-3 each way costs so many hashes and no more", func(t *testing.T) {
		h, v, _, _ := passwordHouse(t)
		for _, c := range []struct {
			current, next string
			hashes        uint64
		}{{"wrong", anotherOne, 1}, {"wrong", "short", 1}, {house.AlicesPassword, "short", 1}, {house.AlicesPassword, "trustno1", 1}, {house.AlicesPassword, house.AlicesPassword, 1}, {house.AlicesPassword, anotherOne, 2}} {
			v.Get(passwordPath)
			before := h.Hashes()
			change(v, c.current, c.next)
			if spent := h.Hashes() - before; spent != c.hashes {
				t.Errorf("%q to %q costs %d hashes, want %d", c.current, c.next, spent, c.hashes)
			}
		}
	})
	t.Run("the log has neither password", func(t *testing.T) {
		h, v, _, _ := passwordHouse(t)
		change(v, "a wrong secret", anotherOne)
		change(v, house.AlicesPassword, "trustno1")
		change(v, house.AlicesPassword, anotherOne)
		for _, secret := range []string{"a wrong secret", "trustno1", anotherOne, house.AlicesPassword} {
			if lines := h.Logged(0, secret); len(lines) > 0 {
				t.Errorf("logged %v", lines)
			}
			if rows := h.Rows(); strings.Contains(rows, secret) {
				t.Errorf("%q is in the database", secret)
			}
		}
	})
}

// TestStrangersKeepNobodyFromChanging: strangers who fail on purpose keep nobody from changing a password where they signed in
// before, at home or in a browser that is known at a hotel (PW-12).
func TestStrangersKeepNobodyFromChanging(t *testing.T) {
	h := house.New(t)
	v := h.AliceAtHome()
	passwords := [2]string{house.AlicesPassword, anotherOne}
	for minute := range 12 {
		for i := range 4 {
			for h.Guess("alice", fmt.Sprintf("203.0.113.%d", i+1)).Status != http.StatusTooManyRequests {
			}
		}
		if v.IP = house.HomeIP; minute%2 == 1 {
			v.IP = house.HotelIP
		}
		v.Get(passwordPath).WantPage(t, http.StatusOK, changeHeading)
		change(v, passwords[minute%2], passwords[(minute+1)%2])
		wantChanged(v)
		h.Clock.Move(time.Minute)
	}
}

// TestChangePasswordNotice: the addresses of the account hear of a change, and of nothing that was refused. The mail has
// neither password in it (PW-8, PW-9).
func TestChangePasswordNotice(t *testing.T) {
	h, v, _, _ := passwordHouse(t, house.WithMail)
	house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "alice@example.org"})
	h.Pass()
	h.Mails.Forget()
	change(v, "wrong", anotherOne)
	change(v, house.AlicesPassword, "trustno1")
	if h.Pass(); len(h.Mails.All()) != 0 {
		t.Errorf("told is %+v", h.Mails.All())
	}
	change(v, house.AlicesPassword, anotherOne)
	h.Pass()
	all := h.Mails.All()
	if len(all) != 1 || all[0].To != "alice@example.org" || !strings.Contains(all[0].Subject, "password") {
		t.Fatalf("told is %+v", all)
	}
	for _, secret := range []string{house.AlicesPassword, anotherOne} {
		if strings.Contains(all[0].Text+all[0].HTML+all[0].Subject, secret) {
			t.Errorf("the mail has %q in it", secret)
		}
	}
}
