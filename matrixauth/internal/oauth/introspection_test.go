package oauth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// strict reads an answer as Synapse's pydantic model does: each member in its exact JSON type (SYN-4).
func strict(t *testing.T, a house.Answer) map[string]json.RawMessage {
	t.Helper()
	if a.Status != http.StatusOK {
		t.Fatalf("got %d %s", a.Status, a.Body)
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(a.Body), &members); err != nil {
		t.Fatalf("%s: %v", a.Body, err)
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
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	session := func(device string) (id string) {
		for _, s := range house.Act(h, matrixauth.ListSessions, matrixauth.SessionQuery{User: "alice"}).Sessions {
			if s.DeviceID == device {
				id = s.ID
			}
		}
		return id
	}
	now := h.Clock.Now().Unix()
	t.Run("with refresh", func(t *testing.T) {
		s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
		a := h.Introspect(s.AccessToken)
		strict(t, a)
		// SYN-6: the API scope in both spellings; SYN-4: the username is a localpart.
		want := fmt.Sprintf(`{"active":true,"scope":"urn:matrix:client:api:* urn:matrix:org.matrix.msc2967.client:api:*","client_id":"legacy","username":"alice",`+
			`"token_type":"access_token","exp":%d,"expires_in":300,"iat":%d,"sub":"%s","iss":"%s","jti":"%s.1","device_id":"PHONE"}`,
			now+300, now, h.UserID("alice"), house.Issuer, session("PHONE"))
		if a.Body != want {
			t.Errorf("got  %s\nwant %s", a.Body, want)
		}
		if strings.Contains(a.Body, s.AccessToken) {
			t.Error("the answer holds the token")
		}
	})
	t.Run("without", func(t *testing.T) {
		a := h.Introspect(h.LoginOn("alice", "LAPTOP").AccessToken)
		members := strict(t, a)
		for _, name := range []string{"exp", "expires_in"} {
			if value, there := members[name]; there {
				t.Errorf("%s is %s for a token that does not expire", name, value)
			}
		}
		if len(members) != 10 {
			t.Errorf("got %s", a.Body)
		}
	})
	t.Run("a device id of 255 bytes and odd signs", func(t *testing.T) {
		id := strings.Repeat("é", 127) + "\""
		if got := string(strict(t, h.Introspect(h.LoginOn("alice", id).AccessToken))["device_id"]); got != house.JSON(id) {
			t.Errorf("device_id is %s, want %s", got, house.JSON(id))
		}
	})
}

// introspectLife: expires_in counts down, is never zero while the token lives, and a token is inactive
// from the moment of its end.
func introspectLife(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	s := h.Login("alice", house.Object{"refresh_token": true})
	for _, step := range []struct {
		move time.Duration
		want string
	}{
		{0, "300"}, {time.Second, "299"}, {500 * time.Millisecond, "298"}, {297*time.Second + 500*time.Millisecond, "1"},
		{500 * time.Millisecond, "1"}, {499 * time.Millisecond, "1"}, {time.Millisecond, ""}, {time.Hour, ""},
	} {
		h.Clock.Move(step.move)
		if step.want == "" {
			h.WantInactive(s.AccessToken)
			continue
		}
		if got := string(strict(t, h.Introspect(s.AccessToken))["expires_in"]); got != step.want {
			t.Errorf("expires_in is %s, want %s", got, step.want)
		}
	}
}

func introspectInactive(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "gone")
	s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	replaced := h.LoginOn("alice", "LAPTOP")
	h.LoginOn("alice", "LAPTOP")
	out := h.LoginOn("alice", "TABLET")
	h.Logout(out.AccessToken).Want(t, http.StatusOK, "")
	gone := h.LoginOn("gone", "X")
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "gone"}})
	for name, token := range map[string]string{
		"INTRO-6 a refresh token": s.RefreshToken, "replaced": replaced.AccessToken, "logged out": out.AccessToken, "MOD-11 deactivated": gone.AccessToken,
		"never made": model.NewToken(model.CompatAccess), "malformed": "x", "in capitals": strings.ToUpper(s.AccessToken), "with a space": s.AccessToken + " ",
		"cut": s.AccessToken[:len(s.AccessToken)-1], "the secret itself": house.SharedKey,
	} {
		t.Run(name, func(t *testing.T) { h.WantInactive(token) })
	}
	h.WantActive(s.AccessToken, "PHONE")
}

func introspectHint(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	for _, hint := range []string{"", "access_token", "refresh_token", "pigeon"} {
		for token, want := range map[string]string{s.AccessToken: `{"active":true,`, s.RefreshToken: house.Inactive} {
			a := h.Do(house.Call{Method: "POST", Path: "/oauth2/introspect", Bearer: house.SharedKey, Header: house.FormType, Body: house.Form("token", token, "token_type_hint", hint)})
			if a.Status != http.StatusOK || !strings.HasPrefix(a.Body, want) {
				t.Errorf("hint %q: got %d %s, want %s", hint, a.Status, a.Body, want)
			}
		}
	}
}

func introspectAdmin(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	if _, err := matrixauth.IssueToken.Do(t.Context(), h.Ops, matrixauth.NewToken{Name: matrixauth.Name{User: "alice"}, Admin: true}); err == nil {
		t.Error("somebody who is no administrator got the administration scope")
	}
	house.Act(h, matrixauth.SetAdmin, matrixauth.AdminRight{Name: matrixauth.Name{User: "alice"}, Admin: true})
	issued := house.Act(h, matrixauth.IssueToken, matrixauth.NewToken{Name: matrixauth.Name{User: "alice"}, DeviceID: "BOT", Admin: true})
	h.Keep(house.SignedIn{AccessToken: issued.Token})
	const want = `"urn:matrix:client:api:* urn:matrix:org.matrix.msc2967.client:api:* urn:synapse:admin:*"`
	if got := string(strict(t, h.Introspect(issued.Token))["scope"]); got != want {
		t.Errorf("scope is %s, want %s", got, want)
	}
	// A login never has it, whoever signs in.
	if got := string(strict(t, h.Introspect(h.Login("alice", nil).AccessToken))["scope"]); strings.Contains(got, "admin") {
		t.Errorf("scope of a login is %s", got)
	}
	house.Act(h, matrixauth.SetAdmin, matrixauth.AdminRight{Name: matrixauth.Name{User: "alice"}})
	h.WantInactive(issued.Token)
}

// introspectLocked: Synapse turns "inactive" into a logout that destroys keys, and remembers it; a 503
// it passes on and forgets.
func introspectLocked(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	s, bob := h.LoginOn("alice", "PHONE"), h.LoginOn("bob", "PHONE")
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
	a := h.Introspect(s.AccessToken)
	if want := `{"error":"temporarily_unavailable","error_description":"the account is locked"}`; a.Status != http.StatusServiceUnavailable || a.Body != want {
		t.Errorf("got %d %s, want 503 %s", a.Status, a.Body, want)
	}
	if got := a.Header.Get("Retry-After"); got == "" {
		t.Error("no Retry-After")
	}
	h.WantActive(bob.AccessToken, "PHONE")
	house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
	h.WantActive(s.AccessToken, "PHONE")
}

// introspectSecret: only who knows the secret may ask. Wrong secrets are limited by network; the right
// one is not, even from there.
func introspectSecret(t *testing.T) {
	for _, inside := range []bool{false, true} {
		t.Run(fmt.Sprintf("inside %v", inside), func(t *testing.T) {
			h := house.New(t, house.Unlimited)
			h.Add("alice")
			s := h.LoginOn("alice", "PHONE")
			ask := func(authorization ...string) house.Answer {
				return h.Do(house.Call{
					Method: "POST", Path: "/oauth2/introspect", Inside: inside, Body: house.Form("token", s.AccessToken),
					Header: http.Header{"Content-Type": house.FormType["Content-Type"], "Authorization": authorization},
				})
			}
			for i, wrong := range [][]string{
				nil, {""}, {"Bearer"}, {"Bearer "}, {"Bearer wrong"}, {"Basic " + house.SharedKey}, {"Bearer " + house.SharedKey + "x"}, {"Bearer " + house.SharedKey[1:]},
				{"Bearer " + s.AccessToken}, {house.SharedKey},
			} {
				a := ask(wrong...)
				if want := `{"error":"invalid_client","error_description":"the caller could not be authenticated"}`; a.Status != http.StatusUnauthorized || a.Body != want {
					t.Fatalf("try %d %q: got %d %s", i, wrong, a.Status, a.Body)
				}
				scheme := "Bearer "
				if len(wrong) == 1 && strings.HasPrefix(wrong[0], "Basic ") {
					scheme = "Basic " // a client's way to ask (CAUTH-4)
				}
				if got := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, scheme) {
					t.Errorf("WWW-Authenticate is %q", got)
				}
			}
			a := ask("Bearer wrong")
			if a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "6" {
				t.Errorf("the eleventh wrong secret: got %d, Retry-After %q", a.Status, a.Header.Get("Retry-After"))
			}
			for range 100 {
				if a := ask("Bearer " + house.SharedKey); a.Status != http.StatusOK {
					t.Fatalf("the right secret: got %d %s", a.Status, a.Body)
				}
			}
			h.Clock.Move(6 * time.Second)
			if a := ask("Bearer wrong"); a.Status != http.StatusUnauthorized {
				t.Errorf("after the wait: got %d, want 401", a.Status)
			}
			// The query is no place for a secret.
			a = h.Do(house.Call{Method: "POST", Path: "/oauth2/introspect?access_token=" + house.SharedKey, IP: "203.0.113.77", Header: house.FormType, Body: house.Form("token", s.AccessToken)})
			if a.Status != http.StatusUnauthorized {
				t.Errorf("the secret in the query: got %d", a.Status)
			}
		})
	}
}

func introspectHeaders(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	s := h.LoginOn("alice", "PHONE")
	for _, inside := range []bool{false, true} {
		for _, c := range []struct{ secret, token string }{{house.SharedKey, s.AccessToken}, {house.SharedKey, "x"}, {house.SharedKey, ""}, {"wrong", "x"}} {
			a := h.Do(house.Call{Method: "POST", Path: "/oauth2/introspect", Inside: inside, Bearer: c.secret, Header: house.FormType, Body: house.Form("token", c.token)})
			house.WantWire(t, web.OAuthWire, a)
		}
	}
}

// introspectUses: the first introspection of a new token ends the grace of the refresh token that
// minted it (REF-4), and is not forgotten when the database is closed in order.
func introspectUses(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	fresh := h.SignedIn(h.Refresh(s.RefreshToken))
	h.Clock.Move(time.Minute)
	h.SignedIn(h.Refresh(s.RefreshToken)) // nothing of the successor was used yet
	h.WantActive(fresh.AccessToken, "PHONE")
	h.Must(h.Registry.Flush(t.Context()))
	h.Crash()
	h.Clock.Move(time.Minute)
	h.Refresh(s.RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	h.WantInactive(fresh.AccessToken)
}

func introspectAlways(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	s := h.LoginOn("alice", "PHONE")
	h.Fake.Stop()
	h.WantActive(s.AccessToken, "PHONE")
	h.Crash()
	h.WantActive(s.AccessToken, "PHONE")
	h.Fake.Resume()
}

// introspectAtOnce: Synapse remembers a refusal for two minutes, so a token that it is shown right after
// the answer must be there.
func introspectAtOnce(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	for i := range 200 {
		h.WantActive(s.AccessToken, "PHONE")
		if i%2 == 0 {
			s = h.SignedIn(h.Refresh(s.RefreshToken))
		} else {
			s = h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
		}
	}
	h.WantSessions("alice", "PHONE")
}

// TestClientIntrospection: a confidential client sees its own tokens and no others (INTRO-9).
func TestClientIntrospection(t *testing.T) {
	h := house.WithApp(t)
	h.Register("confidential", "s3cret")
	basic := http.Header{"Content-Type": house.FormType["Content-Type"], "Authorization": {house.BasicAuth("confidential", "s3cret")}}
	own := h.Tokens(h.Do(house.Call{Method: http.MethodPost, Path: house.TokenPath, Header: basic, Body: house.Form("grant_type", "authorization_code",
		"code", h.SignedInAs("alice").Consent(house.Params("confidential")), "redirect_uri", house.WebCallback, "code_verifier", house.Verifier)}))
	others := h.OauthSession("bob", "app", "PHONE")
	ask := func(header http.Header, fields ...string) house.Answer {
		return h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", Header: header, Body: house.Form(fields...)})
	}
	ask(basic, "token", own.AccessToken).Shows(t, http.StatusOK, `"scope":"`+house.PhoneScope+`"`)
	ask(basic, "token", own.RefreshToken).Shows(t, http.StatusOK, `"token_type":"refresh_token"`) // INTRO-6
	for _, token := range []string{others.AccessToken, others.RefreshToken, "x", h.LoginOn("bob", "LAPTOP").AccessToken} {
		if a := ask(basic, "token", token); a.Body != house.Inactive {
			t.Errorf("got %s", a.Body)
		}
	}
	h.Introspect(own.RefreshToken).Shows(t, http.StatusOK, house.Inactive)
	ask(house.FormType, "token", others.AccessToken, "client_id", "app").Shows(t, http.StatusUnauthorized, "invalid_client")
	h.Clock.Move(6 * time.Minute)
	if a := ask(basic, "token", own.AccessToken); a.Body != house.Inactive {
		t.Errorf("got %s", a.Body)
	}
}
