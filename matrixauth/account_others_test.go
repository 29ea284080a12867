package matrixauth

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestEndOthers: all apps, and all other browsers, are signed out at once, each as a choice of its own
// and after a page that says what is lost (ACCT-5, ACCT-12).
func TestEndOthers(t *testing.T) {
	const endOthers = "/account/sessions/end-others"
	t.Run("all apps, at once and at the homeserver", func(t *testing.T) {
		s := newScene(t)
		before := s.rows()
		s.get(endOthers+query("what", "apps")).wantPage(t, http.StatusOK, "Sign out all apps?")
		if text := shown(s.at); !strings.Contains(text, "2 apps will be signed out") || !strings.Contains(text, "All devices are removed") {
			t.Errorf("the page says %s", text)
		}
		if s.rows() != before {
			t.Error("a GET changed something")
		}
		page := s.at
		s.post(endOthers, "what", "apps").wantTo(t, "/account/?ended=all")
		s.wantInactive(s.phone.AccessToken)
		s.wantInactive(s.laptop.AccessToken)
		s.wantActive(s.bobs.AccessToken, "BOBS")
		s.wantDevices("alice")
		s.follow().wantPage(t, http.StatusOK, "Your account")
		if text := shown(s.at); !strings.Contains(text, "All of them were signed out.") || !strings.Contains(text, "No app is signed in") {
			t.Errorf("the page says %s", text)
		}
		s.at = page // a second click
		s.post(endOthers, "what", "apps").wantTo(t, "/account/?ended=all")
		s.get(endOthers+query("what", "apps")).wantTo(t, "/account/")
	})
	t.Run("with all apps go the consents", func(t *testing.T) {
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		h.tokens(h.exchange("app", b.consent(params("app"))))
		if a := b.get(consentPath + "?request=" + b.request(params("app"))); a.status != http.StatusSeeOther {
			t.Fatalf("the consent is not remembered: %d", a.status)
		}
		b.submit(endOthers, "what", "apps").wantTo(t, "/account/?ended=all")
		b.get(consentPath+"?request="+b.request(params("app"))).wantPage(t, http.StatusOK, "Continue to An App?")
	})
	t.Run("all other browsers", func(t *testing.T) {
		s := newScene(t)
		s.get(endOthers+query("what", "browsers")).wantTo(t, "/account/")
		others := []*guest{s.house.guest(), s.house.guest()}
		for _, other := range others {
			other.signIn("alice", "")
		}
		bob := s.house.guest()
		bob.signIn("bob", "")
		s.get(endOthers+query("what", "browsers")).wantPage(t, http.StatusOK, "Sign out all other browsers?")
		if text := shown(s.at); !strings.Contains(text, "2 other browsers will be signed out") {
			t.Errorf("the page says %s", text)
		}
		s.post(endOthers, "what", "browsers").wantTo(t, "/account/?ended=all")
		for _, other := range others {
			other.get("/account/").wantTo(t, "/account/login")
		}
		s.follow().wantPage(t, http.StatusOK, "Your account")
		bob.get("/account/").wantPage(t, http.StatusOK, "Your account")
		s.wantActive(s.phone.AccessToken, "PHONE")
		s.wantActive(s.laptop.AccessToken, "LAPTOP")
	})
	t.Run("by a form of ours alone, of who is signed in, about what there is", func(t *testing.T) {
		s := newScene(t)
		s.get("/account/")
		before := s.rows()
		for _, what := range []string{"", "everything"} {
			page := s.at
			s.post(endOthers, "what", what).wantPage(t, http.StatusBadRequest, "This request cannot be answered")
			s.get(endOthers+query("what", what)).wantPage(t, http.StatusBadRequest, "This request cannot be answered")
			s.at = page
		}
		s.ask(http.MethodPost, endOthers, form("what", "apps"), sameOriginForm()).wantPage(t, http.StatusForbidden, "Please try again")
		v := s.house.guest()
		v.get(endOthers+query("what", "apps")).wantTo(t, "/account/login")
		v.get("/account/login")
		v.post(endOthers, "what", "apps").wantTo(t, "/account/login")
		if s.rows() != before {
			t.Error("something changed")
		}
	})
	t.Run("is offered where there is more than one", func(t *testing.T) {
		s := newScene(t)
		s.get("/account/")
		if text := shown(s.at); !strings.Contains(text, "Sign out all apps") || strings.Contains(text, "Sign out all other browsers") {
			t.Errorf("the page says %s", text)
		}
		s.house.guest().signIn("alice", "")
		s.get("/account/")
		if text := shown(s.at); !strings.Contains(text, "Sign out all other browsers") {
			t.Errorf("the page says %s", text)
		}
	})
}

// TestAccountPageTells: an app without a name is told by its user agent, and each line says since when.
func TestAccountPageTells(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	for device, agent := range map[string]string{
		"NIO": "matrix-nio/0.26", "WEB": browserAgent, "EVIL": "<b>\u202eevil</b>/1 (Linux; x)", "LONG": strings.Repeat("long ", 40), "NONE": "",
	} {
		h.do(call{method: "POST", path: loginPath, body: loginBody("alice", alicesPassword, object{"device_id": device}), header: http.Header{"User-Agent": {agent}}}).want(t, http.StatusOK, "")
	}
	h.loginOn("alice", "NAMED")
	v := h.guest()
	v.signIn("alice", "")
	h.clock.Move(49 * time.Hour)
	v.get("/account/").wantPage(t, http.StatusOK, "Your account")
	for device, want := range map[string]string{
		"NIO": "matrix-nio/0.26 Device NIO", "WEB": "Firefox, Linux Device WEB", "EVIL": "<b>evil</b>/1, Linux Device EVIL", "LONG": strings.Repeat("long ", 7) + "long… Device LONG", "NONE": "Unnamed app Device NONE",
	} {
		if text := shown(v.at); !strings.Contains(text, want) || strings.Contains(v.at.body, "<b>") {
			t.Errorf("%s: no %q in %s", device, want, text)
		}
	}
	if text := shown(v.at); strings.Count(text, "Active 2 days ago · signed in 2 days ago") != 6 {
		t.Errorf("the page says %s", text)
	}
}
