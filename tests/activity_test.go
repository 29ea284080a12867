package tests

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestActivity has somebody find at the account pages, in a real browser, all that happened to their account: what they did
// there and by an app, what the operator did, and the wrong passwords of whoever tries (ACCT-8, ACCT-11).
func TestActivity(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{Options: oauthOptions})
	all := newPeople(t, h, nil)
	password := h.AddUser("alice")
	h.Login("bob", h.AddUser("bob"), map[string]any{"device_id": "BOBSPHONE"}).Must(t, http.StatusOK)
	h.Login("alice", password, map[string]any{"device_id": "PHONE"}).Must(t, http.StatusOK)
	h.MustCommand("", "user", "lock", "alice")
	h.MustCommand("", "user", "unlock", "alice")
	p := all.person(t, eyes{Keyboard: true})
	p.pictured = true
	p.opens("/account/?action=activity")
	if at := p.signsIn("alice", "a guess"); at.Alert == "" {
		t.Fatalf("a wrong password leads to %+v", at)
	}
	if at := p.signsIn("alice", password); at.Heading != "Activity" {
		t.Fatalf("the sign-in leads to %+v", at)
	}

	p.opens("/account/?action=device_delete&device_id=PHONE")
	p.presses("Sign out")
	p.opens("/account/password")
	p.types("Current password", password)
	p.types("New password", "a quite new 3ntrance to everything")
	if at := p.presses("Change password"); at.Status == "" {
		t.Fatalf("the new password leads to %+v", at)
	}
	at := p.follows("Activity")
	p.looks("activity")
	// The newest first.
	rest := at.Text
	for _, want := range []string{
		"Wrong passwords", "1 try", "127.0.0.1",
		"Your password was changed", "by you",
		"An app was signed out", "PHONE", "by you",
		"A browser signed in", "Chrom", "127.0.0.1",
		"Your account was unlocked", "by the operator", "Your account was locked", "An app signed in", "Your account was made", "by the operator",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Errorf("%q is not where it belongs in\n%s", want, at.Text)
			continue
		}
		rest = after
	}
	if strings.Contains(at.Text, "BOBSPHONE") {
		t.Errorf("what is bob's is shown to alice:\n%s", at.Text)
	}

	t.Run("without script, in German, at a narrow window", func(t *testing.T) {
		v := all.person(t, eyes{NoScript: true, Locale: "de-DE", View: "narrow"})
		v.opens("/account/activity")
		v.types("Benutzername", "alice")
		v.types("Passwort", "a quite new 3ntrance to everything")
		if at := v.presses("Weiter"); at.Heading != "Aktivität" || !strings.Contains(at.Text, "1 Versuch") || !strings.Contains(at.Text, "durch den Betreiber") {
			t.Errorf("it leads to %+v", at)
		}
	})
}
