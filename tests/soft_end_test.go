package tests

import (
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// The networks from which the owners of sessions and a thief come, as a trusted proxy tells.
const (
	ownersNetwork = "198.51.100.7"
	thiefsNetwork = "203.0.113.66"
)

// fromNetwork is a way to the server by which all requests come from an address.
type fromNetwork string

// RoundTrip sends a request on.
func (f fromNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", string(f))
	return http.DefaultTransport.RoundTrip(r)
}

// trustProxies has Caddy believe a proxy on the loopback about where clients come from.
func trustProxies(t *testing.T, c *rig.Caddy) {
	t.Helper()
	c.Write(strings.Replace(c.Text(""), "auto_https off", "auto_https off\n\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t}", 1))
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
}

// kept is what a client keeps of its session.
type kept struct{ AccessToken, RefreshToken, OAuthClientID, DeviceID string }

// thief holds a copy of a refresh token elsewhere.
type thief struct {
	t        *testing.T
	h        *rig.Homeserver
	by       *http.Client
	clientID string // of OAuth; empty on the legacy API
	access   string
	refresh  string
}

func newThief(t *testing.T, h *rig.Homeserver, from kept) *thief {
	return &thief{t, h, &http.Client{Transport: fromNetwork(thiefsNetwork)}, from.OAuthClientID, from.AccessToken, from.RefreshToken}
}

// presents presents the refresh token, and returns the answer.
func (s *thief) presents() rig.Answer {
	s.t.Helper()
	var answer rig.Answer
	if s.clientID != "" {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.refresh}, "client_id": {s.clientID}}
		answer = postFormBy(s.t, s.by, s.h.URL+"/oauth2/token", form)
	} else {
		var err error
		if answer, err = rig.CallBy(s.by, s.h.URL, http.MethodPost, "/v3/refresh", "", map[string]string{"refresh_token": s.refresh}); err != nil {
			s.t.Fatal(err)
		}
	}
	if answer.Status == http.StatusOK {
		s.access, s.refresh = answer.Text("access_token"), answer.Text("refresh_token")
	}
	return answer
}

func (s *thief) whoami() rig.Answer {
	s.t.Helper()
	answer, err := rig.CallBy(s.by, s.h.URL, http.MethodGet, "/v3/account/whoami", s.access, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// isOut holds that the thief has nothing left, and is told no more than a client whose keys are to stay.
func (s *thief) isOut() {
	s.t.Helper()
	if got := s.whoami().Must(s.t, http.StatusUnauthorized); got.Text("errcode") != "M_UNKNOWN_TOKEN" || got.Body["soft_logout"] != true {
		s.t.Errorf("the access token gets %v", got.Body)
	}
	if s.clientID != "" {
		if got := s.presents().Must(s.t, http.StatusBadRequest); got.Text("error") != "invalid_grant" {
			s.t.Errorf("the refresh token gets %v", got.Body)
		}
	} else if got := s.presents().Must(s.t, http.StatusUnauthorized); got.Text("errcode") != "M_UNKNOWN_TOKEN" || got.Body["soft_logout"] != true {
		s.t.Errorf("the refresh token gets %v", got.Body)
	}
}

// longAgo has what the tokens of a database were used for lie two minutes further back.
func longAgo(t *testing.T, h *rig.Homeserver) {
	t.Helper()
	h.Caddy.Stop()
	db, err := sql.Open("sqlite3", h.Database())
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "UPDATE tokens SET created_at = created_at - ?1, used_at = used_at - ?1", (2 * time.Minute).Microseconds())
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	h.Caddy.Start()
}

// TestSoftEnd has a thief refresh by a copy of a client's token, and an operator end what a backup does not know. The
// session ends softly: the client keeps its keys, a sign-in takes the same device up, and what was said before and
// meanwhile is decrypted.
func TestSoftEnd(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{Options: oauthOptions + "\n\t\taccess_token_lifetime 50s"})
	trustProxies(t, h.Caddy)
	alice, bob := h.AddUser("alice"), h.AddUser("bob")
	bot := driveNio(t, h)
	bot.do("signIn", "bob", bob, "BOBBOT")
	backup := filepath.Join(t.TempDir(), "backup.db")
	h.MustCommand("", "backup", backup)

	// twice has both refresh on from a common token: who comes second with a line of their own is elsewhere.
	twice := func(t *testing.T, owner *driven, refresh string, s *thief) {
		owner.do(refresh, 1)
		for range 2 {
			s.presents().Must(t, http.StatusOK)
			s.whoami().Must(t, http.StatusOK)
		}
		owner.do(refresh, 1)
		if got := s.presents(); got.Status == http.StatusOK {
			t.Fatal("two parties refresh one session from different networks")
		}
	}
	// again has the thief come with a token that its owner has consumed.
	again := func(t *testing.T, owner *driven, refresh string, s *thief) {
		owner.do(refresh, 1)
		longAgo(t, h)
		s.presents()
	}
	// lost has a backup of before the session put back, and the operator end what that does not know.
	lost := func(t *testing.T, _ *driven, _ string, _ *thief) {
		h.Caddy.Stop()
		h.MustCommand("", "restore", backup)
		h.Caddy.Start()
		h.MustCommand("", "session", "lost", "--end", "--yes")
		// It remembers for two minutes that a token was good.
		h.Synapse.Stop()
		h.Synapse.Start()
	}
	for _, c := range []struct {
		name            string
		signIn, refresh string // the commands
		device          string
		steal           func(t *testing.T, owner *driven, refresh string, s *thief)
	}{
		{"oauth_refreshed_in_two_places", "signIn", "refresh", "ALICEONE", twice},
		{"legacy_replayed", "signInByPassword", "refreshByApp", "ALICETWO", again},
		{"oauth_lost", "signIn", "refresh", "ALICETHREE", lost},
	} {
		t.Run(c.name, func(t *testing.T) {
			app, bob := driveSDK(t, h, ownersNetwork), bot.in(t)
			app.do(c.signIn, "alice", alice, c.device)
			room := asked[string](bob, "createRoom", "@alice:"+rig.ServerName)
			app.do("join", room)
			bob.do("meets", room, "@alice:"+rig.ServerName)
			bob.do("say", room, "before")
			app.do("reads", room, []string{"before"})
			key := asked[string](app, "ownKey")

			s := newThief(t, h, asked[kept](app, "kept"))
			c.steal(t, app, c.refresh, s)
			if ends := asked[[]string](app, "ended"); len(ends) == 0 || slices.Contains(ends, "hard") {
				t.Fatalf("the client was told of %v", ends)
			}
			s.isOut()
			observer := strings.TrimSpace(h.MustCommand("", "token", "issue", "alice"))
			if !h.Devices(observer)[c.device] {
				t.Error("the device is gone from the homeserver")
			}

			bob.do("say", room, "meanwhile")
			if device := asked[string](app, c.signIn, "alice", alice, asked[kept](app, "kept").DeviceID); device != c.device {
				t.Fatalf("the sign-in is on the device %s, want %s", device, c.device)
			}
			if now := asked[string](app, "ownKey"); now != key {
				t.Fatalf("the key of the device is %s, and was %s", now, key)
			}
			app.do("reads", room, []string{"before", "meanwhile"})
			app.do("say", room, "back again")
			bob.do("reads", room, []string{"back again"})
			s.isOut()
		})
	}
}
