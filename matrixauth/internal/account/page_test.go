package account_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

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
		for _, part := range []string{"Alice&#39;s &lt;b&gt;phone&lt;/b&gt;", "LAPTOP", house.OfficeIP} {
			if !strings.Contains(s.At.Body, part) {
				t.Errorf("the page lacks %q:\n%s", part, s.At.Body)
			}
		}
		if strings.Contains(s.At.Body, "BOBS") {
			t.Error("the page shows what is not alice's")
		}
		if n := strings.Count(s.At.Body, ">Sign out</button>"); n != 2 {
			t.Errorf("there are %d buttons", n)
		}
	})
	for action, kind := range map[string]string{ // ACCT-2, ACCT-3, ACCT-7, ACCT-13
		"org.matrix.devices_list": "list", "devices_list": "list", "org.matrix.sessions_list": "list", "sessions_list": "list", "": "list",
		"org.matrix.device_view": "view", "device_view": "view", "org.matrix.session_view": "view", "session_view": "view",
		"org.matrix.device_delete": "end", "device_delete": "end", "org.matrix.session_end": "end", "session_end": "end",
		"org.matrix.plan_management": "list", "no such action": "list", "<script>": "list",
	} {
		t.Run("action "+action, func(t *testing.T) {
			s := newScene(t)
			before := s.Rows()
			heading := map[string]string{"list": "Apps and devices", "view": "Apps and devices", "end": "Sign out this session?"}[kind]
			s.Get("/account/"+house.Query("action", action, "device_id", "PHONE")).WantPage(t, http.StatusOK, heading)
			if chosen := strings.Contains(s.At.Body, `class="chosen"`); chosen != (kind == "view") {
				t.Errorf("a session is chosen: %v", chosen)
			}
			if strings.Contains(s.At.Body, "no such action") || strings.Contains(s.At.Body, "<script>") {
				t.Error("the page repeats the action")
			}
			s.Get("/account/"+house.Query("action", action)).WantPage(t, http.StatusOK, "Apps and devices")
			for _, device := range []string{"BOBS", "NOSUCHDEVICE", "", "\x00"} { // ACCT-4
				status, heading := http.StatusNotFound, "Session not found"
				if kind == "list" {
					status, heading = http.StatusOK, "Apps and devices"
				}
				s.Get("/account/"+house.Query("action", action, "device_id", device)).WantPage(t, status, heading)
			}
			if after := s.Rows(); after != before { // ACCT-5
				t.Errorf("a GET changed something:\n%s\nwant\n%s", after, before)
			}
		})
	}
	for action, want := range map[string]struct{ path, heading string }{ // ACCT-2, ACCT-3
		"org.matrix.profile": {"/account/profile", "Your profile"}, "profile": {"/account/profile", "Your profile"},
		"org.matrix.account_deactivate": {"/account/leave", "Deactivate your account?"}, "account_deactivate": {"/account/leave", "Deactivate your account?"},
		"org.matrix.cross_signing_reset": {"", "Reset your digital identity?"}, "cross_signing_reset": {"", "Reset your digital identity?"},
	} {
		t.Run("action "+action, func(t *testing.T) {
			s := newScene(t)
			before := s.Rows()
			s.Get("/account/" + house.Query("action", action))
			if want.path != "" {
				s.At.WantTo(t, want.path)
				s.Follow()
			}
			s.At.WantPage(t, http.StatusOK, want.heading)
			if after := s.Rows(); after != before { // ACCT-5
				t.Errorf("a GET changed something:\n%s\nwant\n%s", after, before)
			}
			v := s.House.Browser()
			v.Get("/account/"+house.Query("action", action, "device_id", "PHONE")).WantTo(t, "/account/login"+house.Query("action", action, "device_id", "PHONE"))
			v.SignIn("alice", house.Query("action", action, "device_id", "PHONE")) // ACCT-8
			v.Follow().WantPage(t, http.StatusOK, want.heading)
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
		s.Follow().WantPage(t, http.StatusOK, "Apps and devices")
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
		bob.Get("/account/").WantPage(t, http.StatusOK, "Apps and devices")
	})
	t.Run("ends another browser", func(t *testing.T) {
		s := newScene(t)
		other := s.House.Browser()
		other.SignIn("alice", "")
		s.Get("/account/browsers").WantPage(t, http.StatusOK, "Browsers")
		id := house.Hidden(s.At.Body, "browser")
		s.Get("/account/sessions/end?browser="+id).WantPage(t, http.StatusOK, "Sign out this browser?")
		s.Post("/account/sessions/end", "browser", id).WantTo(t, "/account/browsers?ended=1")
		other.Get("/account/").WantTo(t, "/account/login")
		s.Follow().WantPage(t, http.StatusOK, "Browsers")
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
