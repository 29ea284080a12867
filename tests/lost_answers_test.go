package tests

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"maunium.net/go/mautrix/oauth"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// lossy stands between a client and the token endpoint. It forwards every request, and loses as many of
// the next answers as it is told to.
type lossy struct {
	*httptest.Server
	lose, lost atomic.Int32
}

func newLossy(t *testing.T, endpoint string) *lossy {
	t.Helper()
	l := &lossy{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response, err := http.Post(endpoint, r.Header.Get("Content-Type"), r.Body)
		if err != nil {
			t.Error(err)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Error(err)
		}
		if response.StatusCode == http.StatusOK && l.lose.Add(-1) >= 0 {
			l.lost.Add(1)
			panic(http.ErrAbortHandler) // the connection breaks
		}
		w.Header().Set("Content-Type", response.Header.Get("Content-Type"))
		w.WriteHeader(response.StatusCode)
		if _, err := w.Write(body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(l.Close)
	return l
}

// TestEncryptedRoomOverLostAnswers has somebody sign in by OAuth, talk in an encrypted room, and refresh
// fifty times over a network that loses more answers than it brings. They still decrypt (REF-3, REF-4, REF-16).
func TestEncryptedRoomOverLostAnswers(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	alicePassword, bobPassword := h.AddUser("alice"), h.AddUser("bob")
	ctx, dir := context.Background(), t.TempDir()
	client := oauthSignIn(t, h, oauth.ResponseModeQuery, "alice", alicePassword, "ALICEPHONE")
	metadata, err := client.OAuthGetServerMetadata(ctx)
	if err != nil {
		t.Fatal(err)
	}
	network := newLossy(t, metadata.TokenEndpoint)
	behind := *metadata
	behind.TokenEndpoint = network.URL
	client.OAuthSetServerMetadata(&behind)

	alice := encrypted(t, client, filepath.Join(dir, "alice.db"), nil)
	bob := signIn(t, h.URL, "bob", bobPassword, "BOBPHONE", filepath.Join(dir, "bob.db"))
	room := meet(t, alice, bob)
	bob.say(room, "before")
	alice.wantHeard("before")

	const refreshes = 50
	for n := range refreshes {
		network.lose.Store(int32(n % 4))
		for {
			err := client.OAuthRefreshToken(ctx, 24*time.Hour)
			if err == nil {
				break
			}
			if network.lose.Load() < 0 {
				t.Fatalf("refresh %d: %v", n, err)
			}
		}
		// The new token is used, or the next refresh comes before it was.
		if n%3 == 0 {
			if _, err := client.Whoami(ctx); err != nil {
				t.Fatalf("after refresh %d: %v", n, err)
			}
		}
		if n%10 == 9 {
			there, back := fmt.Sprintf("question %d", n), fmt.Sprintf("answer %d", n)
			bob.say(room, there)
			alice.wantHeard(there)
			alice.say(room, back)
			bob.wantHeard(back)
		}
	}
	if lost := network.lost.Load(); lost < refreshes {
		t.Fatalf("only %d answers were lost", lost)
	}
	who, err := client.Whoami(ctx)
	if err != nil || who.DeviceID != "ALICEPHONE" {
		t.Fatalf("whoami: %v, %v", who, err)
	}
}
