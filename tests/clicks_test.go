package tests

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestImpatience has somebody in a real browser click twice, reload, go back and forth and lose answers, near
// and far away: the app gets its tokens, and a sign-in that is done says so. An app that was signed out asks
// again (AUTHZ-18, AUTHZ-20, HTTP-13).
func TestImpatience(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{Options: oauthOptions})
	password := h.AddUser("alice")
	runChecks(t, "clicks.mjs", h.URL, password)
	t.Run("a_code_that_comes_again", func(t *testing.T) { codeAgain(t, h, password) })
	t.Run("consents_by_command", func(t *testing.T) { consentsByCommand(t, h) })
}

// codeAgain presents a code that was used once more, as who found it in a history would: without what belongs
// to it the session goes on (TOK-12).
func codeAgain(t *testing.T, h *rig.Homeserver, password string) {
	config := registered(t, h)
	config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	config.Scopes = []string{apiScope, deviceScope("AGAIN")}
	verifier := oauth2.GenerateVerifier()
	code := rig.NewVisitor(t, h.URL).Authorize(config.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), "alice", password).Get("code")
	token, err := config.Exchange(context.Background(), code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{oauth2.GenerateVerifier(), verifier} { // the right one is no harm within seconds
		if _, err := config.Exchange(context.Background(), code, oauth2.VerifierOption(wrong)); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
			t.Fatalf("a code that was used: %v", err)
		}
	}
	h.Call(http.MethodGet, "/v3/account/whoami", token.AccessToken, nil).Must(t, http.StatusOK)
}

// consentsByCommand lists what the clients of alice got, and takes it back.
func consentsByCommand(t *testing.T, h *rig.Homeserver) {
	list := func() (clients []string) {
		t.Helper()
		var all []struct {
			User, ClientID, Scope string
		}
		text := strings.ReplaceAll(h.MustCommand("", "consent", "list", "alice", "--json"), "client_id", "clientid")
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatal(err)
		}
		for _, one := range all {
			if one.User != "alice" || one.Scope != apiScope {
				t.Errorf("%+v", one)
			}
			clients = append(clients, one.ClientID)
		}
		return clients
	}
	before := list()
	if len(before) < 2 {
		t.Fatalf("there are only consents to %v", before)
	}
	if out := h.MustCommand("", "consent", "withdraw", "alice", before[0]); out != "1 withdrawn\n" {
		t.Errorf("got %q", out)
	}
	if out, err := h.Command("", "consent", "withdraw", "alice", before[0]); err == nil {
		t.Errorf("a second time: %q", out)
	}
	if after := list(); len(after) != len(before)-1 {
		t.Errorf("%v are left of %v", after, before)
	}
	h.MustCommand("", "consent", "withdraw", "alice", "--all")
	if after := list(); len(after) != 0 {
		t.Errorf("%v are left", after)
	}
}
