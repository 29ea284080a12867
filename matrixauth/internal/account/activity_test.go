package account_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

const activityPath = "/account/activity"

// activity returns what a page of a browser's account shows, without its navigation.
func activity(v *house.Browser, query string) string {
	v.House.T.Helper()
	a := v.Get(activityPath + query)
	a.WantPage(v.House.T, http.StatusOK, "Activity")
	_, main, _ := strings.Cut(a.Body, "<main")
	return main
}

// TestActivityPage: people see what happened to their account: what they did and from where, what the operator did, what
// the server did, and the wrong passwords of whoever tries; and nothing of others.
func TestActivityPage(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	bob := h.SignedInAs("bob")
	h.LoginOn("bob", "BOBSPHONE")
	v := h.SignedInAs("alice")
	h.LoginOn("alice", "PHONE")
	house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "alice@example.org"})
	for range 3 {
		h.Guess("alice", "203.0.113.9")
	}
	h.Guess("alice", "2001:db8:5:6::7")
	h.Guess("nobody", "203.0.113.10")
	shown := activity(v, "")
	for _, want := range []string{
		"Your account was made", "A browser signed in", "An app signed in", "PHONE", "An email address was added", "alice@example.org",
		"by you", "by the operator", "3 tries", "203.0.113.9", "1 try", "2001:db8:5:6::/64",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not shown:\n%s", want, shown)
		}
	}
	if order := []int{strings.Index(shown, "An email address was added"), strings.Index(shown, "An app signed in"), strings.Index(shown, "Your account was made")}; order[0] > order[1] || order[1] > order[2] {
		t.Errorf("it is not the newest first: %d", order)
	}
	of := house.Act(h, matrixauth.ListEvents, matrixauth.EventQuery{User: "alice"}).Events[0]
	if of.By.Kind != "operator" || of.By.Name == "" || regexp.MustCompile(`\b`+of.By.Name+`\b`).MatchString(shown) {
		t.Errorf("the name of the operator, %q, is shown", of.By.Name)
	}
	if theirs := activity(bob, ""); !strings.Contains(theirs, "BOBSPHONE") || strings.Contains(theirs, "alice@") || strings.Contains(theirs, ">PHONE") || strings.Contains(theirs, "203.0.113") {
		t.Errorf("bob sees %s", theirs)
	}
	if strings.Contains(shown, "BOBSPHONE") || strings.Contains(shown, "203.0.113.10") {
		t.Errorf("alice sees %s", shown)
	}
}

// TestActivityQuotesNoStranger: whoever guesses can call themselves anything. A browser is named, and nothing else (HTTP-9).
func TestActivityQuotesNoStranger(t *testing.T) {
	for agent, want := range map[string]string{
		"You were hacked, call 555 0100 at once":                                      "",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":      "Firefox, Linux",
		"Mozilla/5.0 (You were hacked, call 555 0100; Linux) Gecko/20100101 Firefox/": "Firefox, Linux",
	} {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		v := h.SignedInAs("alice")
		h.LoginFrom("203.0.113.9", "alice", "wrong", http.Header{"User-Agent": {agent}}).WantStatus(t, http.StatusForbidden)
		shown := activity(v, "")
		if !strings.Contains(shown, "1 try") || strings.Contains(shown, "hacked") || !strings.Contains(shown, want) {
			t.Errorf("%q is shown as %s", agent, shown)
		}
	}
}

// TestActivityOlder: what is more than a page is reached by a link, up to the end, and an address that was shortened or made
// up leads to the newest. Another's place in the log shows nothing of theirs.
func TestActivityOlder(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	v := h.SignedInAs("alice")
	rename := func(who, name string) {
		house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: who}, Email: name + "@example.org"})
	}
	for i := range bound.EventsPerPage {
		rename("alice", "alice"+string(rune('a'+i)))
		rename("bob", "bob"+string(rune('a'+i)))
	}
	h.Guess("alice", "203.0.113.9")
	first := activity(v, "")
	older := regexp.MustCompile(`\?before=\d+`).FindString(first)
	if n := strings.Count(first, "An email address was added"); n != bound.EventsPerPage || older == "" {
		t.Fatalf("%d lines, and then %q", n, older)
	}
	second := activity(v, older)
	if !strings.Contains(second, "A browser signed in") || !strings.Contains(second, "Your account was made") || strings.Contains(second, "An email address") {
		t.Errorf("the second page is %s", second)
	}
	if strings.Contains(second, "203.0.113.9") || strings.Contains(second, "before=") || !strings.Contains(second, `href="/account/activity"`) {
		t.Errorf("the last page is %s", second)
	}
	if strings.Contains(first+second, "bob") {
		t.Error("bob's are shown")
	}
	for _, query := range []string{"?before=x", "?before=-1", "?before=0", "?before=99999999999999999999"} {
		if got := activity(v, query); !strings.Contains(got, older) {
			t.Errorf("%s leads elsewhere", query)
		}
	}
	if got := activity(v, "?before=1"); !strings.Contains(got, "Nothing is left to show.") {
		t.Errorf("before everything there is %s", got)
	}
}

// TestActivityIsForgotten: what people see is kept no longer than the audit log, and from where for thirty days.
func TestActivityIsForgotten(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	h.LoginFrom("203.0.113.8", "alice", house.AlicesPassword, http.Header{"User-Agent": {"matrix-nio/0.26"}})
	h.Guess("alice", "203.0.113.9")
	look := func(after time.Duration) string {
		t.Helper()
		h.Clock.Move(after)
		_, err := h.Store.Retain(t.Context())
		h.Must(err)
		return activity(h.SignedInAs("alice"), "")
	}
	if got := look(0); !strings.Contains(got, "matrix-nio/0.26") || !strings.Contains(got, "203.0.113.8") || !strings.Contains(got, "203.0.113.9") {
		t.Errorf("at once: %s", got)
	}
	if got := look(bound.KeepEventSource + time.Second); strings.Contains(got, "matrix-nio") || strings.Contains(got, "203.0.113") || !strings.Contains(got, "An app signed in") {
		t.Errorf("after thirty days: %s", got)
	}
	if got := look(bound.KeepEvent); strings.Contains(got, "An app signed in") {
		t.Errorf("after a year: %s", got)
	}
}

// TestActivityAction: a link with the action leads to the page, through the sign-in too (ACCT-8).
func TestActivityAction(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	v := h.SignedInAs("alice")
	v.Get("/account/?action=activity").WantTo(t, activityPath)
}
