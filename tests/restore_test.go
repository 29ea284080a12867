package tests

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"maunium.net/go/mautrix/oauth"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// restored puts a backup in the place of the database, as docs/commands.md says.
func restored(t *testing.T, h *rig.Homeserver, backup string) {
	t.Helper()
	h.Caddy.Stop()
	h.MustCommand("", "restore", backup)
	h.Caddy.Start()
}

// TestRestoredBackup puts last night's backup back while people are signed in who refreshed since: by OAuth, in an
// encrypted room, and by the legacy API. They go on without a sign-in, and decrypt what was said before and after. Who
// signed in since the backup is told to wait by Synapse and by us, and not that all is over.
func TestRestoredBackup(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	alicePassword, bobPassword := h.AddUser("alice"), h.AddUser("bob")
	ctx, dir := context.Background(), t.TempDir()
	client := oauthSignIn(t, h, oauth.ResponseModeQuery, "alice", alicePassword, "ALICEPHONE")
	alice := encrypted(t, client, filepath.Join(dir, "alice.db"), nil)
	bob := signIn(t, h.URL, "bob", bobPassword, "BOBPHONE", filepath.Join(dir, "bob.db"))
	old := startApp(t, h, "bob", bobPassword, "BOBTABLET")
	room := meet(t, alice, bob)
	bob.say(room, "before")
	alice.wantHeard("before")

	backup := filepath.Join(dir, "backup.db")
	h.MustCommand("", "backup", backup)
	refresh := func(times int) {
		t.Helper()
		for range times {
			if err := client.OAuthRefreshToken(ctx, 24*time.Hour); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Whoami(ctx); err != nil {
				t.Fatal(err)
			}
			old.refresh().Must(t, http.StatusOK)
			old.whoami().Must(t, http.StatusOK)
		}
	}
	refresh(6)
	bob.say(room, "since the backup")
	late := startApp(t, h, "bob", bobPassword, "BOBLATE")
	leaving := startApp(t, h, "bob", bobPassword, "BOBLEAVING")
	leaving.whoami().Must(t, http.StatusOK)

	restored(t, h, backup)
	alice.wantHeard("since the backup")
	refresh(6)
	bob.say(room, "after the backup was put back")
	alice.wantHeard("after the backup was put back")
	alice.say(room, "and the other way")
	bob.wantHeard("and the other way")
	if who, err := client.Whoami(ctx); err != nil || who.DeviceID != "ALICEPHONE" {
		t.Fatalf("whoami: %v, %v", who, err)
	}

	h.Call(http.MethodPost, "/v3/refresh", "", map[string]any{"refresh_token": late.second}).Must(t, http.StatusServiceUnavailable)
	late.whoami().Must(t, http.StatusServiceUnavailable) // Synapse asks us for the first time

	// Synapse remembers that this one was good. Its holder signs out while it is lost, and it is over at once (REV-9).
	leaving.whoami().Must(t, http.StatusOK)
	h.Call(http.MethodPost, "/v3/logout", leaving.access, nil).Must(t, http.StatusOK)
	if got := leaving.whoami().Must(t, http.StatusUnauthorized); got.Body["soft_logout"] != true {
		t.Errorf("it is told %v", got.Body)
	}
}
