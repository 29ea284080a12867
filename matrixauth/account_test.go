package matrixauth

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestSignIn is the way in and out of the pages.
func TestSignIn(t *testing.T) {
	t.Run("by name, Matrix id and mail address", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		act(h, AddEmail, NameAndEmail{Name: Name{User: "alice"}, Email: "alice@example.org"})
		for _, name := range []string{"alice", "Alice", "@alice:example.test", "alice@example.org", " ALICE@example.org "} {
			v := h.guest()
			if to := v.signIn(name, ""); to != "/account/" {
				t.Errorf("%q leads to %s", name, to)
			}
			v.follow().wantPage(t, http.StatusOK, "Your account")
			if !strings.Contains(v.at.body, "@alice:example.test") || !strings.Contains(v.at.body, "Firefox, Linux") {
				t.Errorf("the page does not say who and where:\n%s", v.at.body)
			}
		}
	})
	t.Run("SESS-1 SESS-2 the cookie", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		v := h.guest()
		v.get("/account/login")
		before := v.cookies[cookieName]
		if line := v.at.header.Get("Set-Cookie"); line != cookieName+"="+before+"; Path=/; HttpOnly; Secure; SameSite=Lax" || len(before) != 30 {
			t.Errorf("the cookie of a visitor is %q", line)
		}
		v.signIn("alice", "")
		after := v.cookies[cookieName]
		if line := v.at.header.Get("Set-Cookie"); line != cookieName+"="+after+"; Path=/; Max-Age=7776000; HttpOnly; Secure; SameSite=Lax" || before == after {
			t.Errorf("the cookie of a sign-in is %q", line)
		}
		if rows := h.rows(); strings.Contains(rows, after) {
			t.Error("the value of the cookie is stored in clear")
		}
		fixed := h.guest()
		fixed.cookies[cookieName] = before
		fixed.get("/account/").wantTo(t, "/account/login")
		fixed.cookies[cookieName] = "a-value-that-somebody-thought-of"
		fixed.get("/account/login").wantPage(t, http.StatusOK, "Sign in")
		if fixed.cookies[cookieName] == "a-value-that-somebody-thought-of" {
			t.Error("a planted value was kept")
		}
	})
	t.Run("SESS-2 signing in again ends the session before", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice", "bob")
		v := h.guest()
		v.signIn("alice", "")
		old := v.cookies[cookieName]
		v.follow()
		v.post("/account/login", "username", "bob", "password", alicesPassword).wantTo(t, "/account/")
		v.cookies[cookieName] = old
		v.get("/account/").wantTo(t, "/account/login")
	})
	t.Run("those who are signed in are led on", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		v := h.guest()
		v.signIn("alice", "")
		v.get("/account/login").wantTo(t, "/account/")
		v.get("/account/login"+query("action", "session_view", "device_id", "PHONE")).wantTo(t, "/account/?action=session_view&device_id=PHONE")
		v.get("/account"+query("action", "session_view", "device_id", "PHONE")).wantTo(t, "/account/?action=session_view&device_id=PHONE")
	})
	t.Run("SESS-7 a form from before another tab signed in leads on", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		v := h.guest()
		v.get("/account/login")
		first := v.at
		v.signIn("alice", "")
		v.at = first
		v.post("/account/login"+query("action", "session_view", "device_id", "PHONE"), "username", "alice", "password", alicesPassword)
		v.follow().wantTo(t, "/account/?action=session_view&device_id=PHONE")
	})
	t.Run("without cookies the page says so", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		v := h.guest()
		v.get("/account/login")
		clear(v.cookies)
		v.post("/account/login", "username", "alice", "password", alicesPassword).wantTo(t, "/account/login?stale=1")
		v.follow().wantPage(t, http.StatusOK, "Sign in")
		if !strings.Contains(v.at.body, "Cookies must be allowed") {
			t.Error("the page says nothing about cookies")
		}
	})
	t.Run("SESS-3 SESS-8 signing out leaves apps alone", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		phone := h.loginOn("alice", "PHONE")
		v := h.guest()
		v.signIn("alice", "")
		value := v.cookies[cookieName]
		v.follow()
		v.post("/account/logout").wantTo(t, "/account/signed-out")
		if v.cookies[cookieName] != "" {
			t.Error("the cookie stays")
		}
		v.follow().wantPage(t, http.StatusOK, "You are signed out")
		v.cookies[cookieName] = value
		v.get("/account/").wantTo(t, "/account/login")
		h.wantActive(phone.AccessToken, "PHONE")
	})
	t.Run("SESS-4 thirty idle days end it", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		v := h.guest()
		v.signIn("alice", "")
		h.clock.Move(29 * 24 * time.Hour)
		v.get("/account/").wantPage(t, http.StatusOK, "Your account")
		h.clock.Move(30 * 24 * time.Hour)
		v.get("/account/").wantTo(t, "/account/login")
	})
	t.Run("MOD-7 a lock blocks and destroys nothing", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		v := h.guest()
		v.signIn("alice", "")
		act(h, LockUser, Name{User: "alice"})
		for range 2 {
			v.get("/account/").wantPage(t, http.StatusForbidden, "This account is locked")
		}
		other := h.guest()
		other.get("/account/login")
		other.post("/account/login", "username", "alice", "password", alicesPassword).wantPage(t, http.StatusForbidden, "This account is locked")
		act(h, UnlockUser, Name{User: "alice"})
		v.get("/account/").wantPage(t, http.StatusOK, "Your account")
	})
	t.Run("MOD-11 deactivation ends it", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		v := h.guest()
		v.signIn("alice", "")
		act(h, DeactivateUser, Deactivation{Name: Name{User: "alice"}})
		v.get("/account/").wantTo(t, "/account/login")
		v.follow()
		v.post("/account/login", "username", "alice", "password", alicesPassword).wantPage(t, http.StatusForbidden, "This account is deactivated")
	})
	t.Run("an operator's new password signs browsers out, and no app", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		phone := h.loginOn("alice", "PHONE")
		v := h.guest()
		v.signIn("alice", "")
		act(h, SetPassword, NameAndPassword{Name: Name{User: "alice"}, Password: "another long password"})
		v.get("/account/").wantTo(t, "/account/login")
		h.wantActive(phone.AccessToken, "PHONE")
	})
}

// TestSignInForApp is the sign-in on the way from an app to its consent page.
func TestSignInForApp(t *testing.T) {
	begin := func(h *house, asked model.Asked) (id string) {
		h.t.Helper()
		to := model.Delivery{Kind: model.ByRedirect, Redirect: model.Redirect{RedirectURI: "https://app.example/cb"}}
		h.must(h.store.Update(context.Background(), func(tx *store.Tx) error {
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
		h := newHouse(t, unlimited)
		h.add("alice")
		id := begin(h, model.Asked{})
		v := h.guest()
		if to := v.signIn("alice", query("request", id)); to != "/account/consent?request="+id {
			t.Errorf("it leads to %s", to)
		}
		v.get("/account/login"+query("request", id)).wantTo(t, "/account/consent?request="+id)
	})
	t.Run("says for what", func(t *testing.T) {
		h := newHouse(t, unlimited)
		for hint, want := range map[string]string{ // AUTHZ-25
			"mxid:@alice:example.test": "alice", "mxid:@alice:elsewhere.test": "@alice:elsewhere.test", "email:a@example.org": "a@example.org",
			"alice": "alice", `"><script>`: "&#34;&gt;&lt;script&gt;", strings.Repeat("a", 600): "",
		} {
			v := h.guest()
			v.get("/account/login" + query("request", begin(h, model.Asked{LoginHint: hint, UILocales: "xx de-AT en", Create: true})))
			v.at.wantPage(t, http.StatusOK, "Anmelden")
			for _, part := range []string{`value="` + want + `" autocomplete="username"`, "Some App", "legt der Betreiber an", `lang="de"`} { // CREATE-1
				if !strings.Contains(v.at.body, part) {
					t.Errorf("hint %q: the page lacks %q:\n%s", hint, part, v.at.body)
				}
			}
		}
	})
	t.Run("OIDC-11 asks those who are signed in to sign in again if the app wants that", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		v := h.guest()
		v.signIn("alice", "")
		h.clock.Move(time.Second)
		id := begin(h, model.Asked{Login: true})
		v.get("/account/login"+query("request", id)).wantPage(t, http.StatusOK, "Sign in")
		h.clock.Move(time.Second)
		v.post("/account/login"+query("request", id), "username", "alice", "password", alicesPassword).wantTo(t, "/account/consent?request="+id)
		v.get("/account/login"+query("request", id)).wantTo(t, "/account/consent?request="+id)
	})
	t.Run("a request that is over or never was", func(t *testing.T) {
		h := newHouse(t, unlimited)
		id := begin(h, model.Asked{})
		h.clock.Move(time.Hour)
		for _, id := range []string{id, "01NOSUCHREQUEST", `"><script>`} {
			h.guest().get("/account/login"+query("request", id)).wantPage(t, http.StatusBadRequest, "This sign-in is over")
		}
	})
	t.Run("not you", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		id := begin(h, model.Asked{})
		v := h.guest()
		v.signIn("alice", "")
		v.follow()
		v.post("/account/logout", "request", id).wantTo(t, "/account/login?request="+id)
		v.follow().wantPage(t, http.StatusOK, "Sign in")
	})
}

// TestSignInFails: a try that fails tells by nothing whether its account exists (ENUM-1), and tries are
// counted together with those of the legacy login (PW-13).
func TestSignInFails(t *testing.T) {
	t.Run("ENUM-1 equal body, status and cost", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice", "gone", "locked")
		act(h, AddUser, NewUser{Localpart: "nopass"})
		act(h, AddEmail, NameAndEmail{Name: Name{User: "alice"}, Email: "alice@example.org"})
		act(h, DeactivateUser, Deactivation{Name: Name{User: "gone"}})
		act(h, LockUser, Name{User: "locked"})
		h.settle()
		v := h.guest()
		v.get("/account/login")
		page := v.at
		first := ""
		for _, name := range []string{"alice", "nobody", "nopass", "gone", "locked", "@alice:example.test", "@nobody:example.test", "@alice:elsewhere.test", "alice@example.org", "nobody@example.org", ""} {
			v.at = page
			before := cost{h.hashes(), h.store.Statements()}
			a := v.post("/account/login", "username", name, "password", "wrong")
			if spent := (cost{h.hashes() - before.hashes, h.store.Statements() - before.statements}); spent != (cost{1, 4}) { // the fourth is who is signed in
				t.Errorf("%q cost %+v", name, spent)
			}
			a.wantPage(t, http.StatusForbidden, "Sign in")
			// What was typed stands in the form again, and whoever typed nothing is led there first.
			body := strings.NewReplacer(`value="`+name+`" autocomplete`, `value="" autocomplete`, " autofocus", "").Replace(a.body)
			if first == "" {
				first = body
			}
			if body != first {
				t.Errorf("%q: the page differs:\n%s\nand\n%s", name, body, first)
			}
		}
	})
	t.Run("PW-13 limits are shared with the legacy login", func(t *testing.T) {
		h := newHouse(t, limits(Rate{Burst: 1000, PerMinute: 1000}, Rate{Burst: 2, PerMinute: 1}))
		h.add("alice")
		h.do(call{method: "POST", path: loginPath, body: loginBody("@ALICE:example.test", "wrong", nil)}).want(t, http.StatusForbidden, "M_FORBIDDEN")
		v := h.guest()
		v.get("/account/login")
		v.post("/account/login", "username", "alice", "password", "wrong").wantPage(t, http.StatusForbidden, "Sign in")
		v.post("/account/login", "username", "alice", "password", alicesPassword).wantPage(t, http.StatusTooManyRequests, "Sign in")
		if v.at.header.Get("Retry-After") != "60" || !strings.Contains(shown(v.at), "That was too many tries. Try again in 60 seconds.") {
			t.Errorf("the wait is %q:\n%s", v.at.header.Get("Retry-After"), v.at.body)
		}
		h.tryLogin("alice", nil).want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		h.clock.Move(time.Minute)
		v.post("/account/login", "username", "alice", "password", alicesPassword).wantTo(t, "/account/")
	})
	t.Run("by network", func(t *testing.T) {
		h := newHouse(t, limits(Rate{Burst: 1, PerMinute: 1}, Rate{Burst: 1000, PerMinute: 1000}))
		h.add("alice")
		v := h.guest()
		v.get("/account/login")
		v.post("/account/login", "username", "nobody", "password", "wrong").wantPage(t, http.StatusForbidden, "Sign in")
		v.post("/account/login", "username", "alice", "password", alicesPassword).wantPage(t, http.StatusTooManyRequests, "Sign in")
		v.ip = "198.51.100.7"
		v.post("/account/login", "username", "alice", "password", alicesPassword).wantTo(t, "/account/")
	})
}

// TestForms: what changes anything is a POST of a form that only our page in that very browser can have
// (HTTP-3).
func TestForms(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice", "bob")
	v := h.guest()
	v.signIn("alice", "")
	v.follow()
	fine := v.token()
	other := h.guest()
	other.get("/account/login")
	plain := func(more ...string) http.Header {
		header := http.Header{"Content-Type": formType["Content-Type"]}
		for i := 0; i < len(more); i += 2 {
			header.Set(more[i], more[i+1])
		}
		return header
	}
	before := h.rows()
	for name, c := range map[string]struct {
		token  string
		header http.Header
	}{
		"no token":                    {"", plain("Sec-Fetch-Site", "same-origin")},
		"another browser's token":     {other.token(), plain("Sec-Fetch-Site", "same-origin")},
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
				v.ask("POST", path, form("csrf", c.token), c.header).wantPage(t, http.StatusForbidden, "Please try again")
			})
		}
		t.Run(name+" login", func(t *testing.T) {
			visiting := h.guest()
			visiting.cookies[cookieName] = v.cookies[cookieName]
			a := visiting.ask("POST", "/account/login", form("csrf", c.token, "username", "bob", "password", alicesPassword), c.header)
			if a.status == http.StatusSeeOther && a.header.Get("Location") == "/account/login?stale=1" {
				return
			}
			a.wantPage(t, http.StatusForbidden, "Please try again")
		})
	}
	for name, header := range map[string]http.Header{
		"no header at all": plain(), "a null origin": plain("Origin", "null"), "our origin": plain("Origin", "https://matrix.example.test"),
		"typed by the user": plain("Sec-Fetch-Site", "none"), "our page": plain("Sec-Fetch-Site", "same-origin", "Origin", "null"),
	} {
		t.Run("accepted: "+name, func(t *testing.T) {
			v.ask("POST", "/account/sessions/end", form("csrf", fine, "session", "01NOSUCHSESSION"), header).wantPage(t, http.StatusNotFound, "Session not found")
		})
	}
	t.Run("a page tells no form token by GET", func(t *testing.T) {
		for _, path := range []string{"/account/logout", "/account/sessions/end"} {
			a := v.get(path)
			a.wantPage(t, http.StatusMethodNotAllowed, "This address cannot be opened so")
			if a.header.Get("Allow") != "POST" {
				t.Errorf("%s allows %q", path, a.header.Get("Allow"))
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
		"a parameter twice":  {"csrf=" + fine + "&csrf=" + fine, formType.Get("Content-Type"), http.StatusBadRequest},
		"a form beyond size": {"csrf=" + fine + "&x=" + strings.Repeat("x", 70_000), formType.Get("Content-Type"), http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			header := http.Header{"Sec-Fetch-Site": {"same-origin"}}
			if c.kind != "" {
				header.Set("Content-Type", c.kind)
			}
			v.ask("POST", "/account/logout", c.body, header).wantPage(t, c.status, "This request cannot be answered")
		})
	}
	if after := h.rows(); after != before {
		t.Errorf("something was changed:\n%s\nwant\n%s", after, before)
	}
}

// scene is a person at the account page, with two apps, beside somebody else with one.
type scene struct {
	*house
	*guest
	phone, laptop, bobs signedIn
}

func newScene(t *testing.T) scene {
	t.Helper()
	h := newHouse(t, unlimited)
	h.add("alice", "bob")
	s := scene{house: h, guest: h.guest()}
	s.phone = h.login("alice", object{"device_id": "PHONE", "initial_device_display_name": "Alice's <b>phone</b>"})
	s.laptop, s.bobs = h.loginOn("alice", "LAPTOP"), h.loginOn("bob", "BOBS")
	s.guest.signIn("alice", "")
	s.follow()
	return s
}

// TestAccountPage lists what is signed in and ends it; links of MSC4191 lead to it.
func TestAccountPage(t *testing.T) {
	t.Run("names apps in the person's language", func(t *testing.T) { // REG-24
		h := newOAuthHouse(t)
		h.register("german", "", func(m *model.ClientMetadata) { m.Localized = map[string]string{"client_name#de": "Eine App"} })
		b := h.signedInAs("alice")
		h.oauthSession("alice", "german", "PHONE")
		for language, want := range map[string]string{"de-AT": "Eine App", "en": "An App"} {
			header := b.cookieHeader()
			header.Set("Accept-Language", language)
			h.do(call{path: "/account/", header: header}).shows(t, http.StatusOK, want)
		}
	})
	t.Run("lists sessions", func(t *testing.T) {
		s := newScene(t)
		for _, part := range []string{"Alice&#39;s &lt;b&gt;phone&lt;/b&gt;", "LAPTOP", "this browser", officeIP} {
			if !strings.Contains(s.at.body, part) {
				t.Errorf("the page lacks %q:\n%s", part, s.at.body)
			}
		}
		if strings.Contains(s.at.body, "BOBS") {
			t.Error("the page shows what is not alice's")
		}
		if n := strings.Count(s.at.body, ">Sign out</button>"); n != 3 {
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
			before := s.rows()
			heading := map[string]string{"list": "Your account", "view": "Your account", "end": "Sign out this session?"}[kind]
			s.get("/account/"+query("action", action, "device_id", "PHONE")).wantPage(t, http.StatusOK, heading)
			if chosen := strings.Contains(s.at.body, `aria-current="true"`); chosen != (kind == "view") {
				t.Errorf("a session is chosen: %v", chosen)
			}
			if strings.Contains(s.at.body, "no such action") || strings.Contains(s.at.body, "<script>") {
				t.Error("the page repeats the action")
			}
			s.get("/account/"+query("action", action)).wantPage(t, http.StatusOK, "Your account")
			for _, device := range []string{"BOBS", "NOSUCHDEVICE", "", "\x00"} { // ACCT-4
				status, heading := http.StatusNotFound, "Session not found"
				if kind == "list" {
					status, heading = http.StatusOK, "Your account"
				}
				s.get("/account/"+query("action", action, "device_id", device)).wantPage(t, status, heading)
			}
			if after := s.rows(); after != before { // ACCT-5
				t.Errorf("a GET changed something:\n%s\nwant\n%s", after, before)
			}
		})
	}
	t.Run("ACCT-8 a link survives the sign-in, and leads nowhere else", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		h.loginOn("alice", "PHONE")
		v := h.guest()
		v.get("/account/"+query("action", "org.matrix.device_delete", "device_id", "PHONE")).wantTo(t, "/account/login?action=org.matrix.device_delete&device_id=PHONE")
		if to := v.signIn("alice", query("action", "org.matrix.device_delete", "device_id", "PHONE")); to != "/account/?action=org.matrix.device_delete&device_id=PHONE" {
			t.Errorf("it leads to %s", to)
		}
		v.follow().wantPage(t, http.StatusOK, "Sign out this session?")
		for _, evil := range []string{"//evil.example", `\\evil.example`, "https://evil.example", "\r\nLocation: https://evil.example", "x&y"} { // HTTP-8
			for _, name := range []string{"action", "next", "device_id", "return_to"} {
				h.guest().get("/account/"+query(name, evil)).wantTo(t, "/account/login")
			}
		}
	})
	t.Run("ACCT-5 ends a session by POST, at once and at the homeserver", func(t *testing.T) {
		s := newScene(t)
		s.get("/account/" + query("action", "org.matrix.device_delete", "device_id", "PHONE"))
		id := hidden(s.at.body, "session")
		s.post("/account/sessions/end", "session", id).wantTo(t, "/account/?ended=1")
		s.wantInactive(s.phone.AccessToken)
		s.wantActive(s.laptop.AccessToken, "LAPTOP")
		s.wantDevices("alice", "LAPTOP")
		s.follow().wantPage(t, http.StatusOK, "Your account")
		if !strings.Contains(s.at.body, "The session was signed out.") || strings.Contains(s.at.body, "PHONE") {
			t.Errorf("the page shows:\n%s", s.at.body)
		}
		s.post("/account/sessions/end", "session", id).wantPage(t, http.StatusNotFound, "Session not found")
	})
	t.Run("ACCT-4 ends nobody else's", func(t *testing.T) {
		s := newScene(t)
		theirs := act(s.house, ListSessions, SessionsAsked{User: "bob"}).Sessions[0].ID
		bob := s.house.guest()
		bob.signIn("bob", "")
		token := s.at
		for _, field := range [][2]string{{"session", theirs}, {"browser", s.browserOf("bob")}, {"session", ""}, {"session", "no such"}, {"browser", "no such"}, {"browser", theirs}} {
			s.at = token
			s.post("/account/sessions/end", field[0], field[1]).wantPage(t, http.StatusNotFound, "Session not found")
		}
		s.wantActive(s.bobs.AccessToken, "BOBS")
		bob.get("/account/").wantPage(t, http.StatusOK, "Your account")
	})
	t.Run("ends another browser", func(t *testing.T) {
		s := newScene(t)
		other := s.house.guest()
		other.signIn("alice", "")
		s.get("/account/")
		s.post("/account/sessions/end", "browser", hidden(s.at.body, "browser")).wantTo(t, "/account/?ended=1")
		other.get("/account/").wantTo(t, "/account/login")
		s.follow().wantPage(t, http.StatusOK, "Your account")
	})
	t.Run("not signed in", func(t *testing.T) {
		s := newScene(t)
		v := s.house.guest()
		v.get("/account/login")
		v.post("/account/sessions/end", "session", "x").wantTo(t, "/account/login")
	})
	t.Run("works while the homeserver is down", func(t *testing.T) {
		s := newScene(t)
		s.get("/account/" + query("action", "session_end", "device_id", "PHONE"))
		s.fake.Stop()
		s.post("/account/sessions/end", "session", hidden(s.at.body, "session")).wantTo(t, "/account/?ended=1")
		s.wantInactive(s.phone.AccessToken)
	})
}

// TestOperatorsSessions: operators see and end sessions of every kind.
func TestOperatorsSessions(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	h.loginOn("alice", "LAPTOP")
	h.register("some-client", "")
	b := h.signedInAs("alice")
	h.tokens(h.exchange("some-client", b.consent(params("some-client"))))
	kinds := map[string]Session{}
	for _, s := range act(h, ListSessions, SessionsAsked{User: "alice"}).Sessions {
		kinds[s.Kind] = s
	}
	if s := kinds["oauth"]; s.ClientID != "some-client" || s.ClientName != "An App" || s.DeviceID != "PHONE" {
		t.Errorf("the OAuth session is %+v", s)
	}
	if s := kinds["compat"]; s.ClientID != "" || s.DeviceID != "LAPTOP" {
		t.Errorf("the compatibility session is %+v", s)
	}
	if s := kinds[BrowserKind]; s.DeviceID != "" || s.LastIP != officeIP {
		t.Errorf("the browser session is %+v", s)
	}
	for kind, s := range kinds {
		if killed := act(h, EndSessions, SessionsToEnd{Session: s.ID}); killed.Sessions != 1 {
			t.Errorf("%s: %d ended", kind, killed.Sessions)
		}
		if _, err := EndSessions.Do(t.Context(), h.ops, SessionsToEnd{Session: s.ID}); err == nil {
			t.Errorf("%s was ended twice", kind)
		}
	}
	b.get("/account/").wantTo(t, "/account/login")
	h.wantSessions("alice")
	h.loginOn("alice", "LAPTOP")
	h.signedInAs("alice")
	h.signedInAs("alice")
	if killed := act(h, EndSessions, SessionsToEnd{User: "alice"}); killed.Sessions != 3 {
		t.Errorf("%d ended", killed.Sessions)
	}
}

// TestPagesBelowPath: with an issuer under a path all is below it, the cookie too; over plain http the
// cookie has another name (SESS-1).
func TestPagesBelowPath(t *testing.T) {
	for issuer, want := range map[string]struct{ base, cookie, more string }{
		"https://" + issuerHost + "/auth": {"/auth/", "__Secure-matrix_auth", "; Path=/auth/; HttpOnly; Secure; SameSite=Lax"},
		"http://localhost:8448":           {"/", "matrix_auth", "; Path=/; HttpOnly; SameSite=Lax"},
	} {
		t.Run(issuer, func(t *testing.T) {
			h := newHouse(t, unlimited, func(c *Config) { c.Issuer = issuer })
			h.add("alice")
			host := issuerHost
			if strings.Contains(issuer, "localhost") {
				host = "localhost:8448"
			}
			a := h.do(call{path: want.base + "account/login", host: host})
			a.wantPage(t, http.StatusOK, "Sign in")
			cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
			if a.header.Get("Set-Cookie") != cookie+want.more || !strings.HasPrefix(cookie, want.cookie+"=") {
				t.Errorf("the cookie is %s", a.header.Get("Set-Cookie"))
			}
			token := hiddenToken.FindStringSubmatch(a.body)[1]
			header := sameOriginForm()
			header.Set("Cookie", cookie)
			req := call{method: "POST", path: want.base + "account/login", host: host, header: header, body: form("csrf", token, "username", "alice", "password", "wrong")}
			h.do(req).wantPage(t, http.StatusForbidden, "Sign in")
			style := regexp.MustCompile(`href="([^"]*\.css)"`).FindStringSubmatch(a.body)[1]
			if !strings.HasPrefix(style, want.base+"account/") {
				t.Errorf("the stylesheet is at %s", style)
			}
			css := h.do(call{path: style, host: host})
			if css.status != http.StatusOK || css.header.Get("Content-Type") != "text/css; charset=utf-8" {
				t.Errorf("the stylesheet is %d %v", css.status, css.header)
			}
			for _, path := range []string{"account/login", "account/", style[len(want.base):]} {
				if a := h.do(call{path: want.base + path, host: "example.org"}); a.status != passedOn {
					t.Errorf("another host's %s is answered with %d", path, a.status)
				}
			}
			if a := h.do(call{method: "HEAD", path: want.base + "account/login", host: host}); a.status != http.StatusOK || a.body != "" {
				t.Errorf("HEAD gives %d %q", a.status, a.body)
			}
		})
	}
}

// TestFaultIsAPage: what goes wrong inside is a page too, and says nothing of it (HTTP-13, HTTP-16).
func TestFaultIsAPage(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	g := h.guest()
	g.signIn("alice", "")
	h.die()
	g.get("/account/").wantPage(t, http.StatusInternalServerError, "Something went wrong")
	if strings.Contains(g.at.body, "sql") || strings.Contains(g.at.body, "closed") {
		t.Errorf("the page shows the cause:\n%s", g.at.body)
	}
	h.open()
}
