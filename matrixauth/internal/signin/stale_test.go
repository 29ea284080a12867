package signin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestStaleConsent: a consent page from before another tab signed in asks again, as who is signed in now;
// the app's request is not lost, and nothing is granted by the old form (SESS-7, HTTP-3).
func TestStaleConsent(t *testing.T) {
	h := house.WithApp(t)
	v := h.Browser()
	v.SignIn("alice", "")
	v.Get(house.AuthorizePath + "?" + house.Params("app").Encode())
	v.Follow().WantPage(t, http.StatusOK, "Continue to An App?")
	old, action := v.At, house.FormAction(v.At.Body)
	id := house.Hidden(old.Body, "request")
	if action != house.ConsentPath+"?request="+id {
		t.Fatalf("the form goes to %s", action)
	}
	v.Get("/account/")
	v.Post("/account/login", "username", "bob", "password", house.AlicesPassword).WantTo(t, "/account/")
	for _, answer := range []string{"continue", "cancel"} {
		v.At = old
		v.Post(action, "request", id, "answer", answer).WantTo(t, action)
	}
	v.Follow().WantPage(t, http.StatusOK, "Continue to An App?")
	if text := house.Shown(v.At); !strings.Contains(text, "You are signed in as @bob:"+house.ServerName) {
		t.Errorf("the page says %s", text)
	}
	v.Post(action, "request", id, "answer", "continue")
	if to := v.At.Header.Get("Location"); !strings.HasPrefix(to, house.WebCallback) || !strings.Contains(to, "code=") {
		t.Errorf("it leads to %q", to)
	}
	// Another site's form is refused as before, and an id that cannot be leads nowhere.
	header := house.SameOriginForm()
	header.Set("Sec-Fetch-Site", "cross-site")
	v.Ask(http.MethodPost, action, house.Form("request", id, "answer", "continue"), header).WantPage(t, http.StatusForbidden, "Please try again")
	v.Ask(http.MethodPost, house.ConsentPath+house.Query("request", strings.Repeat("x", 65)), house.Form("request", id, "answer", "continue"), house.SameOriginForm()).WantPage(t, http.StatusForbidden, "Please try again")
}

// TestStaleSignOut: whoever presses "Not you?" on a page from before another tab signed in signs nobody out, and sees who
// it is now, on the way to the same goal (SESS-7).
func TestStaleSignOut(t *testing.T) {
	h := house.WithApp(t)
	v := h.Browser()
	v.SignIn("alice", "")
	v.Get(house.AuthorizePath + "?" + house.Params("app").Encode())
	v.Follow().WantPage(t, http.StatusOK, "Continue to An App?")
	old, id := v.At, house.Hidden(v.At.Body, "request")
	forms := formsOf(old.Body)
	action := forms[len(forms)-1].action
	v.Get("/account/")
	v.Post("/account/login", "username", "bob", "password", house.AlicesPassword).WantTo(t, "/account/")
	v.At = old
	v.Post(action, "request", id).WantTo(t, house.ConsentPath+"?request="+id)
	v.Follow().WantPage(t, http.StatusOK, "Continue to An App?")
	if text := house.Shown(v.At); !strings.Contains(text, "You are signed in as @bob:"+house.ServerName) {
		t.Errorf("the page says %s", text)
	}
	// Another site's form is refused as before.
	header := house.SameOriginForm()
	header.Set("Sec-Fetch-Site", "cross-site")
	v.Ask(http.MethodPost, action, house.Form("request", id), header).
		WantPage(t, http.StatusForbidden, "Please try again")
}
