package account_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

const (
	endSession = "/account/sessions/end"
	endOthers  = "/account/sessions/end-others"
	rename     = "/account/sessions/name"
)

// sessionOn returns the id of a user's session on a device.
func sessionOn(h *house.House, user, device string) string {
	h.T.Helper()
	all := house.Act(h, matrixauth.ListSessions, matrixauth.SessionQuery{User: user}).Sessions
	at := slices.IndexFunc(all, func(s matrixauth.Session) bool { return s.DeviceID == device })
	if at < 0 {
		h.T.Fatalf("%s has no session on %s", user, device)
	}
	return all[at].ID
}

// TestEndSelected: several apps are signed out at once, after a page that says what is lost (ACCT-5).
func TestEndSelected(t *testing.T) {
	t.Run("those that were ticked and no others", func(t *testing.T) {
		s := newScene(t)
		tablet := s.LoginOn("alice", "TABLET")
		phone, laptop := sessionOn(s.House, "alice", "PHONE"), sessionOn(s.House, "alice", "LAPTOP")
		s.Get("/account/")
		if n := strings.Count(s.At.Body, `<input type="checkbox" name="session"`); n != 3 {
			t.Errorf("there are %d boxes", n)
		}
		before := s.Rows()
		s.Get(endSession+house.Query("session", phone)+"&session="+laptop).WantPage(t, http.StatusOK, "Sign out these apps?")
		if text := house.Shown(s.At); !strings.Contains(text, "2 apps will be signed out") || !strings.Contains(text, "you lose your earlier encrypted messages") ||
			!strings.Contains(text, "Device PHONE") || !strings.Contains(text, "Device LAPTOP") || strings.Contains(text, "TABLET") {
			t.Errorf("the page says %s", text)
		}
		if s.Rows() != before {
			t.Error("a GET changed something")
		}
		if got, want := house.Hidden(s.At.Body, "sessions"), 2; len(strings.Fields(got)) != want {
			t.Errorf("the form has %q", got)
		}
		s.Post(endSession, "sessions", house.Hidden(s.At.Body, "sessions")).WantTo(t, "/account/?ended=all")
		s.WantInactive(s.phone.AccessToken)
		s.WantInactive(s.laptop.AccessToken)
		s.WantActive(tablet.AccessToken, "TABLET")
		s.WantDevices("alice", "TABLET")
	})
	t.Run("one is asked about as from its button, and none leads back", func(t *testing.T) {
		s := newScene(t)
		s.Get(endSession+house.Query("session", sessionOn(s.House, "alice", "PHONE"))).WantPage(t, http.StatusOK, "Sign out this session?")
		s.Get(endSession).WantTo(t, "/account/")
	})
	t.Run("of another person nothing, and no word", func(t *testing.T) { // ACCT-4
		s := newScene(t)
		phone, laptop, bobs := sessionOn(s.House, "alice", "PHONE"), sessionOn(s.House, "alice", "LAPTOP"), sessionOn(s.House, "bob", "BOBS")
		s.Get(endSession+house.Query("session", phone)+"&session="+bobs+"&session="+laptop+"&session=NONE").WantPage(t, http.StatusOK, "Sign out these apps?")
		if strings.Contains(s.At.Body, bobs) || strings.Contains(s.At.Body, "BOBS") {
			t.Error("the page shows what is not alice's")
		}
		s.Post(endSession, "sessions", phone+" "+bobs+" NONE").WantTo(t, "/account/?ended=all")
		s.WantInactive(s.phone.AccessToken)
		s.WantActive(s.laptop.AccessToken, "LAPTOP")
		s.WantActive(s.bobs.AccessToken, "BOBS")
		s.WantDevices("bob", "BOBS")
		s.Get(endSession+house.Query("session", bobs)+"&session=NONE").WantTo(t, "/account/")
	})
}

// TestEndStale: what is signed out already is what the person wants it to be, and a form from before another sign-in leads back
// to its question.
func TestEndStale(t *testing.T) {
	s := newScene(t)
	phone, laptop := sessionOn(s.House, "alice", "PHONE"), sessionOn(s.House, "alice", "LAPTOP")
	s.Get(endSession + house.Query("session", phone) + "&session=" + laptop)
	shown := s.At
	s.Post(endSession, "session", phone).WantTo(t, "/account/?ended=1") // in another tab
	for range 2 {                                                       // and a second click
		s.At = shown
		s.Post(endSession, "sessions", phone+" "+laptop).WantTo(t, "/account/?ended=all")
	}
	s.WantDevices("alice")
	s.Get(endSession+house.Query("session", phone)+"&session="+laptop).WantTo(t, "/account/")

	s.LoginOn("alice", "NEW")
	one := sessionOn(s.House, "alice", "NEW")
	for path, back := range map[string]string{
		endSession + "?session=" + one:                        endSession + "?session=" + one + "&stale=1",
		endSession + "?session=" + one + "&session=" + laptop: endSession + "?session=" + one + "&session=" + laptop + "&stale=1",
		endSession + "?browser=" + s.BrowserOf("alice"):       endSession + "?browser=" + s.BrowserOf("alice") + "&stale=1",
		endOthers + "?what=browsers":                          endOthers + "?stale=1&what=browsers",
		rename + "?session=" + one:                            rename + "?session=" + one + "&stale=1",
	} {
		s.Ask(http.MethodPost, path, house.Form("csrf", "of before", "session", one, "what", "browsers", "name", "x"), house.SameOriginForm()).WantTo(t, back)
		cross := house.SameOriginForm()
		cross.Set("Sec-Fetch-Site", "cross-site")
		s.Ask(http.MethodPost, path, house.Form("csrf", "of before"), cross).WantPage(t, http.StatusForbidden, "Please try again") // HTTP-3
	}
	s.Get(endSession+"?session="+one+"&stale=1").Shows(t, http.StatusOK, "Please try again.")
	s.WantDevices("alice", "NEW")
}

// endings are the forms that sign others out, with the fields that they send.
func endings(s scene, other string) map[string][2]string {
	phone, laptop := sessionOn(s.House, "alice", "PHONE"), sessionOn(s.House, "alice", "LAPTOP")
	return map[string][2]string{
		endSession + "?session=" + phone:                        {"session", phone},
		endSession + "?session=" + phone + "&session=" + laptop: {"sessions", phone + " " + laptop},
		endSession + "?browser=" + other:                        {"browser", other},
		endOthers + "?what=apps":                                {"what", "apps"},
		endOthers + "?what=browsers":                            {"what", "browsers"},
	}
}

// TestEndNeedsFreshProof: whoever finds a browser signed in cannot sign out what is elsewhere (ACCT-6, SESS-5).
func TestEndNeedsFreshProof(t *testing.T) {
	t.Run("a password that was given a moment ago", func(t *testing.T) {
		s := newScene(t)
		s.Clock.Move(time.Second)
		other := s.House.Browser()
		other.SignIn("alice", "")
		id := s.BrowserOf("alice")
		s.Clock.Move(bound.ProofLife - time.Second)
		for path := range endings(s, id) {
			if body := s.Get(path).Body; strings.Contains(body, `name="password"`) {
				t.Errorf("%s asks for the password", path)
			}
		}
		s.Clock.Move(time.Second)
		s.Get("/account/")
		before := s.Rows()
		for path, field := range endings(s, id) {
			s.Get(path).Shows(t, http.StatusOK, "For your safety")
			s.Post(path, field[0], field[1]).Shows(t, http.StatusForbidden, "Give it again.")
			s.Post(path, field[0], field[1], "password", "wrong password").Shows(t, http.StatusForbidden, "This is not your password.")
			if again := house.Hidden(s.At.Body, field[0]); len(strings.Fields(again)) != len(strings.Fields(field[1])) {
				t.Errorf("%s: the form shown again has %q", path, again)
			}
		}
		if after := s.Rows(); after != before {
			t.Errorf("something changed:\n%s\nwant\n%s", after, before)
		}
		s.Get(endSession + "?session=" + sessionOn(s.House, "alice", "PHONE"))
		s.Post(endSession, "session", house.Hidden(s.At.Body, "session"), "password", house.AlicesPassword).WantTo(t, "/account/?ended=1")
		s.WantInactive(s.phone.AccessToken)
		s.Get(endOthers + "?what=browsers") // it counts for some minutes
		s.Post(endOthers, "what", "browsers").WantTo(t, "/account/browsers?ended=all")
		other.Get("/account/").WantTo(t, "/account/login")
	})
	t.Run("not to sign out oneself", func(t *testing.T) {
		s := newScene(t)
		s.Clock.Move(bound.ProofLife + time.Second)
		s.Get("/account/browsers")
		s.Post(endSession, "browser", s.BrowserOf("alice")).WantTo(t, "/account/browsers?ended=1")
		s.Get("/account/").WantTo(t, "/account/login")
	})
	t.Run("is not carried over from another browser, tab or account", func(t *testing.T) {
		s := newScene(t)
		s.Clock.Move(bound.ProofLife + time.Second)
		phone := sessionOn(s.House, "alice", "PHONE")
		fresh, bob := s.House.Browser(), s.House.Browser()
		fresh.SignIn("alice", "")
		bob.SignIn("bob", "")
		for name, b := range map[string]*house.Browser{"alice's other browser": fresh, "bob's browser": bob} {
			b.Get("/account/browsers")
			token := b.Token()
			s.Get("/account/")
			s.Ask(http.MethodPost, endSession, house.Form("csrf", token, "session", phone), house.SameOriginForm()).WantPage(t, http.StatusForbidden, "Please try again")
			s.Get("/account/")
			s.Post(endSession, "session", phone).Shows(t, http.StatusForbidden, "Give it again.")
			if t.Failed() {
				t.Fatal(name)
			}
		}
		// Bob signs in in alice's browser: her form is not his, and his proof not hers.
		s.Get(endSession + "?session=" + phone)
		hers := s.At
		s.Post("/account/logout")
		s.SignIn("bob", "")
		s.At = hers
		s.Post(endSession, "session", phone).WantPage(t, http.StatusForbidden, "Please try again")
		s.Submit(endSession, "session", phone).WantPage(t, http.StatusNotFound, "Session not found")
		// The password of somebody else proves nothing.
		s.Submit("/account/logout")
		s.SignIn("alice", "")
		s.Clock.Move(bound.ProofLife + time.Second)
		s.Submit(endSession, "session", phone, "password", "bobs-own-password-5").Shows(t, http.StatusForbidden, "This is not your password.")
		s.WantActive(s.phone.AccessToken, "PHONE")
	})
	t.Run("ends with the password", func(t *testing.T) {
		s := newScene(t)
		s.Get(endOthers + "?what=apps")
		house.Act(s.House, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: matrixauth.Name{User: "alice"}, Password: house.AlicesPassword})
		s.Post(endOthers, "what", "apps").WantTo(t, "/account/login")
		s.WantActive(s.phone.AccessToken, "PHONE")
	})
	t.Run("within the limits of all sign-ins", func(t *testing.T) { // PW-13
		h := house.New(t)
		h.Add("alice")
		h.LoginOn("alice", "PHONE")
		b := h.SignedInAs("alice")
		h.Clock.Move(bound.ProofLife + time.Second)
		phone := sessionOn(h, "alice", "PHONE")
		limited := 0
		for range bound.LoginsPerAccount.Burst + 2 {
			if a := b.Submit(endSession, "session", phone, "password", "wrong password"); a.Status == http.StatusTooManyRequests {
				limited++
			}
		}
		if limited != 2 {
			t.Errorf("%d tries were refused unseen", limited)
		}
		b.Submit(endSession, "session", phone, "password", house.AlicesPassword).Want(t, http.StatusTooManyRequests, "")
	})
}

// TestAttackEndAndRename: with another person's ids nothing happens in any form, and nothing is told that is not told of an id
// that is nobody's (ACCT-4).
func TestAttackEndAndRename(t *testing.T) {
	s := newScene(t)
	bob := s.House.Browser()
	bob.SignIn("bob", "")
	theirs, browser := sessionOn(s.House, "bob", "BOBS"), s.BrowserOf("bob")
	const none = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	s.Get("/account/")
	token, before := s.At, s.Rows()
	for name, c := range map[string]struct {
		method, path string
		fields       func(id string) []string
		id           string
	}{
		"ask about a session":  {http.MethodGet, endSession + "?session=", nil, theirs},
		"ask about a browser":  {http.MethodGet, endSession + "?browser=", nil, browser},
		"ask about a mixed id": {http.MethodGet, endSession + "?browser=", nil, theirs},
		"ask for a name":       {http.MethodGet, rename + "?session=", nil, theirs},
		"end a session":        {http.MethodPost, endSession, func(id string) []string { return []string{"session", id} }, theirs},
		"end a browser":        {http.MethodPost, endSession, func(id string) []string { return []string{"browser", id} }, browser},
		"end several":          {http.MethodPost, endSession, func(id string) []string { return []string{"sessions", id + " " + id} }, theirs},
		"end by the address":   {http.MethodPost, endSession + "?session=" + theirs, func(id string) []string { return []string{"session", id} }, theirs},
		"name a device":        {http.MethodPost, rename, func(id string) []string { return []string{"session", id, "name", "Mine"} }, theirs},
		"name a device badly":  {http.MethodPost, rename, func(id string) []string { return []string{"session", id, "name", "\x1b"} }, theirs},
	} {
		t.Run(name, func(t *testing.T) {
			ask := func(id string) house.Answer {
				s.At = token
				if c.method == http.MethodGet {
					return s.Get(c.path + id)
				}
				return s.Post(c.path, c.fields(id)...)
			}
			got, want := ask(c.id), ask(none)
			if got.Status != want.Status || got.Body != want.Body || got.Header.Get("Location") != want.Header.Get("Location") {
				t.Errorf("got %d %s %s\nof nobody's id\n%d %s %s", got.Status, got.Header.Get("Location"), got.Body, want.Status, want.Header.Get("Location"), want.Body)
			}
		})
	}
	if after := s.Rows(); after != before {
		t.Errorf("something changed:\n%s\nwant\n%s", after, before)
	}
}

// TestRename: people give their devices names, which the page and the homeserver show.
func TestRename(t *testing.T) {
	s := newScene(t)
	phone := sessionOn(s.House, "alice", "PHONE")
	s.Clock.Move(bound.ProofLife + time.Second) // nothing is taken from anybody, so no password is asked for
	s.Get("/account/")
	if !strings.Contains(s.At.Body, `href="`+rename+"?session="+phone+`"`) {
		t.Error("the page does not offer it")
	}
	s.Get(rename+"?session="+phone).WantPage(t, http.StatusOK, "Name this device")
	if !strings.Contains(s.At.Body, `value="Alice&#39;s &lt;b&gt;phone&lt;/b&gt;"`) {
		t.Errorf("the page does not show the name so far:\n%s", s.At.Body)
	}
	s.Post(rename, "session", phone, "name", "Kitchen <i>tablet</i>").WantTo(t, "/account/?renamed=1")
	s.Follow().Shows(t, http.StatusOK, "The device has a new name.")
	if text := house.Shown(s.At); !strings.Contains(text, "Kitchen <i>tablet</i> Device PHONE") {
		t.Errorf("the page says %s", text)
	}
	s.Settle()
	if there, _ := s.Fake.User("alice"); there.Devices["PHONE"] == nil || *there.Devices["PHONE"] != "Kitchen <i>tablet</i>" {
		t.Errorf("Synapse has %v", there.Devices["PHONE"])
	}
	for name, text := range map[string]string{"nothing": "", "two lines": "a\nb", "another direction": "\u202eb", "too long": strings.Repeat("x", bound.DeviceName+1)} {
		s.Get(rename + "?session=" + phone)
		s.Post(rename, "session", phone, "name", text).Shows(t, http.StatusBadRequest, "This name is empty, too long, or not a line of text.")
		if there, _ := s.Fake.User("alice"); *there.Devices["PHONE"] != "Kitchen <i>tablet</i>" {
			t.Errorf("%s: Synapse has %q", name, *there.Devices["PHONE"])
		}
	}
}
