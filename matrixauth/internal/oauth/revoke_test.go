package oauth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

func TestRevoke(t *testing.T) {
	revoke := func(h *house.House, fields ...string) house.Answer {
		h.T.Helper()
		return h.Do(house.Call{Method: http.MethodPost, Path: house.RevokePath, Header: house.FormType, Body: house.Form(fields...)})
	}
	for name, choose := range map[string]func(house.Tokens) []string{ // REV-2, REV-5, REV-6
		"access token":  func(t house.Tokens) []string { return []string{"token", t.AccessToken, "client_id", "app"} },
		"refresh token": func(t house.Tokens) []string { return []string{"token", t.RefreshToken, "client_id", "app"} },
		"with a wrong hint": func(t house.Tokens) []string {
			return []string{"token", t.RefreshToken, "token_type_hint", "access_token"}
		},
		"with an unknown hint":     func(t house.Tokens) []string { return []string{"token", t.AccessToken, "token_type_hint", "magic"} },
		"by nobody in particular":  func(t house.Tokens) []string { return []string{"token", t.AccessToken} },
		"by an unknown client":     func(t house.Tokens) []string { return []string{"token", t.AccessToken, "client_id", "nobody"} },
		"by another public client": func(t house.Tokens) []string { return []string{"token", t.AccessToken, "client_id", "other"} },
	} {
		t.Run(name, func(t *testing.T) {
			h := house.WithApp(t)
			h.Register("other", "")
			got := h.OauthSession("alice", "app", "PHONE")
			a := revoke(h, choose(got)...)
			if a.Status != http.StatusOK || a.Body != "{}" { // REV-4
				t.Fatalf("got %d %s", a.Status, a.Body)
			}
			house.WantWire(t, web.OpenOAuthWire, a) // REV-10
			h.WantInactive(got.AccessToken)         // REV-9
			h.Settle()
			h.WantDevices("alice")
			h.Renew("app", got.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
			if a := revoke(h, choose(got)...); a.Status != http.StatusOK || a.Body != "{}" { // REV-3
				t.Errorf("again: got %d %s", a.Status, a.Body)
			}
		})
	}
	t.Run("what is no token", func(t *testing.T) { // REV-3
		h := house.WithApp(t)
		for _, token := range []string{"x", model.NewToken(model.OAuthAccess), "syt_abc"} {
			revoke(h, "token", token).Shows(t, http.StatusOK, "{}")
		}
	})
	t.Run("no token", func(t *testing.T) { // REV-8
		h := house.WithApp(t)
		revoke(h, "client_id", "app").Shows(t, http.StatusBadRequest, "invalid_request")
	})
	t.Run("a compatibility token, and logout with an OAuth token", func(t *testing.T) { // AMB-14
		h := house.WithApp(t)
		compat, oauth := h.LoginOn("alice", "LAPTOP"), h.OauthSession("alice", "app", "PHONE")
		revoke(h, "token", compat.AccessToken).Shows(t, http.StatusOK, "{}")
		h.Logout(oauth.AccessToken).Want(t, http.StatusOK, "")
		h.Settle()
		h.WantDevices("alice")
	})
	t.Run("a confidential client's token", func(t *testing.T) { // REV-7
		h := house.WithApp(t)
		h.Register("confidential", "s3cret")
		b := h.SignedInAs("alice")
		basic := http.Header{"Content-Type": house.FormType["Content-Type"], "Authorization": {house.BasicAuth("confidential", "s3cret")}}
		got := h.Tokens(h.Do(house.Call{Method: http.MethodPost, Path: house.TokenPath, Header: basic, Body: house.Form("grant_type", "authorization_code",
			"code", b.Consent(house.Params("confidential")), "redirect_uri", house.WebCallback, "code_verifier", house.Verifier)}))
		revoke(h, "token", got.AccessToken).Shows(t, http.StatusUnauthorized, "invalid_client")
		revoke(h, "token", got.AccessToken, "client_id", "confidential").Shows(t, http.StatusUnauthorized, "invalid_client")
		revoke(h, "token", got.AccessToken, "client_id", "app").Shows(t, http.StatusUnauthorized, "invalid_client")
		h.WantActive(got.AccessToken, "PHONE")
		h.Do(house.Call{Method: http.MethodPost, Path: house.RevokePath, Header: basic, Body: house.Form("token", got.AccessToken)}).Shows(t, http.StatusOK, "{}")
		h.WantInactive(got.AccessToken)
	})
	t.Run("homeserver down", func(t *testing.T) { // REV-11, S4
		h := house.WithApp(t)
		got := h.OauthSession("alice", "app", "PHONE")
		h.Fake.Stop()
		revoke(h, "token", got.AccessToken).Shows(t, http.StatusOK, "{}")
		h.WantInactive(got.AccessToken)
		h.Fake.Resume()
		h.Clock.Move(time.Hour)
		h.Pass()
		h.WantDevices("alice")
	})
}
