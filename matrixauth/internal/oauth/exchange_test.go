package oauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

func TestToken(t *testing.T) {
	t.Run("refresh", func(t *testing.T) {
		h := house.WithApp(t)
		first := h.OauthSession("alice", "app", "PHONE")
		second := h.Tokens(h.Renew("app", first.RefreshToken))
		if second.Scope != house.PhoneScope || second.ExpiresIn != 300 || second.RefreshToken == "" || second.RefreshToken == first.RefreshToken { // REF-13, REF-17
			t.Errorf("%+v", second)
		}
		h.WantActive(first.AccessToken, "PHONE") // REF-10
		h.WantActive(second.AccessToken, "PHONE")
	})
	t.Run("a lost answer is retried", func(t *testing.T) { // S1
		h := house.WithApp(t)
		first := h.OauthSession("alice", "app", "PHONE")
		for range 3 {
			h.Tokens(h.Renew("app", first.RefreshToken))
		}
		last := h.Tokens(h.Renew("app", first.RefreshToken))
		h.WantActive(last.AccessToken, "PHONE")
		h.Tokens(h.Renew("app", first.RefreshToken)) // within the grace
		h.Clock.Move(2 * time.Minute)
		h.Renew("app", first.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.WantInactive(last.AccessToken) // REF-5
	})
	t.Run("another client's token", func(t *testing.T) { // REF-1
		h := house.WithApp(t)
		h.Register("other", "")
		first := h.OauthSession("alice", "app", "PHONE")
		h.Renew("other", first.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.Tokens(h.Renew("app", first.RefreshToken))
	})
	t.Run("tokens of the other API", func(t *testing.T) { // LEG-36
		h := house.WithApp(t)
		oauth := h.OauthSession("alice", "app", "PHONE")
		compat := h.Login("bob", house.Object{"device_id": "PHONE", "refresh_token": true})
		h.Renew("app", compat.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.Refresh(oauth.RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.Tokens(h.Renew("app", oauth.RefreshToken))
		h.SignedIn(h.Refresh(compat.RefreshToken))
	})
	t.Run("scope", func(t *testing.T) { // SCOPE-14
		h := house.WithApp(t)
		first := h.OauthSession("alice", "app", "PHONE")
		wider := h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", house.PhoneScope+" "+model.ScopeSynapseAdmin)
		wider.Shows(t, http.StatusBadRequest, "invalid_scope")
		narrow := h.Tokens(h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", model.ScopeAPI))
		if narrow.Scope != model.ScopeAPI {
			t.Errorf("%+v", narrow)
		}
		for asked, want := range map[string]string{strings.Repeat(model.ScopeAPI+"  ", 1000): model.ScopeAPI, " ": house.PhoneScope} {
			if same := h.Tokens(h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", asked)); same.Scope != want {
				t.Errorf("%.40q became %.100q", asked, same.Scope)
			}
		}
		again := h.Tokens(h.Renew("app", narrow.RefreshToken))
		if again.Scope != house.PhoneScope {
			t.Errorf("%+v", again)
		}
		// A client that repeats all that it asked for at first is not refused for what was left out (SCOPE-8).
		repeated := h.Tokens(h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", again.RefreshToken, "scope", "openid "+house.PhoneScope))
		if repeated.Scope != house.PhoneScope {
			t.Errorf("%+v", repeated)
		}
	})
	t.Run("scope in the other spelling", func(t *testing.T) { // SCOPE-3, SCOPE-14
		const old = model.ScopeAPIUnstable + " " + model.ScopeDevicePrefixUnstable + "PHONE"
		h := house.WithApp(t)
		for granted, others := range map[string][]string{house.PhoneScope: {old, house.PhoneScope + " " + old}, old: {house.PhoneScope, old + " " + house.PhoneScope}} {
			first := h.Tokens(h.Exchange("app", h.SignedInAs("alice").Consent(house.Params("app", "scope", granted))))
			for _, asked := range append(others, model.ScopeAPI, model.ScopeAPIUnstable, granted) {
				renewed := h.Tokens(h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", asked))
				if renewed.Scope != asked {
					t.Errorf("%q became %q", asked, renewed.Scope)
				}
				h.WantActive(renewed.AccessToken, "PHONE")
			}
			for _, prefix := range []string{model.ScopeDevicePrefix, model.ScopeDevicePrefixUnstable} {
				h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", model.ScopeAPI+" "+prefix+"OTHER").
					Shows(t, http.StatusBadRequest, "invalid_scope")
			}
		}
	})
	t.Run("locked", func(t *testing.T) { // MOD-6
		h := house.WithApp(t)
		first := h.OauthSession("alice", "app", "PHONE")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		h.Renew("app", first.RefreshToken).Shows(t, http.StatusServiceUnavailable, "temporarily_unavailable")
		house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
		h.Tokens(h.Renew("app", first.RefreshToken))
	})
	t.Run("deactivated", func(t *testing.T) { // REF-14
		h := house.WithApp(t)
		first := h.OauthSession("alice", "app", "PHONE")
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}})
		h.Renew("app", first.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("homeserver down", func(t *testing.T) { // TOK-15, TOK-23
		h := house.WithApp(t)
		code := h.SignedInAs("alice").Consent(house.Params("app"))
		h.Fake.Stop()
		a := h.Exchange("app", code)
		a.Shows(t, http.StatusServiceUnavailable, "temporarily_unavailable")
		if a.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		h.Fake.Resume()
		h.Tokens(h.Exchange("app", code))
	})
	t.Run("errors", func(t *testing.T) { // TOK-6, TOK-8
		h := house.WithApp(t)
		h.Register("confidential", "s3cret")
		h.Register("refresher", "", func(m *model.ClientMetadata) { m.GrantTypes = []string{model.GrantRefresh} })
		h.Register("codes only", "", func(m *model.ClientMetadata) { m.GrantTypes = []string{model.GrantCode} })
		for name, c := range map[string]struct {
			fields []string
			status int
			code   string
		}{
			"no grant type":            {nil, 400, "invalid_request"},
			"an unknown grant type":    {[]string{"grant_type", "magic"}, 400, "unsupported_grant_type"},
			"the password grant":       {[]string{"grant_type", "password", "username", "alice", "password", "x"}, 400, "unsupported_grant_type"}, // TOK-16
			"no client":                {[]string{"grant_type", "refresh_token", "refresh_token", "x"}, 400, "invalid_request"},                   // TOK-14
			"an unknown client":        {[]string{"grant_type", "refresh_token", "client_id", "nobody", "refresh_token", "x"}, 401, "invalid_client"},
			"no refresh token":         {[]string{"grant_type", "refresh_token", "client_id", "app"}, 400, "invalid_request"},
			"an unknown refresh token": {[]string{"grant_type", "refresh_token", "client_id", "app", "refresh_token", "x"}, 400, "invalid_grant"},
			"no code":                  {[]string{"grant_type", "authorization_code", "client_id", "app", "redirect_uri", "x", "code_verifier", house.Verifier}, 400, "invalid_request"},
			"no verifier":              {[]string{"grant_type", "authorization_code", "client_id", "app", "redirect_uri", "x", "code", "x"}, 400, "invalid_request"},
			"an unknown code":          {[]string{"grant_type", "authorization_code", "client_id", "app", "redirect_uri", "x", "code", "x", "code_verifier", house.Verifier}, 400, "invalid_grant"},
			"confidential, no secret":  {[]string{"grant_type", "refresh_token", "client_id", "confidential", "refresh_token", "x"}, 401, "invalid_client"},
			"a code, not registered":   {[]string{"grant_type", "authorization_code", "client_id", "refresher", "redirect_uri", "x", "code", "x", "code_verifier", house.Verifier}, 400, "unauthorized_client"},
			"refresh, not registered":  {[]string{"grant_type", "refresh_token", "client_id", "codes only", "refresh_token", "x"}, 400, "invalid_grant"},                 // TOK-4
			"public, with a secret":    {[]string{"grant_type", "refresh_token", "client_id", "app", "client_secret", "x", "refresh_token", "x"}, 401, "invalid_client"}, // CAUTH-3
		} {
			t.Run(name, func(t *testing.T) {
				a := h.Token(c.fields...)
				a.Shows(t, c.status, `"error":"`+c.code+`"`)
				house.WantWire(t, web.OpenOAuthWire, a)
			})
		}
	})
}
