package account_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestSignIn is the way in and out of the pages.
func TestSignIn(t *testing.T) {
	t.Run("by name, Matrix id and mail address", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "alice@example.org"})
		for _, name := range []string{"alice", "Alice", "@alice:example.test", "alice@example.org", " ALICE@example.org "} {
			v := h.Browser()
			if to := v.SignIn(name, ""); to != "/account/" {
				t.Errorf("%q leads to %s", name, to)
			}
			v.Follow().WantPage(t, http.StatusOK, "Apps and devices")
			v.Get("/account/browsers").WantPage(t, http.StatusOK, "Browsers")
			if !strings.Contains(v.At.Body, "@alice:example.test") || !strings.Contains(v.At.Body, "Firefox, Linux") {
				t.Errorf("the page does not say who and where:\n%s", v.At.Body)
			}
		}
	})
	t.Run("SESS-1 SESS-2 the cookie", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		v := h.Browser()
		v.Get("/account/login")
		before := v.Cookies[house.CookieName]
		if line := v.At.Header.Get("Set-Cookie"); line != house.CookieName+"="+before+"; Path=/; HttpOnly; Secure; SameSite=Lax" || len(before) != 30 {
			t.Errorf("the cookie of a visitor is %q", line)
		}
		v.SignIn("alice", "")
		after := v.Cookies[house.CookieName]
		if line := v.At.Header.Get("Set-Cookie"); line != house.CookieName+"="+after+"; Path=/; Max-Age=7776000; HttpOnly; Secure; SameSite=Lax" || before == after {
			t.Errorf("the cookie of a sign-in is %q", line)
		}
		if rows := h.Rows(); strings.Contains(rows, after) {
			t.Error("the value of the cookie is stored in clear")
		}
		fixed := h.Browser()
		fixed.Cookies[house.CookieName] = before
		fixed.Get("/account/").WantTo(t, "/account/login")
		fixed.Cookies[house.CookieName] = "a-value-that-somebody-thought-of"
		fixed.Get("/account/login").WantPage(t, http.StatusOK, "Sign in")
		if fixed.Cookies[house.CookieName] == "a-value-that-somebody-thought-of" {
			t.Error("a planted value was kept")
		}
	})
	t.Run("SESS-2 signing in again ends the session before", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice", "bob")
		v := h.Browser()
		v.SignIn("alice", "")
		old := v.Cookies[house.CookieName]
		v.Follow()
		v.Post("/account/login", "username", "bob", "password", house.AlicesPassword).WantTo(t, "/account/")
		v.Cookies[house.CookieName] = old
		v.Get("/account/").WantTo(t, "/account/login")
	})
	t.Run("those who are signed in are led on", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		v := h.Browser()
		v.SignIn("alice", "")
		v.Get("/account/login").WantTo(t, "/account/")
		v.Get("/account/login"+house.Query("action", "session_view", "device_id", "PHONE")).WantTo(t, "/account/?action=session_view&device_id=PHONE")
		v.Get("/account"+house.Query("action", "session_view", "device_id", "PHONE")).WantTo(t, "/account/?action=session_view&device_id=PHONE")
	})
	t.Run("SESS-7 a form from before another tab signed in leads on", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		v := h.Browser()
		v.Get("/account/login")
		first := v.At
		v.SignIn("alice", "")
		v.At = first
		v.Post("/account/login"+house.Query("action", "session_view", "device_id", "PHONE"), "username", "alice", "password", house.AlicesPassword)
		v.Follow().WantTo(t, "/account/?action=session_view&device_id=PHONE")
	})
	t.Run("without cookies the page says so", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		v := h.Browser()
		v.Get("/account/login")
		clear(v.Cookies)
		v.Post("/account/login", "username", "alice", "password", house.AlicesPassword).WantTo(t, "/account/login?stale=1")
		v.Follow().WantPage(t, http.StatusOK, "Sign in")
		if !strings.Contains(v.At.Body, "Cookies must be allowed") {
			t.Error("the page says nothing about cookies")
		}
	})
	t.Run("SESS-3 SESS-8 signing out leaves apps alone", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		v := h.Browser()
		v.SignIn("alice", "")
		value := v.Cookies[house.CookieName]
		v.Follow()
		v.Post("/account/logout").WantTo(t, "/account/signed-out")
		if v.Cookies[house.CookieName] != "" {
			t.Error("the cookie stays")
		}
		v.Follow().WantPage(t, http.StatusOK, "You are signed out")
		v.Cookies[house.CookieName] = value
		v.Get("/account/").WantTo(t, "/account/login")
		h.WantActive(phone.AccessToken, "PHONE")
	})
	t.Run("SESS-4 thirty idle days end it", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		v := h.Browser()
		v.SignIn("alice", "")
		h.Clock.Move(29 * 24 * time.Hour)
		v.Get("/account/").WantPage(t, http.StatusOK, "Apps and devices")
		h.Clock.Move(30 * 24 * time.Hour)
		v.Get("/account/").WantTo(t, "/account/login")
	})
	t.Run("MOD-7 a lock blocks and destroys nothing", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		v := h.Browser()
		v.SignIn("alice", "")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		for range 2 {
			v.Get("/account/").WantPage(t, http.StatusForbidden, "This account is locked")
		}
		other := h.Browser()
		other.Get("/account/login")
		other.Post("/account/login", "username", "alice", "password", house.AlicesPassword).WantPage(t, http.StatusForbidden, "This account is locked")
		house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
		v.Get("/account/").WantPage(t, http.StatusOK, "Apps and devices")
	})
	t.Run("MOD-11 deactivation ends it", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		v := h.Browser()
		v.SignIn("alice", "")
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}})
		v.Get("/account/").WantTo(t, "/account/login")
		v.Follow()
		v.Post("/account/login", "username", "alice", "password", house.AlicesPassword).WantPage(t, http.StatusForbidden, "This account is deactivated")
	})
	t.Run("an operator's new password signs browsers out, and no app", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		v := h.Browser()
		v.SignIn("alice", "")
		house.Act(h, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: matrixauth.Name{User: "alice"}, Password: "another long password"})
		v.Get("/account/").WantTo(t, "/account/login")
		h.WantActive(phone.AccessToken, "PHONE")
	})
}

// TestSignInForApp is the sign-in on the way from an app to its consent page.
func TestSignInForApp(t *testing.T) {
	begin := func(h *house.House, asked model.Asked) (id string) {
		h.T.Helper()
		to := model.Delivery{Kind: model.ByRedirect, Redirect: model.Redirect{RedirectURI: "https://app.example/cb"}}
		h.Must(h.Store.Update(context.Background(), func(tx *store.Tx) error {
			c := model.Client{ID: model.NewID(tx.Now), Metadata: model.ClientMetadata{Name: "Some App", URI: "https://app.example/"}, CreatedAt: tx.Now}
			if err := tx.InsertClient(c, model.TokenHash{}); err != nil {
				return err
			}
			id = model.NewID(tx.Now)
			return tx.InsertAuthorization(model.Authorization{ID: id, ClientID: c.ID, Request: model.Request{Asked: asked, Delivery: to}, CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(30 * time.Minute)})
		}))
		return id
	}
	t.Run("leads to the consent page", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		id := begin(h, model.Asked{})
		v := h.Browser()
		if to := v.SignIn("alice", house.Query("request", id)); to != "/account/consent?request="+id {
			t.Errorf("it leads to %s", to)
		}
		v.Get("/account/login"+house.Query("request", id)).WantTo(t, "/account/consent?request="+id)
	})
	t.Run("says for what", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		for hint, want := range map[string]string{ // AUTHZ-25
			"mxid:@alice:example.test": "alice", "mxid:@alice:elsewhere.test": "@alice:elsewhere.test", "email:a@example.org": "a@example.org",
			"alice": "alice", `"><script>`: "&#34;&gt;&lt;script&gt;", strings.Repeat("a", 600): "",
		} {
			v := h.Browser()
			v.Get("/account/login" + house.Query("request", begin(h, model.Asked{LoginHint: hint, UILocales: "xx de-AT en", Create: true})))
			v.At.WantPage(t, http.StatusOK, "Anmelden")
			for _, part := range []string{`value="` + want + `" autocomplete="username"`, "Some App", "legt der Betreiber an", `lang="de"`} { // CREATE-1
				if !strings.Contains(v.At.Body, part) {
					t.Errorf("hint %q: the page lacks %q:\n%s", hint, part, v.At.Body)
				}
			}
		}
	})
	t.Run("OIDC-11 asks those who are signed in to sign in again if the app wants that", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		v := h.Browser()
		v.SignIn("alice", "")
		h.Clock.Move(time.Second)
		id := begin(h, model.Asked{Login: true})
		v.Get("/account/login"+house.Query("request", id)).WantPage(t, http.StatusOK, "Sign in")
		h.Clock.Move(time.Second)
		v.Post("/account/login"+house.Query("request", id), "username", "alice", "password", house.AlicesPassword).WantTo(t, "/account/consent?request="+id)
		v.Get("/account/login"+house.Query("request", id)).WantTo(t, "/account/consent?request="+id)
	})
	t.Run("a request that is over or never was", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		id := begin(h, model.Asked{})
		h.Clock.Move(time.Hour)
		for _, id := range []string{id, "01NOSUCHREQUEST", `"><script>`} {
			h.Browser().Get("/account/login"+house.Query("request", id)).WantPage(t, http.StatusBadRequest, "This sign-in is over")
		}
	})
	t.Run("not you", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		id := begin(h, model.Asked{})
		v := h.Browser()
		v.SignIn("alice", "")
		v.Follow()
		v.Post("/account/logout", "request", id).WantTo(t, "/account/login?request="+id)
		v.Follow().WantPage(t, http.StatusOK, "Sign in")
	})
}

// TestSignInFails: a try that fails tells by nothing whether its account exists (ENUM-1), and tries are
// counted together with those of the legacy login (PW-13).
func TestSignInFails(t *testing.T) {
	t.Run("ENUM-1 equal body, status and cost", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice", "gone", "locked")
		house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "nopass"})
		house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "alice@example.org"})
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "gone"}})
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "locked"})
		h.Settle()
		v := h.Browser()
		v.Get("/account/login")
		page := v.At
		first := ""
		for _, name := range []string{"alice", "nobody", "nopass", "gone", "locked", "@alice:example.test", "@nobody:example.test", "@alice:elsewhere.test", "alice@example.org", "nobody@example.org", ""} {
			v.At = page
			before := house.Cost{Hashes: h.Hashes(), Statements: h.Store.Statements()}
			a := v.Post("/account/login", "username", name, "password", "wrong")
			if spent := (house.Cost{Hashes: h.Hashes() - before.Hashes, Statements: h.Store.Statements() - before.Statements}); spent != (house.Cost{Hashes: 1, Statements: 4}) { // the fourth is who is signed in
				t.Errorf("%q cost %+v", name, spent)
			}
			a.WantPage(t, http.StatusForbidden, "Sign in")
			// What was typed stands in the form again, and whoever typed nothing is led there first.
			body := strings.NewReplacer(`value="`+name+`" autocomplete`, `value="" autocomplete`, " autofocus", "").Replace(a.Body)
			if first == "" {
				first = body
			}
			if body != first {
				t.Errorf("%q: the page differs:\n%s\nand\n%s", name, body, first)
			}
		}
	})
	t.Run("PW-13 limits are shared with the legacy login", func(t *testing.T) {
		h := house.New(t, house.Limits(matrixauth.Rate{Burst: 1000, PerMinute: 1000}, matrixauth.Rate{Burst: 2, PerMinute: 1}))
		h.Add("alice")
		h.Do(house.Call{Method: "POST", Path: house.LoginPath, Body: house.LoginBody("@ALICE:example.test", "wrong", nil)}).Want(t, http.StatusForbidden, "M_FORBIDDEN")
		v := h.Browser()
		v.Get("/account/login")
		v.Post("/account/login", "username", "alice", "password", "wrong").WantPage(t, http.StatusForbidden, "Sign in")
		v.Post("/account/login", "username", "alice", "password", house.AlicesPassword).WantPage(t, http.StatusTooManyRequests, "Sign in")
		if v.At.Header.Get("Retry-After") != "60" || !strings.Contains(house.Shown(v.At), "That was too many tries. Try again in 60 seconds.") {
			t.Errorf("the wait is %q:\n%s", v.At.Header.Get("Retry-After"), v.At.Body)
		}
		h.TryLogin("alice", nil).Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		h.Clock.Move(time.Minute)
		v.Post("/account/login", "username", "alice", "password", house.AlicesPassword).WantTo(t, "/account/")
	})
	t.Run("by network", func(t *testing.T) {
		h := house.New(t, house.Limits(matrixauth.Rate{Burst: 1, PerMinute: 1}, matrixauth.Rate{Burst: 1000, PerMinute: 1000}))
		h.Add("alice")
		v := h.Browser()
		v.Get("/account/login")
		v.Post("/account/login", "username", "nobody", "password", "wrong").WantPage(t, http.StatusForbidden, "Sign in")
		v.Post("/account/login", "username", "alice", "password", house.AlicesPassword).WantPage(t, http.StatusTooManyRequests, "Sign in")
		v.IP = "198.51.100.7"
		v.Post("/account/login", "username", "alice", "password", house.AlicesPassword).WantTo(t, "/account/")
	})
}
