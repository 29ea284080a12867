package matrixauth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// strict reads an answer as Synapse's pydantic model does: each member in its exact JSON type (SYN-4).
func strict(t *testing.T, a answer) map[string]json.RawMessage {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(a.body), &members); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	for name, value := range members {
		ok := false
		switch name {
		case "active":
			ok = string(value) == "true" || string(value) == "false"
		case "expires_in", "exp", "iat":
			ok = json.Unmarshal(value, new(int64)) == nil && !strings.ContainsAny(string(value), `.eE"`)
		case "scope", "client_id", "username", "token_type", "sub", "iss", "jti", "device_id":
			ok = value[0] == '"'
		}
		if !ok {
			t.Errorf("member %s is %s", name, value)
		}
	}
	return members
}

// TestIntrospection is what Synapse asks about every token (SYN-3 to SYN-10, SYN-23, INTRO-1 to INTRO-10).
func TestIntrospection(t *testing.T) {
	t.Run("SYN-4 INTRO-5 every member of an active token", introspectMembers)
	t.Run("SYN-5 the rest of a token's life", introspectLife)
	t.Run("INTRO-3 inactive", introspectInactive)
	t.Run("INTRO-4 the hint does not matter", introspectHint)
	t.Run("SYN-9 administration", introspectAdmin)
	t.Run("MOD-3 locked", introspectLocked)
	t.Run("INTRO-2 SYN-14 secret", introspectSecret)
	t.Run("INTRO-7 headers", introspectHeaders)
	t.Run("INTRO-10 the first introspection uses a token", introspectUses)
	t.Run("SYN-10 homeserver and restart", introspectAlways)
	t.Run("SYN-8 S5 a token is known as soon as it is answered", introspectAtOnce)
}

func introspectMembers(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	session := func(device string) (id string) {
		for _, s := range act(h, ListSessions, SessionsAsked{User: "alice"}).Sessions {
			if s.DeviceID == device {
				id = s.ID
			}
		}
		return id
	}
	now := h.clock.Now().Unix()
	t.Run("with refresh", func(t *testing.T) {
		s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
		a := h.introspect(s.AccessToken)
		strict(t, a)
		// SYN-6: the API scope in both spellings; SYN-4: the username is a localpart.
		want := fmt.Sprintf(`{"active":true,"scope":"urn:matrix:client:api:* urn:matrix:org.matrix.msc2967.client:api:*","client_id":"legacy","username":"alice",`+
			`"token_type":"access_token","exp":%d,"expires_in":300,"iat":%d,"sub":"%s","iss":"%s","jti":"%s.1","device_id":"PHONE"}`,
			now+300, now, h.userID("alice"), issuer, session("PHONE"))
		if a.body != want {
			t.Errorf("got  %s\nwant %s", a.body, want)
		}
		if strings.Contains(a.body, s.AccessToken) {
			t.Error("the answer holds the token")
		}
	})
	t.Run("without", func(t *testing.T) {
		a := h.introspect(h.loginOn("alice", "LAPTOP").AccessToken)
		members := strict(t, a)
		for _, name := range []string{"exp", "expires_in"} {
			if value, there := members[name]; there {
				t.Errorf("%s is %s for a token that does not expire", name, value)
			}
		}
		if len(members) != 10 {
			t.Errorf("got %s", a.body)
		}
	})
	t.Run("a device id of 255 bytes and odd signs", func(t *testing.T) {
		id := strings.Repeat("é", 127) + "\""
		if got := string(strict(t, h.introspect(h.loginOn("alice", id).AccessToken))["device_id"]); got != text(id) {
			t.Errorf("device_id is %s, want %s", got, text(id))
		}
	})
}

// introspectLife: expires_in counts down, is never zero while the token lives, and a token is inactive
// from the moment of its end.
func introspectLife(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	s := h.login("alice", object{"refresh_token": true})
	for _, step := range []struct {
		move time.Duration
		want string
	}{
		{0, "300"}, {time.Second, "299"}, {500 * time.Millisecond, "298"}, {297*time.Second + 500*time.Millisecond, "1"},
		{500 * time.Millisecond, "1"}, {499 * time.Millisecond, "1"}, {time.Millisecond, ""}, {time.Hour, ""},
	} {
		h.clock.Move(step.move)
		if step.want == "" {
			h.wantInactive(s.AccessToken)
			continue
		}
		if got := string(strict(t, h.introspect(s.AccessToken))["expires_in"]); got != step.want {
			t.Errorf("expires_in is %s, want %s", got, step.want)
		}
	}
}

func introspectInactive(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice", "gone")
	s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
	replaced := h.loginOn("alice", "LAPTOP")
	h.loginOn("alice", "LAPTOP")
	out := h.loginOn("alice", "TABLET")
	h.logout(out.AccessToken).want(t, http.StatusOK, "")
	gone := h.loginOn("gone", "X")
	act(h, DeactivateUser, Deactivation{Name: Name{User: "gone"}})
	for name, token := range map[string]string{
		"INTRO-6 a refresh token": s.RefreshToken, "replaced": replaced.AccessToken, "logged out": out.AccessToken, "MOD-11 deactivated": gone.AccessToken,
		"never made": model.NewToken(model.CompatAccess), "malformed": "x", "in capitals": strings.ToUpper(s.AccessToken), "with a space": s.AccessToken + " ",
		"cut": s.AccessToken[:len(s.AccessToken)-1], "the secret itself": sharedKey,
	} {
		t.Run(name, func(t *testing.T) { h.wantInactive(token) })
	}
	h.wantActive(s.AccessToken, "PHONE")
}

func introspectHint(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
	for _, hint := range []string{"", "access_token", "refresh_token", "pigeon"} {
		for token, want := range map[string]string{s.AccessToken: `{"active":true,`, s.RefreshToken: inactive} {
			a := h.do(call{method: "POST", path: "/oauth2/introspect", bearer: sharedKey, header: formType, body: form("token", token, "token_type_hint", hint)})
			if a.status != http.StatusOK || !strings.HasPrefix(a.body, want) {
				t.Errorf("hint %q: got %d %s, want %s", hint, a.status, a.body, want)
			}
		}
	}
}

func introspectAdmin(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	if _, err := IssueToken.Do(t.Context(), h.ops, NewToken{Name: Name{User: "alice"}, Admin: true}); err == nil {
		t.Error("somebody who is no administrator got the administration scope")
	}
	act(h, SetAdmin, AdminRight{Name: Name{User: "alice"}, Admin: true})
	issued := act(h, IssueToken, NewToken{Name: Name{User: "alice"}, DeviceID: "BOT", Admin: true})
	h.keep(signedIn{AccessToken: issued.Token})
	const want = `"urn:matrix:client:api:* urn:matrix:org.matrix.msc2967.client:api:* urn:synapse:admin:*"`
	if got := string(strict(t, h.introspect(issued.Token))["scope"]); got != want {
		t.Errorf("scope is %s, want %s", got, want)
	}
	// A login never has it, whoever signs in.
	if got := string(strict(t, h.introspect(h.login("alice", nil).AccessToken))["scope"]); strings.Contains(got, "admin") {
		t.Errorf("scope of a login is %s", got)
	}
	act(h, SetAdmin, AdminRight{Name: Name{User: "alice"}})
	h.wantInactive(issued.Token)
}

// introspectLocked: Synapse turns "inactive" into a logout that destroys keys, and remembers it; a 503
// it passes on and forgets.
func introspectLocked(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice", "bob")
	s, bob := h.loginOn("alice", "PHONE"), h.loginOn("bob", "PHONE")
	act(h, LockUser, Name{User: "alice"})
	a := h.introspect(s.AccessToken)
	if want := `{"error":"temporarily_unavailable","error_description":"the account is locked"}`; a.status != http.StatusServiceUnavailable || a.body != want {
		t.Errorf("got %d %s, want 503 %s", a.status, a.body, want)
	}
	if got := a.header.Get("Retry-After"); got == "" {
		t.Error("no Retry-After")
	}
	h.wantActive(bob.AccessToken, "PHONE")
	act(h, UnlockUser, Name{User: "alice"})
	h.wantActive(s.AccessToken, "PHONE")
}

// introspectSecret: only who knows the secret may ask. Wrong secrets are limited by network; the right
// one is not, even from there.
func introspectSecret(t *testing.T) {
	for _, inside := range []bool{false, true} {
		t.Run(fmt.Sprintf("inside %v", inside), func(t *testing.T) {
			h := newHouse(t, unlimited)
			h.add("alice")
			s := h.loginOn("alice", "PHONE")
			ask := func(authorization ...string) answer {
				return h.do(call{
					method: "POST", path: "/oauth2/introspect", inside: inside, body: form("token", s.AccessToken),
					header: http.Header{"Content-Type": formType["Content-Type"], "Authorization": authorization},
				})
			}
			for i, wrong := range [][]string{
				nil, {""}, {"Bearer"}, {"Bearer "}, {"Bearer wrong"}, {"Basic " + sharedKey}, {"Bearer " + sharedKey + "x"}, {"Bearer " + sharedKey[1:]},
				{"Bearer " + s.AccessToken}, {sharedKey},
			} {
				a := ask(wrong...)
				if want := `{"error":"invalid_client","error_description":"the caller could not be authenticated"}`; a.status != http.StatusUnauthorized || a.body != want {
					t.Fatalf("try %d %q: got %d %s", i, wrong, a.status, a.body)
				}
				scheme := "Bearer "
				if len(wrong) == 1 && strings.HasPrefix(wrong[0], "Basic ") {
					scheme = "Basic " // a client's way to ask (CAUTH-4)
				}
				if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, scheme) {
					t.Errorf("WWW-Authenticate is %q", got)
				}
			}
			a := ask("Bearer wrong")
			if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "6" {
				t.Errorf("the eleventh wrong secret: got %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
			}
			for range 100 {
				if a := ask("Bearer " + sharedKey); a.status != http.StatusOK {
					t.Fatalf("the right secret: got %d %s", a.status, a.body)
				}
			}
			h.clock.Move(6 * time.Second)
			if a := ask("Bearer wrong"); a.status != http.StatusUnauthorized {
				t.Errorf("after the wait: got %d, want 401", a.status)
			}
			// The query is no place for a secret.
			a = h.do(call{method: "POST", path: "/oauth2/introspect?access_token=" + sharedKey, ip: "203.0.113.77", header: formType, body: form("token", s.AccessToken)})
			if a.status != http.StatusUnauthorized {
				t.Errorf("the secret in the query: got %d", a.status)
			}
		})
	}
}

func introspectHeaders(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	s := h.loginOn("alice", "PHONE")
	for _, inside := range []bool{false, true} {
		for _, c := range []struct{ secret, token string }{{sharedKey, s.AccessToken}, {sharedKey, "x"}, {sharedKey, ""}, {"wrong", "x"}} {
			a := h.do(call{method: "POST", path: "/oauth2/introspect", inside: inside, bearer: c.secret, header: formType, body: form("token", c.token)})
			wantWire(t, web.OAuthWire, a)
		}
	}
}

// introspectUses: the first introspection of a new token ends the grace of the refresh token that
// minted it (REF-4), and is not forgotten when the database is closed in order.
func introspectUses(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
	fresh := h.signedIn(h.refresh(s.RefreshToken))
	h.clock.Move(time.Minute)
	h.signedIn(h.refresh(s.RefreshToken)) // nothing of the successor was used yet
	h.wantActive(fresh.AccessToken, "PHONE")
	h.must(h.registry.Flush(t.Context()))
	h.crash()
	h.clock.Move(time.Minute)
	h.refresh(s.RefreshToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	h.wantInactive(fresh.AccessToken)
}

func introspectAlways(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	s := h.loginOn("alice", "PHONE")
	h.fake.Stop()
	h.wantActive(s.AccessToken, "PHONE")
	h.crash()
	h.wantActive(s.AccessToken, "PHONE")
	h.fake.Resume()
}

// introspectAtOnce: Synapse remembers a refusal for two minutes, so a token that it is shown right after
// the answer must be there.
func introspectAtOnce(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
	for i := range 200 {
		h.wantActive(s.AccessToken, "PHONE")
		if i%2 == 0 {
			s = h.signedIn(h.refresh(s.RefreshToken))
		} else {
			s = h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
		}
	}
	h.wantSessions("alice", "PHONE")
}

func TestHealth(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	s := h.loginOn("alice", "PHONE")
	h.fake.Stop()
	h.logout(s.AccessToken).want(t, http.StatusOK, "")
	h.clock.Move(90 * time.Second)
	a := h.do(call{path: "/health", inside: true})
	if want := h.healthy(1, 90); a.status != http.StatusOK || a.body != want {
		t.Errorf("got %d %s, want %s", a.status, a.body, want)
	}
	h.fake.Resume()
}
