package account_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestOtherAccount: a link to the account page says for which account it is. Who is signed in as another chooses, and comes to
// what the link was for either way (ACCT-9).
func TestOtherAccount(t *testing.T) {
	const heading = "Which account?"
	link := func(hint string) string {
		return "/account/" + house.Query("action", "org.matrix.device_delete", "device_id", "PHONE", "login_hint", hint)
	}
	newHouse := func(t *testing.T) *house.House {
		t.Helper()
		h := house.New(t, house.Unlimited)
		h.Add("alice", "bob")
		h.LoginOn("alice", "PHONE")
		h.LoginOn("bob", "PHONE")
		return h
	}
	t.Run("names another", func(t *testing.T) {
		for _, hint := range []string{"bob", "@bob:" + house.ServerName, "mxid:@bob:" + house.ServerName} {
			for _, name := range []string{"login_hint", "org.matrix.msc4198.login_hint"} {
				h := newHouse(t)
				v := h.SignedInAs("alice")
				v.Get(strings.Replace(link(hint), "login_hint", name, 1)).WantPage(t, http.StatusOK, heading)
				for _, part := range []string{"@alice:" + house.ServerName, "@bob:" + house.ServerName} {
					if !strings.Contains(house.Shown(v.At), part) {
						t.Errorf("the page lacks %q", part)
					}
				}
				page := v.At
				v.Get("/account/?action=org.matrix.device_delete&device_id=PHONE").WantPage(t, http.StatusOK, "Sign out this session?")
				if !strings.Contains(page.Body, `href="/account/?action=org.matrix.device_delete&amp;device_id=PHONE"`) {
					t.Errorf("no way on for alice: %s", page.Body)
				}
				v.At = page
				fields := []string{}
				for _, field := range []string{"action", "device_id", "login_hint", "again"} {
					fields = append(fields, field, house.Hidden(page.Body, field))
				}
				v.Post(strings.ReplaceAll(house.FormAction(page.Body), "&amp;", "&"), fields...)
				v.Follow().WantPage(t, http.StatusOK, "Sign in")
				if !strings.Contains(v.At.Body, `value="bob"`) {
					t.Errorf("the form is not filled in: %s", v.At.Body)
				}
				v.Post(strings.ReplaceAll(house.FormAction(v.At.Body), "&amp;", "&"), "username", "bob", "password", house.AlicesPassword)
				v.Follow().WantPage(t, http.StatusOK, "Sign out this session?")
			}
		}
	})
	t.Run("names who is signed in, or nobody that could be", func(t *testing.T) {
		h := newHouse(t)
		v := h.SignedInAs("alice")
		for _, hint := range []string{"", "alice", "ALICE", "@alice:" + house.ServerName, "@bob:elsewhere.test", "email:bob@example.org", "bob@example.org", "two words", "<b>", strings.Repeat("x", 2000)} {
			v.Get(link(hint)).WantPage(t, http.StatusOK, "Sign out this session?")
		}
	})
	t.Run("an account that is not there looks like one that is", func(t *testing.T) { // ENUM-1
		h := newHouse(t)
		v := h.SignedInAs("alice")
		v.Get(link("nobody")).WantPage(t, http.StatusOK, heading)
	})
	t.Run("not signed in", func(t *testing.T) { // ACCT-8
		h := newHouse(t)
		v := h.Browser()
		v.Get(link("@bob:"+house.ServerName)).WantTo(t, "/account/login?action=org.matrix.device_delete&device_id=PHONE&login_hint=%40bob%3A"+house.ServerName)
		v.Follow().WantPage(t, http.StatusOK, "Sign in")
		if !strings.Contains(v.At.Body, `value="bob"`) {
			t.Errorf("the form is not filled in: %s", v.At.Body)
		}
		// Whoever signs in as somebody else has chosen.
		v.Post(strings.ReplaceAll(house.FormAction(v.At.Body), "&amp;", "&"), "username", "alice", "password", house.AlicesPassword).
			WantTo(t, "/account/?action=org.matrix.device_delete&device_id=PHONE")
		for _, evil := range []string{"two words", "https://evil.example/?x", "<script>"} {
			h.Browser().Get(link(evil)).WantTo(t, "/account/login?action=org.matrix.device_delete&device_id=PHONE")
		}
		h.Browser().Get("/account?login_hint=bob").WantTo(t, "/account/?login_hint=bob")
	})
}
