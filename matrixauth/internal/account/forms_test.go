package account_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/account"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestForms: what changes anything is a POST of a form that only our page in that very browser can have
// (HTTP-3).
func TestForms(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	v := h.Browser()
	v.SignIn("alice", "")
	v.Follow()
	fine := v.Token()
	other := h.Browser()
	other.Get("/account/login")
	plain := func(more ...string) http.Header {
		header := http.Header{"Content-Type": house.FormType["Content-Type"]}
		for i := 0; i < len(more); i += 2 {
			header.Set(more[i], more[i+1])
		}
		return header
	}
	before := h.Rows()
	for name, c := range map[string]struct {
		token  string
		header http.Header
	}{
		"no token":                    {"", plain("Sec-Fetch-Site", "same-origin")},
		"another browser's token":     {other.Token(), plain("Sec-Fetch-Site", "same-origin")},
		"cross-site":                  {fine, plain("Sec-Fetch-Site", "cross-site")},
		"same-site":                   {fine, plain("Sec-Fetch-Site", "same-site", "Origin", "https://matrix.example.test")},
		"another origin":              {fine, plain("Origin", "https://evil.example")},
		"the origin over plain http":  {fine, plain("Origin", "http://matrix.example.test")},
		"the origin at another port":  {fine, plain("Origin", "https://matrix.example.test:8448")},
		"neither header and no token": {"", plain()},
		"a null origin and no token":  {"", plain("Origin", "null")},
		"another site's null origin":  {fine, plain("Sec-Fetch-Site", "cross-site", "Origin", "null")},
	} {
		for _, path := range []string{"/account/logout", "/account/sessions/end"} {
			t.Run(name+" "+path, func(t *testing.T) {
				v.Ask("POST", path, house.Form("csrf", c.token), c.header).WantPage(t, http.StatusForbidden, "Please try again")
			})
		}
		t.Run(name+" login", func(t *testing.T) {
			visiting := h.Browser()
			visiting.Cookies[house.CookieName] = v.Cookies[house.CookieName]
			a := visiting.Ask("POST", "/account/login", house.Form("csrf", c.token, "username", "bob", "password", house.AlicesPassword), c.header)
			if a.Status == http.StatusSeeOther && a.Header.Get("Location") == "/account/login?stale=1" {
				return
			}
			a.WantPage(t, http.StatusForbidden, "Please try again")
		})
	}
	for name, header := range map[string]http.Header{
		"no header at all": plain(), "a null origin": plain("Origin", "null"), "our origin": plain("Origin", "https://matrix.example.test"),
		"typed by the user": plain("Sec-Fetch-Site", "none"), "our page": plain("Sec-Fetch-Site", "same-origin", "Origin", "null"),
	} {
		t.Run("accepted: "+name, func(t *testing.T) {
			v.Ask("POST", "/account/sessions/end", house.Form("csrf", fine, "session", "01NOSUCHSESSION"), header).WantPage(t, http.StatusNotFound, "Session not found")
		})
	}
	t.Run("a page tells no form token by GET", func(t *testing.T) {
		for _, path := range []string{"/account/logout", "/account/consents/withdraw"} {
			a := v.Get(path)
			a.WantPage(t, http.StatusMethodNotAllowed, "This address cannot be opened so")
			if a.Header.Get("Allow") != "POST" {
				t.Errorf("%s allows %q", path, a.Header.Get("Allow"))
			}
		}
	})
	for name, c := range map[string]struct {
		body   string
		kind   string
		status int
	}{
		"json":               {`{"csrf":"` + fine + `"}`, "application/json", http.StatusUnsupportedMediaType},
		"no type":            {"csrf=" + fine, "", http.StatusUnsupportedMediaType},
		"a parameter twice":  {"csrf=" + fine + "&csrf=" + fine, house.FormType.Get("Content-Type"), http.StatusBadRequest},
		"a form beyond size": {"csrf=" + fine + "&x=" + strings.Repeat("x", 70_000), house.FormType.Get("Content-Type"), http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			header := http.Header{"Sec-Fetch-Site": {"same-origin"}}
			if c.kind != "" {
				header.Set("Content-Type", c.kind)
			}
			v.Ask("POST", "/account/logout", c.body, header).WantPage(t, c.status, "This request cannot be answered")
		})
	}
	if after := h.Rows(); after != before {
		t.Errorf("something was changed:\n%s\nwant\n%s", after, before)
	}
}

// TestFaultIsAPage: what goes wrong inside is a page too, and says nothing of it (HTTP-13, HTTP-16).
func TestFaultIsAPage(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	g := h.Browser()
	g.SignIn("alice", "")
	h.Die()
	g.Get("/account/").WantPage(t, http.StatusInternalServerError, "Something went wrong")
	if strings.Contains(g.At.Body, "sql") || strings.Contains(g.At.Body, "closed") {
		t.Errorf("the page shows the cause:\n%s", g.At.Body)
	}
	h.Open()
}

// TestEveryFormOfTheAccount: no form of the account pages does anything for who sends it from elsewhere, or with a token of
// before (HTTP-3). Some lead back to their page, which knows who it is now; and that is a page of ours.
func TestEveryFormOfTheAccount(t *testing.T) {
	h := house.New(t, house.Unlimited, house.WithMail)
	h.Add("alice")
	h.LoginOn("alice", "PHONE")
	b := h.SignedInAs("alice")
	b.Get("/account/")
	fine, session, before := b.Token(), sessionOn(h, "alice", "PHONE"), h.Rows()
	for _, route := range account.Routes.Routes {
		if route.Post == nil || strings.HasPrefix(route.Name, "register") || strings.HasPrefix(route.Name, "recover") || route.Name == "new_password" || route.Name == "sign_in" {
			continue
		}
		for _, query := range []string{"", "?session=" + session, "?what=apps"} {
			send := func(token, site string) house.Answer {
				header := house.SameOriginForm()
				header.Set("Sec-Fetch-Site", site)
				return b.Ask(http.MethodPost, "/"+route.Path+query, house.Form("csrf", token, "session", session, "what", "apps", "name", "x", "account", "@alice:"+house.ServerName, "display_name", "x",
					"current", house.AlicesPassword, "new", "glacier teapot 4711", "email", "alice@example.org"), header)
			}
			for _, site := range []string{"cross-site", "same-site"} {
				send(fine, site).WantPage(t, http.StatusForbidden, "Please try again")
			}
			for _, token := range []string{"", "of before"} {
				a := send(token, "same-origin")
				if to := a.Header.Get("Location"); a.Status == http.StatusSeeOther && strings.HasPrefix(to, "/account/") && strings.Contains(to, "stale=1") {
					continue
				}
				a.WantPage(t, http.StatusForbidden, "Please try again")
			}
		}
	}
	if after := h.Rows(); after != before {
		t.Errorf("something was changed:\n%s\nwant\n%s", after, before)
	}
}
