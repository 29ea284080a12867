package matrixauth

import (
	"net/http"
	"strings"
	"testing"
)

// TestStaleConsent: a consent page from before another tab signed in asks again, as who is signed in now;
// the app's request is not lost, and nothing is granted by the old form (SESS-7, HTTP-3).
func TestStaleConsent(t *testing.T) {
	h := newOAuthHouse(t)
	v := h.guest()
	v.signIn("alice", "")
	v.get(authorizePath + "?" + params("app").Encode())
	v.follow().wantPage(t, http.StatusOK, "Continue to An App?")
	old, action := v.at, formAction(v.at.body)
	id := hidden(old.body, "request")
	if action != consentPath+"?request="+id {
		t.Fatalf("the form goes to %s", action)
	}
	v.get("/account/")
	v.post("/account/login", "username", "bob", "password", alicesPassword).wantTo(t, "/account/")
	for _, answer := range []string{"continue", "cancel"} {
		v.at = old
		v.post(action, "request", id, "answer", answer).wantTo(t, action)
	}
	v.follow().wantPage(t, http.StatusOK, "Continue to An App?")
	if text := shown(v.at); !strings.Contains(text, "You are signed in as @bob:"+serverName) {
		t.Errorf("the page says %s", text)
	}
	v.post(action, "request", id, "answer", "continue")
	if to := v.at.header.Get("Location"); !strings.HasPrefix(to, webCallback) || !strings.Contains(to, "code=") {
		t.Errorf("it leads to %q", to)
	}
	// Another site's form is refused as before, and an id that cannot be leads nowhere.
	header := sameOriginForm()
	header.Set("Sec-Fetch-Site", "cross-site")
	v.ask(http.MethodPost, action, form("request", id, "answer", "continue"), header).wantPage(t, http.StatusForbidden, "Please try again")
	v.ask(http.MethodPost, consentPath+query("request", strings.Repeat("x", 65)), form("request", id, "answer", "continue"), sameOriginForm()).wantPage(t, http.StatusForbidden, "Please try again")
}
