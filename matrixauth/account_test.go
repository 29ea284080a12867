package matrixauth_test

import (
	"context"
	"net/http"
	"regexp"
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
			v.Follow().WantPage(t, http.StatusOK, "Your account")
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
		v.Get("/account/").WantPage(t, http.StatusOK, "Your account")
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
		v.Get("/account/").WantPage(t, http.StatusOK, "Your account")
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
		for _, path := range []string{"/account/logout", "/account/sessions/end"} {
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

// scene is a person at the account page, with two apps, beside somebody else with one.
type scene struct {
	*house.House
	*house.Browser
	phone, laptop, bobs house.SignedIn
}

func newScene(t *testing.T) scene {
	t.Helper()
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	s := scene{House: h, Browser: h.Browser()}
	s.phone = h.Login("alice", house.Object{"device_id": "PHONE", "initial_device_display_name": "Alice's <b>phone</b>"})
	s.laptop, s.bobs = h.LoginOn("alice", "LAPTOP"), h.LoginOn("bob", "BOBS")
	s.Browser.SignIn("alice", "")
	s.Follow()
	return s
}

// TestAccountPage lists what is signed in and ends it; links of MSC4191 lead to it.
func TestAccountPage(t *testing.T) {
	t.Run("names apps in the person's language", func(t *testing.T) { // REG-24
		h := house.WithApp(t)
		h.Register("german", "", func(m *model.ClientMetadata) { m.Localized = map[string]string{"client_name#de": "Eine App"} })
		b := h.SignedInAs("alice")
		h.OauthSession("alice", "german", "PHONE")
		for language, want := range map[string]string{"de-AT": "Eine App", "en": "An App"} {
			header := b.CookieHeader()
			header.Set("Accept-Language", language)
			h.Do(house.Call{Path: "/account/", Header: header}).Shows(t, http.StatusOK, want)
		}
	})
	t.Run("lists sessions", func(t *testing.T) {
		s := newScene(t)
		for _, part := range []string{"Alice&#39;s &lt;b&gt;phone&lt;/b&gt;", "LAPTOP", "this browser", house.OfficeIP} {
			if !strings.Contains(s.At.Body, part) {
				t.Errorf("the page lacks %q:\n%s", part, s.At.Body)
			}
		}
		if strings.Contains(s.At.Body, "BOBS") {
			t.Error("the page shows what is not alice's")
		}
		if n := strings.Count(s.At.Body, ">Sign out</button>"); n != 3 {
			t.Errorf("there are %d buttons", n)
		}
	})
	for action, kind := range map[string]string{ // ACCT-2, ACCT-3, ACCT-7
		"org.matrix.devices_list": "list", "org.matrix.sessions_list": "list", "sessions_list": "list", "": "list",
		"org.matrix.device_view": "view", "org.matrix.session_view": "view", "session_view": "view",
		"org.matrix.device_delete": "end", "org.matrix.session_end": "end", "session_end": "end",
		"org.matrix.plan_management": "list", "org.matrix.profile": "list", "no such action": "list", "<script>": "list",
	} {
		t.Run("action "+action, func(t *testing.T) {
			s := newScene(t)
			before := s.Rows()
			heading := map[string]string{"list": "Your account", "view": "Your account", "end": "Sign out this session?"}[kind]
			s.Get("/account/"+house.Query("action", action, "device_id", "PHONE")).WantPage(t, http.StatusOK, heading)
			if chosen := strings.Contains(s.At.Body, `aria-current="true"`); chosen != (kind == "view") {
				t.Errorf("a session is chosen: %v", chosen)
			}
			if strings.Contains(s.At.Body, "no such action") || strings.Contains(s.At.Body, "<script>") {
				t.Error("the page repeats the action")
			}
			s.Get("/account/"+house.Query("action", action)).WantPage(t, http.StatusOK, "Your account")
			for _, device := range []string{"BOBS", "NOSUCHDEVICE", "", "\x00"} { // ACCT-4
				status, heading := http.StatusNotFound, "Session not found"
				if kind == "list" {
					status, heading = http.StatusOK, "Your account"
				}
				s.Get("/account/"+house.Query("action", action, "device_id", device)).WantPage(t, status, heading)
			}
			if after := s.Rows(); after != before { // ACCT-5
				t.Errorf("a GET changed something:\n%s\nwant\n%s", after, before)
			}
		})
	}
	t.Run("ACCT-8 a link survives the sign-in, and leads nowhere else", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		h.LoginOn("alice", "PHONE")
		v := h.Browser()
		v.Get("/account/"+house.Query("action", "org.matrix.device_delete", "device_id", "PHONE")).WantTo(t, "/account/login?action=org.matrix.device_delete&device_id=PHONE")
		if to := v.SignIn("alice", house.Query("action", "org.matrix.device_delete", "device_id", "PHONE")); to != "/account/?action=org.matrix.device_delete&device_id=PHONE" {
			t.Errorf("it leads to %s", to)
		}
		v.Follow().WantPage(t, http.StatusOK, "Sign out this session?")
		for _, evil := range []string{"//evil.example", `\\evil.example`, "https://evil.example", "\r\nLocation: https://evil.example", "x&y"} { // HTTP-8
			for _, name := range []string{"action", "next", "device_id", "return_to"} {
				h.Browser().Get("/account/"+house.Query(name, evil)).WantTo(t, "/account/login")
			}
		}
	})
	t.Run("ACCT-5 ends a session by POST, at once and at the homeserver", func(t *testing.T) {
		s := newScene(t)
		s.Get("/account/" + house.Query("action", "org.matrix.device_delete", "device_id", "PHONE"))
		id := house.Hidden(s.At.Body, "session")
		s.Post("/account/sessions/end", "session", id).WantTo(t, "/account/?ended=1")
		s.WantInactive(s.phone.AccessToken)
		s.WantActive(s.laptop.AccessToken, "LAPTOP")
		s.WantDevices("alice", "LAPTOP")
		s.Follow().WantPage(t, http.StatusOK, "Your account")
		if !strings.Contains(s.At.Body, "The session was signed out.") || strings.Contains(s.At.Body, "PHONE") {
			t.Errorf("the page shows:\n%s", s.At.Body)
		}
		s.Post("/account/sessions/end", "session", id).WantPage(t, http.StatusNotFound, "Session not found")
	})
	t.Run("ACCT-4 ends nobody else's", func(t *testing.T) {
		s := newScene(t)
		theirs := house.Act(s.House, matrixauth.ListSessions, matrixauth.SessionQuery{User: "bob"}).Sessions[0].ID
		bob := s.House.Browser()
		bob.SignIn("bob", "")
		token := s.At
		for _, field := range [][2]string{{"session", theirs}, {"browser", s.BrowserOf("bob")}, {"session", ""}, {"session", "no such"}, {"browser", "no such"}, {"browser", theirs}} {
			s.At = token
			s.Post("/account/sessions/end", field[0], field[1]).WantPage(t, http.StatusNotFound, "Session not found")
		}
		s.WantActive(s.bobs.AccessToken, "BOBS")
		bob.Get("/account/").WantPage(t, http.StatusOK, "Your account")
	})
	t.Run("ends another browser", func(t *testing.T) {
		s := newScene(t)
		other := s.House.Browser()
		other.SignIn("alice", "")
		s.Get("/account/")
		s.Post("/account/sessions/end", "browser", house.Hidden(s.At.Body, "browser")).WantTo(t, "/account/?ended=1")
		other.Get("/account/").WantTo(t, "/account/login")
		s.Follow().WantPage(t, http.StatusOK, "Your account")
	})
	t.Run("not signed in", func(t *testing.T) {
		s := newScene(t)
		v := s.House.Browser()
		v.Get("/account/login")
		v.Post("/account/sessions/end", "session", "x").WantTo(t, "/account/login")
	})
	t.Run("works while the homeserver is down", func(t *testing.T) {
		s := newScene(t)
		s.Get("/account/" + house.Query("action", "session_end", "device_id", "PHONE"))
		s.Fake.Stop()
		s.Post("/account/sessions/end", "session", house.Hidden(s.At.Body, "session")).WantTo(t, "/account/?ended=1")
		s.WantInactive(s.phone.AccessToken)
	})
}

// TestOperatorsSessions: operators see and end sessions of every kind.
func TestOperatorsSessions(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	h.LoginOn("alice", "LAPTOP")
	h.Register("some-client", "")
	b := h.SignedInAs("alice")
	h.Tokens(h.Exchange("some-client", b.Consent(house.Params("some-client"))))
	kinds := map[string]matrixauth.Session{}
	for _, s := range house.Act(h, matrixauth.ListSessions, matrixauth.SessionQuery{User: "alice"}).Sessions {
		kinds[s.Kind] = s
	}
	if s := kinds["oauth"]; s.ClientID != "some-client" || s.ClientName != "An App" || s.DeviceID != "PHONE" {
		t.Errorf("the OAuth session is %+v", s)
	}
	if s := kinds["compat"]; s.ClientID != "" || s.DeviceID != "LAPTOP" {
		t.Errorf("the compatibility session is %+v", s)
	}
	if s := kinds[matrixauth.BrowserKind]; s.DeviceID != "" || s.LastIP != house.OfficeIP {
		t.Errorf("the browser session is %+v", s)
	}
	for kind, s := range kinds {
		if ended := house.Act(h, matrixauth.EndSessions, matrixauth.SessionsToEnd{Session: s.ID}); ended.Sessions != 1 {
			t.Errorf("%s: %d ended", kind, ended.Sessions)
		}
		if _, err := matrixauth.EndSessions.Do(t.Context(), h.Ops, matrixauth.SessionsToEnd{Session: s.ID}); err == nil {
			t.Errorf("%s was ended twice", kind)
		}
	}
	b.Get("/account/").WantTo(t, "/account/login")
	h.WantSessions("alice")
	h.LoginOn("alice", "LAPTOP")
	h.SignedInAs("alice")
	h.SignedInAs("alice")
	if ended := house.Act(h, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: "alice"}); ended.Sessions != 3 {
		t.Errorf("%d ended", ended.Sessions)
	}
}

// TestPagesBelowPath: with an issuer under a path all is below it, the cookie too; over plain http the
// cookie has another name (SESS-1).
func TestPagesBelowPath(t *testing.T) {
	for issuer, want := range map[string]struct{ base, cookie, more string }{
		"https://" + house.IssuerHost + "/auth": {"/auth/", "__Secure-matrix_auth", "; Path=/auth/; HttpOnly; Secure; SameSite=Lax"},
		"http://localhost:8448":                 {"/", "matrix_auth", "; Path=/; HttpOnly; SameSite=Lax"},
	} {
		t.Run(issuer, func(t *testing.T) {
			h := house.New(t, house.Unlimited, func(c *matrixauth.Config) { c.Issuer = issuer })
			h.Add("alice")
			host := house.IssuerHost
			if strings.Contains(issuer, "localhost") {
				host = "localhost:8448"
			}
			a := h.Do(house.Call{Path: want.base + "account/login", Host: host})
			a.WantPage(t, http.StatusOK, "Sign in")
			cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
			if a.Header.Get("Set-Cookie") != cookie+want.more || !strings.HasPrefix(cookie, want.cookie+"=") {
				t.Errorf("the cookie is %s", a.Header.Get("Set-Cookie"))
			}
			token := house.HiddenToken.FindStringSubmatch(a.Body)[1]
			header := house.SameOriginForm()
			header.Set("Cookie", cookie)
			req := house.Call{Method: "POST", Path: want.base + "account/login", Host: host, Header: header, Body: house.Form("csrf", token, "username", "alice", "password", "wrong")}
			h.Do(req).WantPage(t, http.StatusForbidden, "Sign in")
			style := regexp.MustCompile(`href="([^"]*\.css)"`).FindStringSubmatch(a.Body)[1]
			if !strings.HasPrefix(style, want.base+"account/") {
				t.Errorf("the stylesheet is at %s", style)
			}
			css := h.Do(house.Call{Path: style, Host: host})
			if css.Status != http.StatusOK || css.Header.Get("Content-Type") != "text/css; charset=utf-8" {
				t.Errorf("the stylesheet is %d %v", css.Status, css.Header)
			}
			for _, path := range []string{"account/login", "account/", style[len(want.base):]} {
				if a := h.Do(house.Call{Path: want.base + path, Host: "example.org"}); a.Status != house.PassedOn {
					t.Errorf("another host's %s is answered with %d", path, a.Status)
				}
			}
			if a := h.Do(house.Call{Method: "HEAD", Path: want.base + "account/login", Host: host}); a.Status != http.StatusOK || a.Body != "" {
				t.Errorf("HEAD gives %d %q", a.Status, a.Body)
			}
		})
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
