package account_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/account"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestBlocked: the page about an account that may do nothing says whose it is, and has ways out: as
// somebody else with the same wish, and back to the app with an error (MOD-5, MOD-7).
func TestBlocked(t *testing.T) {
	const locked = "This account is locked"
	wantWho := func(t *testing.T, v *house.Browser) {
		t.Helper()
		if text := house.Shown(v.At); !strings.Contains(text, "@alice:"+house.ServerName) || !strings.Contains(text, "Ask the operator to unlock it") || !strings.Contains(text, "Not you?") {
			t.Errorf("the page says %s", text)
		}
	}
	t.Run("signed in, at an app's request", func(t *testing.T) {
		h := house.WithApp(t)
		v := h.Browser()
		v.SignIn("alice", "")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		v.Get(house.AuthorizePath + "?" + house.Params("app").Encode())
		v.Follow().WantPage(t, http.StatusForbidden, locked)
		wantWho(t, v)
		blocked := v.At
		v.Post(house.ConsentPath, "request", house.Hidden(blocked.Body, "request"), "answer", "continue").WantPage(t, http.StatusForbidden, locked)
		v.At = blocked
		v.Post("/account/logout", "request", house.Hidden(blocked.Body, "request"), "again", "1").WantTo(t, "/account/login?request="+house.Hidden(blocked.Body, "request"))
		v.Follow().WantPage(t, http.StatusOK, "Sign in")
		v.Post("/account/login?request="+house.Hidden(blocked.Body, "request"), "username", "bob", "password", house.AlicesPassword)
		v.Follow().WantPage(t, http.StatusOK, "Continue to An App?")
	})
	t.Run("back to the app", func(t *testing.T) {
		h := house.WithApp(t)
		v := h.Browser()
		v.SignIn("alice", "")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		v.Get(house.AuthorizePath + "?" + house.Params("app").Encode())
		v.Follow().WantPage(t, http.StatusForbidden, locked)
		v.Post(house.ConsentPath, "request", house.Hidden(v.At.Body, "request"), "answer", "cancel")
		to := v.At.Header.Get("Location")
		if v.At.Status != http.StatusSeeOther || !strings.HasPrefix(to, house.WebCallback) || !strings.Contains(to, "error=access_denied") {
			t.Errorf("got %d to %q", v.At.Status, to)
		}
	})
	t.Run("by the password, for an app", func(t *testing.T) {
		h := house.WithApp(t)
		h.Settle()
		v := h.Browser()
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		v.Get(house.AuthorizePath + "?" + house.Params("app").Encode())
		v.Follow()
		v.Follow()
		login := strings.ReplaceAll(house.FormAction(v.At.Body), "&amp;", "&")
		page := v.At
		// Who does not know the password is told nothing (LEG-21).
		v.Post(login, "username", "alice", "password", "wrong").WantPage(t, http.StatusForbidden, "Sign in")
		v.At = page
		v.Post(login, "username", "alice", "password", house.AlicesPassword).WantPage(t, http.StatusForbidden, locked)
		wantWho(t, v)
		if !strings.Contains(house.Shown(v.At), "Back to the app") {
			t.Errorf("the page says %s", house.Shown(v.At))
		}
		v.Get("/account/").WantTo(t, "/account/login")
	})
	t.Run("at the account page, with what was wanted there", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		v := h.Browser()
		v.SignIn("alice", "")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		v.Get("/account/"+house.Query("action", "org.matrix.device_view", "device_id", "PHONE")).WantPage(t, http.StatusForbidden, locked)
		wantWho(t, v)
		if strings.Contains(house.Shown(v.At), "Back to the app") {
			t.Error("there is no app to go back to")
		}
		v.Post("/account/logout", "action", house.Hidden(v.At.Body, "action"), "device_id", house.Hidden(v.At.Body, "device_id"), "again", "1").
			WantTo(t, "/account/login?action=org.matrix.device_view&device_id=PHONE")
	})
	t.Run("at every form of the account page", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		v := h.Browser()
		v.SignIn("alice", "")
		v.Get("/account/").WantPage(t, http.StatusOK, "Apps and devices")
		before := v.At
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		for path, fields := range map[string][]string{
			"/account/sessions/end":        {"session", "any"},
			"/account/sessions/end-others": {"what", "apps"},
			"/account/consents/withdraw":   {"client", "app"},
			"/account/cross-signing-reset": nil,
		} {
			v.At = before
			if v.Post(path, fields...); v.At.Status != http.StatusForbidden {
				t.Errorf("%s: got %d", path, v.At.Status)
			}
			wantWho(t, v)
		}
	})
	t.Run("without any wish it leads to the sign-in", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice", "gone")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "gone"}})
		v := h.Browser()
		v.Get("/account/login")
		v.Post("/account/login", "username", "alice", "password", house.AlicesPassword).WantPage(t, http.StatusForbidden, locked)
		wantWho(t, v)
		v.Post("/account/logout", "again", house.Hidden(v.At.Body, "again")).WantTo(t, "/account/login")
		v.Follow().WantPage(t, http.StatusOK, "Sign in")
		v.Post("/account/login", "username", "gone", "password", house.AlicesPassword).WantPage(t, http.StatusForbidden, "This account is deactivated")
		if !strings.Contains(house.Shown(v.At), "@gone:"+house.ServerName) {
			t.Errorf("the page says %s", house.Shown(v.At))
		}
	})
	t.Run("a request that is over is not offered", func(t *testing.T) {
		h := house.WithApp(t)
		v := h.Browser()
		v.SignIn("alice", "")
		v.Get(house.AuthorizePath + "?" + house.Params("app").Encode())
		page := v.At.Header.Get("Location")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		h.Clock.Move(time.Hour)
		v.Get(page).WantPage(t, http.StatusForbidden, locked)
		if strings.Contains(house.Shown(v.At), "Back to the app") {
			t.Error("there is nothing to go back with")
		}
	})
}

// TestLockedEverywhere: whoever is locked, and signed in, sees why at every page and form that is for who is signed in, and gets
// nothing else there (MOD-5, MOD-7). A page that is added is in this list, or is for everybody.
func TestLockedEverywhere(t *testing.T) {
	everybodys := map[string]string{ // and why
		"sign_in": "as somebody else", "sign_out": "may be left", "signed_out": "says nothing of anybody", "left": "says nothing of anybody", "withdrawn": "says nothing of anybody",
		"account": "", "recover": "", "recover_sent": "", "new_password": "by a link, which a lock ends", "recovered": "",
	}
	h := house.New(t, house.Unlimited, house.WithMail)
	h.Add("alice")
	h.LoginOn("alice", "PHONE")
	v := h.SignedInAs("alice")
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
	h.Settle()
	before := h.Rows()
	asked := 0
	for _, route := range account.Routes.Routes {
		path := "/" + route.Path
		if _, open := everybodys[route.Name]; open && path != "/account/" || strings.HasPrefix(route.Name, "register") {
			continue
		}
		for _, query := range []string{"", "?id=x", "?action=org.matrix.account_deactivate", "?what=apps", "?session=x", "?login_hint=bob"} {
			wantLocked := func(method string) {
				t.Helper()
				asked++
				text := house.Shown(v.At)
				if v.At.Status != http.StatusForbidden || v.At.Heading() != "This account is locked" || !strings.Contains(text, "@alice:"+house.ServerName) ||
					strings.Contains(text, "PHONE") || strings.Contains(v.At.Body, "<nav") {
					t.Errorf("%s %s: got %d %q: %s", method, path+query, v.At.Status, v.At.Heading(), text)
				}
			}
			if route.Get != nil && (route.Name != "end_others" || query == "?what=apps") {
				v.Get(path + query)
				wantLocked("GET")
			}
			if route.Post != nil {
				v.Submit(path+query, "what", "apps", "session", "x", "account", "@alice:"+house.ServerName, "display_name", "x", "password", house.AlicesPassword,
					"current", house.AlicesPassword, "new", "glacier teapot 4711", "email", "alice@example.org", "code", "123456", "client", "app")
				wantLocked("POST")
			}
		}
	}
	if after := h.Rows(); after != before || asked < 60 {
		t.Errorf("asked %d times; the rows are\n%s\nwant\n%s", asked, after, before)
	}
}
