package account_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestEndOthers: all apps, and all other browsers, are signed out at once, each as a choice of its own
// and after a page that says what is lost (ACCT-5, ACCT-12).
func TestEndOthers(t *testing.T) {
	t.Run("all apps, at once and at the homeserver", func(t *testing.T) {
		s := newScene(t)
		before := s.Rows()
		s.Get(endOthers+house.Query("what", "apps")).WantPage(t, http.StatusOK, "Sign out all apps?")
		if text := house.Shown(s.At); !strings.Contains(text, "2 apps will be signed out") || !strings.Contains(text, "All devices are removed") {
			t.Errorf("the page says %s", text)
		}
		if s.Rows() != before {
			t.Error("a GET changed something")
		}
		page := s.At
		s.Post(endOthers, "what", "apps").WantTo(t, "/account/?ended=all")
		s.WantInactive(s.phone.AccessToken)
		s.WantInactive(s.laptop.AccessToken)
		s.WantActive(s.bobs.AccessToken, "BOBS")
		s.WantDevices("alice")
		s.Follow().WantPage(t, http.StatusOK, "Apps and devices")
		if text := house.Shown(s.At); !strings.Contains(text, "All of them were signed out.") || !strings.Contains(text, "No app is signed in") {
			t.Errorf("the page says %s", text)
		}
		s.At = page // a second click
		s.Post(endOthers, "what", "apps").WantTo(t, "/account/?ended=all")
		s.Get(endOthers+house.Query("what", "apps")).WantTo(t, "/account/")
	})
	t.Run("with all apps go the consents", func(t *testing.T) {
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		h.Tokens(h.Exchange("app", b.Consent(house.Params("app"))))
		if a := b.Get(house.ConsentPath + "?request=" + b.Request(house.Params("app"))); a.Status != http.StatusSeeOther {
			t.Fatalf("the consent is not remembered: %d", a.Status)
		}
		b.Submit(endOthers, "what", "apps").WantTo(t, "/account/?ended=all")
		b.Get(house.ConsentPath+"?request="+b.Request(house.Params("app"))).WantPage(t, http.StatusOK, "Continue to An App?")
	})
	t.Run("all other browsers", func(t *testing.T) {
		s := newScene(t)
		s.Get(endOthers+house.Query("what", "browsers")).WantTo(t, "/account/browsers")
		others := []*house.Browser{s.House.Browser(), s.House.Browser()}
		for _, other := range others {
			other.SignIn("alice", "")
		}
		bob := s.House.Browser()
		bob.SignIn("bob", "")
		s.Get(endOthers+house.Query("what", "browsers")).WantPage(t, http.StatusOK, "Sign out all other browsers?")
		if text := house.Shown(s.At); !strings.Contains(text, "2 other browsers will be signed out") {
			t.Errorf("the page says %s", text)
		}
		s.Post(endOthers, "what", "browsers").WantTo(t, "/account/browsers?ended=all")
		for _, other := range others {
			other.Get("/account/").WantTo(t, "/account/login")
		}
		s.Follow().WantPage(t, http.StatusOK, "Browsers")
		bob.Get("/account/").WantPage(t, http.StatusOK, "Apps and devices")
		s.WantActive(s.phone.AccessToken, "PHONE")
		s.WantActive(s.laptop.AccessToken, "LAPTOP")
	})
	t.Run("by a form of ours alone, of who is signed in, about what there is", func(t *testing.T) {
		s := newScene(t)
		s.Get("/account/")
		before := s.Rows()
		for _, what := range []string{"", "everything"} {
			page := s.At
			s.Post(endOthers, "what", what).WantPage(t, http.StatusBadRequest, "This request cannot be answered")
			s.Get(endOthers+house.Query("what", what)).WantPage(t, http.StatusBadRequest, "This request cannot be answered")
			s.At = page
		}
		s.Ask(http.MethodPost, endOthers, house.Form("what", "apps"), house.SameOriginForm()).WantPage(t, http.StatusForbidden, "Please try again")
		v := s.House.Browser()
		v.Get(endOthers+house.Query("what", "apps")).WantTo(t, "/account/login")
		v.Get("/account/login")
		v.Post(endOthers, "what", "apps").WantTo(t, "/account/login")
		if s.Rows() != before {
			t.Error("something changed")
		}
	})
	t.Run("is offered where there is more than one", func(t *testing.T) {
		s := newScene(t)
		s.Get("/account/")
		if text := house.Shown(s.At); !strings.Contains(text, "Sign out all apps") {
			t.Errorf("the page says %s", text)
		}
		s.Get("/account/browsers")
		if text := house.Shown(s.At); strings.Contains(text, "Sign out all other browsers") {
			t.Errorf("the page says %s", text)
		}
		s.House.Browser().SignIn("alice", "")
		s.Get("/account/browsers")
		if text := house.Shown(s.At); !strings.Contains(text, "Sign out all other browsers") {
			t.Errorf("the page says %s", text)
		}
	})
}

// TestAccountPageTells: an app without a name is told by its user agent, and each line says since when.
func TestAccountPageTells(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	for device, agent := range map[string]string{
		"NIO": "matrix-nio/0.26", "WEB": house.BrowserAgent, "EVIL": "<b>\u202eevil</b>/1 (Linux; x)", "LONG": strings.Repeat("long ", 40), "NONE": "",
	} {
		h.Do(house.Call{Method: "POST", Path: house.LoginPath, Body: house.LoginBody("alice", house.AlicesPassword, house.Object{"device_id": device}), Header: http.Header{"User-Agent": {agent}}}).Want(t, http.StatusOK, "")
	}
	h.LoginOn("alice", "NAMED")
	v := h.Browser()
	v.SignIn("alice", "")
	h.Clock.Move(49 * time.Hour)
	v.Get("/account/").WantPage(t, http.StatusOK, "Apps and devices")
	for device, want := range map[string]string{
		"NIO": "matrix-nio/0.26 Device NIO", "WEB": "Firefox, Linux Device WEB", "EVIL": "<b>evil</b>/1, Linux Device EVIL", "LONG": strings.Repeat("long ", 7) + "long… Device LONG", "NONE": "Unnamed app Device NONE",
	} {
		if text := house.Shown(v.At); !strings.Contains(text, want) || strings.Contains(v.At.Body, "<b>") {
			t.Errorf("%s: no %q in %s", device, want, text)
		}
	}
	if text := house.Shown(v.At); strings.Count(text, "Active 2 days ago · signed in 2 days ago") != 6 {
		t.Errorf("the page says %s", text)
	}
}

// TestAccountPageTellsOfTwo: a session that two parties refresh from one network says so, to its owner and to the operator.
func TestAccountPageTellsOfTwo(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	h.LoginOn("alice", "OTHER")
	first := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	one, other := h.SignedIn(h.Refresh(first.RefreshToken)), h.SignedIn(h.Refresh(first.RefreshToken))
	h.WantActive(h.SignedIn(h.Refresh(one.RefreshToken)).AccessToken, "PHONE")
	h.Clock.Move(2 * time.Minute)
	v := h.Browser()
	v.SignIn("alice", "")
	const told = "use this sign-in at the same time"
	tells := func(want int) {
		t.Helper()
		v.Get("/account/").WantPage(t, http.StatusOK, "Apps and devices")
		if got := strings.Count(house.Shown(v.At), told); got != want {
			t.Errorf("the page tells of %d sessions, want %d: %s", got, want, house.Shown(v.At))
		}
	}
	tells(0)
	h.SignedIn(h.Refresh(other.RefreshToken))
	tells(1)
	marked := 0
	for _, s := range house.Act(h, matrixauth.ListSessions, matrixauth.SessionQuery{User: "alice"}).Sessions {
		if !s.TwiceAt.IsZero() && s.DeviceID == "PHONE" {
			marked++
		}
	}
	if marked != 1 {
		t.Errorf("%d sessions are marked in the list", marked)
	}
	h.Clock.Move(31 * 24 * time.Hour)
	v = h.Browser()
	v.SignIn("alice", "")
	tells(0)
}
