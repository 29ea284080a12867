package matrixauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// The attacks of RFC 9700 on codes, proofs and scopes. Those on redirects are in
// attack_redirect_test.go, those on people and their browsers in attack_browser_test.go.

// TestAttackCode: a code is worth something once, to its own client, with its own proof (RFC 9700
// sections 4.5 and 4.8).
func TestAttackCode(t *testing.T) {
	t.Run("S7 in a race one exchange succeeds", func(t *testing.T) { // TOK-12
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		for round := range 5 {
			code := b.Consent(house.Params("app", "scope", fmt.Sprintf("%s %sRACE%d", model.ScopeAPI, model.ScopeDevicePrefix, round)))
			answers := make([]house.Answer, 6)
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() { answers[i] = h.Exchange("app", code) })
			}
			wg.Wait()
			won := 0
			for _, a := range answers {
				if a.Status == http.StatusOK {
					won++
					h.Tokens(a)
					continue
				}
				a.Shows(t, http.StatusBadRequest, "invalid_grant")
			}
			if live := len(h.LiveDevices("alice")); won != 1 || live != round+1 {
				t.Fatalf("%d exchanges won, %d sessions live", won, live)
			}
		}
	})
	t.Run("TOK-12 a replay ends what the thief or the owner got", func(t *testing.T) {
		h := house.WithApp(t)
		code := h.SignedInAs("alice").Consent(house.Params("app"))
		got := h.Tokens(h.Exchange("app", code))
		h.Exchange("app", code).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.WantActive(got.AccessToken, "PHONE") // a double submit
		h.Clock.Move(time.Minute)
		h.Exchange("app", code).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.WantInactive(got.AccessToken)
		h.Renew("app", got.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("injected into another client", func(t *testing.T) { // TOK-9
		for _, thief := range []string{"other", "clone"} {
			h := house.WithApp(t)
			h.Register("other", "", func(m *model.ClientMetadata) { m.RedirectURIs = []string{"https://other.example/cb"} })
			h.Register("clone", "") // says the same of itself in every word
			code := h.SignedInAs("alice").Consent(house.Params("app"))
			h.Exchange(thief, code).Shows(t, http.StatusBadRequest, "invalid_grant")
			h.Exchange("app", code).Shows(t, http.StatusBadRequest, "invalid_grant") // TOK-13
			h.WantSessions("alice")
		}
	})
	t.Run("injected into the session of another browser, whose verifier is another", func(t *testing.T) { // RFC 9700 section 4.5.3.1
		h := house.WithApp(t)
		stolen := h.SignedInAs("alice").Consent(house.Params("app"))
		own := strings.Repeat("b", 43)
		h.SignedInAs("bob").Request(house.Params("app", "code_challenge", house.S256(own)))
		h.Token("grant_type", "authorization_code", "client_id", "app", "code", stolen, "redirect_uri", house.WebCallback, "code_verifier", own).
			Shows(t, http.StatusBadRequest, "invalid_grant")
		h.WantSessions("bob")
		h.WantSessions("alice")
	})
	t.Run("stolen from a confidential client", func(t *testing.T) {
		h := house.WithApp(t)
		h.Register("confidential", "a secret that is long")
		code := h.SignedInAs("alice").Consent(house.Params("confidential"))
		h.Exchange("confidential", code).Shows(t, http.StatusUnauthorized, "invalid_client")
		h.Exchange("app", code).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.WantSessions("alice")
	})
	t.Run("a code is no token, a token no code", func(t *testing.T) {
		h := house.WithApp(t)
		code := h.SignedInAs("alice").Consent(house.Params("app"))
		h.WantInactive(code)
		h.Renew("app", code).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.Do(house.Call{Method: http.MethodPost, Path: house.RevokePath, Header: house.FormType, Body: house.Form("token", code)}).Shows(t, http.StatusOK, "{}")
		got := h.Tokens(h.Exchange("app", code))
		h.Exchange("app", got.AccessToken).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.Exchange("app", got.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.WantActive(got.AccessToken, "PHONE")
	})
	t.Run("parameters of the query do not count", func(t *testing.T) { // TOK-1
		h := house.WithApp(t)
		code := h.SignedInAs("alice").Consent(house.Params("app"))
		all := house.Form("grant_type", "authorization_code", "client_id", "app", "code", code, "redirect_uri", house.WebCallback, "code_verifier", house.Verifier)
		h.Do(house.Call{Method: http.MethodPost, Path: house.TokenPath + "?" + all, Header: house.FormType}).Shows(t, http.StatusBadRequest, "invalid_request")
		h.Do(house.Call{Path: house.TokenPath + "?" + all}).Shows(t, http.StatusMethodNotAllowed, "invalid_request")
		h.Tokens(h.Exchange("app", code))
	})
	t.Run("a code does not outlive the browser session that an intruder had", func(t *testing.T) {
		for name, throwOut := range map[string]func(*house.House){
			"a new password": func(h *house.House) {
				house.Act(h, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: matrixauth.Name{User: "alice"}, Password: "another long password"})
			},
			"deactivated and back": func(h *house.House) {
				house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}})
				house.Act(h, matrixauth.ReactivateUser, matrixauth.Name{User: "alice"})
				h.Settle()
				h.Clock.Move(-h.Clock.Now().Sub(testkit.Start)) // settling takes longer than a code lives
			},
			"thrown out at the account page": func(h *house.House) {
				intruder := h.BrowserOf("alice")
				owner := h.Browser()
				owner.SignIn("alice", "")
				owner.Follow()
				owner.Post("/account/sessions/end", "browser", intruder).WantTo(t, "/account/browsers?ended=1")
			},
		} {
			t.Run(name, func(t *testing.T) {
				h := house.WithApp(t)
				code := h.SignedInAs("alice").Consent(house.Params("app"))
				throwOut(h)
				h.Exchange("app", code).Shows(t, http.StatusBadRequest, "invalid_grant")
				h.WantSessions("alice")
			})
		}
		t.Run("but it outlives a new sign-in in that browser", func(t *testing.T) {
			h := house.WithApp(t)
			v := h.Browser()
			v.SignIn("alice", "")
			v.Follow()
			b := h.BrowserWith(v.Cookies[house.CookieName])
			code := b.Consent(house.Params("app"))
			v.Post("/account/login", "username", "bob", "password", house.AlicesPassword).WantTo(t, "/account/")
			h.Tokens(h.Exchange("app", code))
			h.WantSessions("alice", "PHONE")
		})
	})
}

// TestAttackPKCE: nothing is granted without a proof, and no proof is accepted for nothing (RFC 9700
// sections 2.1.1 and 4.8).
func TestAttackPKCE(t *testing.T) {
	h := house.WithApp(t)
	h.Register("confidential", "a secret that is long")
	b := h.SignedInAs("alice")
	for name, changes := range map[string][]string{ // AUTHZ-8
		"no challenge":           {"code_challenge", ""},
		"neither":                {"code_challenge", "", "code_challenge_method", ""},
		"no method, which plain": {"code_challenge_method", ""},
		"plain":                  {"code_challenge_method", "plain", "code_challenge", house.Verifier},
		"a method in small":      {"code_challenge_method", "s256"},
		"a short challenge":      {"code_challenge", house.Challenge[1:]},
		"a long challenge":       {"code_challenge", house.Challenge + "="},
		"another alphabet":       {"code_challenge", strings.Replace(house.Challenge, "-", "+", 1)},
		"a line break behind":    {"code_challenge", house.Challenge + "\n"},
	} {
		for _, id := range []string{"app", "confidential"} {
			t.Run(name+" of "+id, func(t *testing.T) {
				a := b.Authorize(house.Params(id, changes...))
				a.Shows(t, http.StatusBadRequest, "error=invalid_request")
				house.WantPageHeaders(t, a)
			})
		}
	}
	for name, given := range map[string]string{ // TOK-10
		"none": "", "the challenge": house.Challenge, "another": strings.Repeat("a", 43), "too short": house.Verifier[:42], "too long": strings.Repeat("a", 129),
		"the sample of the specification, which is too short": "ogie4iVaeteeKeeLaid0aizuimairaCh", "a line break behind": house.Verifier + "\n", "a NUL behind": house.Verifier + "\x00", "padded": house.Verifier + "=",
	} {
		t.Run("verifier "+name, func(t *testing.T) {
			code := b.Consent(house.Params("app", "prompt", "consent"))
			a := h.Token("grant_type", "authorization_code", "client_id", "app", "code", code, "redirect_uri", house.WebCallback, "code_verifier", given)
			want := "invalid_grant"
			if given == "" {
				want = "invalid_request"
			}
			a.Shows(t, http.StatusBadRequest, want)
		})
	}
	h.WantSessions("alice")
}

// TestAttackMixUp: every response says who gives it, errors too, however it travels (AUTHZ-12, RFC 9207).
func TestAttackMixUp(t *testing.T) {
	h := house.WithApp(t)
	b := h.SignedInAs("alice")
	for _, mode := range []string{"query", "fragment", "form_post"} {
		for name, answered := range map[string]func() house.Answer{
			"a code": func() house.Answer {
				return b.Submit(house.ConsentPath, "request", b.Request(house.Params("app", "response_mode", mode)), "answer", "continue")
			},
			"declined": func() house.Answer {
				return b.Submit(house.ConsentPath, "request", b.Request(house.Params("app", "response_mode", mode)), "answer", "cancel")
			},
			"silent": func() house.Answer {
				return h.Browser().Authorize(house.Params("app", "response_mode", mode, "prompt", "none"))
			},
			"refused": func() house.Answer { return b.Authorize(house.Params("app", "response_mode", mode, "scope", "")) },
			"not an administrator": func() house.Answer {
				return b.Get(house.ConsentPath + "?request=" + b.Request(house.Params("app", "response_mode", mode, "scope", model.ScopeAPI+" "+model.ScopeSynapseAdmin)))
			},
		} {
			t.Run(mode+" "+name, func(t *testing.T) {
				a := answered()
				text := a.Header.Get("Location") + a.Body
				if strings.Count(text, "iss="+url.QueryEscape(house.Issuer))+strings.Count(text, `name="iss" value="`+house.Issuer+`"`) != 1 {
					t.Errorf("got %d %q %s", a.Status, a.Header.Get("Location"), a.Body)
				}
				if strings.Contains(text, "code=") == strings.Contains(text, "error=") && mode != "form_post" {
					t.Errorf("neither or both of code and error: %s", text)
				}
			})
		}
	}
}

// TestAttackScope: nobody gets more than they may, at whatever step they try (SCOPE-13, SCOPE-14).
func TestAttackScope(t *testing.T) {
	const admin = model.ScopeAPI + " " + model.ScopeSynapseAdmin + " " + model.ScopeDevicePrefix + "PHONE"
	grant := func(h *house.House, yes bool) {
		house.Act(h, matrixauth.SetAdmin, matrixauth.AdminRight{Name: matrixauth.Name{User: "alice"}, Admin: yes})
	}
	t.Run("a consent to less is none to more", func(t *testing.T) {
		h := house.WithApp(t)
		grant(h, true)
		b := h.SignedInAs("alice")
		b.Consent(house.Params("app"))
		page := b.Get(house.ConsentPath + "?request=" + b.Request(house.Params("app", "scope", admin)))
		page.Shows(t, http.StatusOK, "administer this server")
		if got := b.Response(b.Authorize(house.Params("app", "scope", admin, "prompt", "none"))); got.Get("error") != "consent_required" {
			t.Errorf("%v", got)
		}
	})
	t.Run("an old sign-in is not enough to administer", func(t *testing.T) { // SCOPE-13
		h := house.WithApp(t)
		grant(h, true)
		b := h.SignedInAs("alice")
		h.Clock.Move(5*time.Minute + time.Second)
		id := b.Request(house.Params("app", "scope", admin))
		const login = "account/login?request="
		prove := func() {
			t.Helper()
			b.Submit("/"+login+id, "username", "alice", "password", house.AlicesPassword).WantStatus(t, http.StatusSeeOther)
		}
		for _, a := range []house.Answer{b.Get(house.ConsentPath + "?request=" + id), b.Submit(house.ConsentPath, "request", id, "answer", "continue")} {
			if a.Status != http.StatusSeeOther || !strings.Contains(a.Header.Get("Location"), login) {
				t.Fatalf("got %d to %q", a.Status, a.Header.Get("Location"))
			}
		}
		b.Get("/"+login+id).Shows(t, http.StatusOK, "a password counts for five minutes only")
		b.Submit("/"+login+id, "username", "alice", "password", "wrong").Shows(t, http.StatusForbidden, "a password counts for five minutes only")
		prove()
		b.Get(house.ConsentPath+"?request="+id).Shows(t, http.StatusOK, "administer")
		// The page may stand open for a while, but no longer than the password counts.
		h.Clock.Move(5*time.Minute + time.Second)
		if a := b.Submit(house.ConsentPath, "request", id, "answer", "continue"); !strings.Contains(a.Header.Get("Location"), login) {
			t.Fatalf("got %d to %q", a.Status, a.Header.Get("Location"))
		}
		prove()
		if b.Response(b.Submit(house.ConsentPath, "request", id, "answer", "continue")).Get("code") == "" {
			t.Error("there is no code")
		}
	})
	t.Run("demoted before the consent", func(t *testing.T) {
		h := house.WithApp(t)
		grant(h, true)
		b := h.SignedInAs("alice")
		id := b.Request(house.Params("app", "scope", admin))
		b.Get(house.ConsentPath+"?request="+id).Shows(t, http.StatusOK, "administer")
		grant(h, false)
		b.Submit(house.ConsentPath, "request", id, "answer", "continue").WantStatus(t, http.StatusBadRequest)
	})
	t.Run("demoted before the exchange", func(t *testing.T) {
		h := house.WithApp(t)
		grant(h, true)
		code := h.SignedInAs("alice").Consent(house.Params("app", "scope", admin))
		grant(h, false)
		h.Exchange("app", code).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.WantSessions("alice")
	})
	t.Run("demoted while the homeserver is asked", func(t *testing.T) {
		h := house.WithApp(t)
		grant(h, true)
		code := h.SignedInAs("alice").Consent(house.Params("app", "scope", admin))
		var once sync.Once
		h.Tap.Set(func(string) { once.Do(func() { grant(h, false) }) })
		h.Exchange("app", code).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.WantSessions("alice")
	})
	t.Run("demoted afterwards", func(t *testing.T) {
		h := house.WithApp(t)
		grant(h, true)
		got := h.Tokens(h.Exchange("app", h.SignedInAs("alice").Consent(house.Params("app", "scope", admin))))
		h.Introspect(got.AccessToken).Shows(t, http.StatusOK, model.ScopeSynapseAdmin)
		grant(h, false)
		h.WantInactive(got.AccessToken)
		h.Renew("app", got.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("promoted after the consent to less", func(t *testing.T) {
		h := house.WithApp(t)
		got := h.OauthSession("alice", "app", "PHONE")
		grant(h, true)
		h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", got.RefreshToken, "scope", admin).Shows(t, http.StatusBadRequest, "invalid_scope")
		next := h.Tokens(h.Renew("app", got.RefreshToken))
		if strings.Contains(h.Introspect(next.AccessToken).Body, model.ScopeSynapseAdmin) {
			t.Error("a refresh widened the scope")
		}
	})
	t.Run("a scope at the exchange counts for nothing", func(t *testing.T) {
		h := house.WithApp(t)
		code := h.SignedInAs("alice").Consent(house.Params("app"))
		got := h.Tokens(h.Token("grant_type", "authorization_code", "client_id", "app", "code", code, "redirect_uri", house.WebCallback, "code_verifier", house.Verifier, "scope", admin))
		if got.Scope != house.PhoneScope {
			t.Errorf("got %q", got.Scope)
		}
	})
	t.Run("another device by refresh", func(t *testing.T) {
		h := house.WithApp(t)
		got := h.OauthSession("alice", "app", "PHONE")
		for _, scope := range []string{model.ScopeAPI + " " + model.ScopeDevicePrefix + "LAPTOP", house.PhoneScope + " " + model.ScopeDevicePrefix + "LAPTOP"} {
			h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", got.RefreshToken, "scope", scope).Shows(t, http.StatusBadRequest, "invalid_scope")
		}
		for _, scope := range []string{"urn:matrix:*", "openid"} { // what means nothing grants nothing
			if next := h.Tokens(h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", got.RefreshToken, "scope", scope)); next.Scope != house.PhoneScope {
				t.Errorf("got %q", next.Scope)
			}
		}
		h.WantActive(h.Tokens(h.Renew("app", got.RefreshToken)).AccessToken, "PHONE")
	})
	t.Run("another user's device is untouched", func(t *testing.T) { // SCOPE-10
		h := house.WithApp(t)
		bobs := h.OauthSession("bob", "app", "PHONE")
		h.OauthSession("alice", "app", "PHONE")
		h.Settle()
		h.WantActive(bobs.AccessToken, "PHONE")
		h.WantDevices("bob", "PHONE")
	})
	t.Run("what only looks like administration is nothing", func(t *testing.T) { // SCOPE-8
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		for _, scope := range []string{"urn:synapse:admin", "URN:SYNAPSE:ADMIN:*", "urn:synapse:admin:*:", "urn:mas:admin", "urn:synapse:*", "*"} {
			got := h.Tokens(h.Exchange("app", b.Consent(house.Params("app", "scope", house.PhoneScope+" "+scope, "prompt", "consent"))))
			if got.Scope != house.PhoneScope {
				t.Errorf("%q gives %q", scope, got.Scope)
			}
		}
	})
}

// TestAttackForeignTokens: what a confidential client was given nobody else refreshes, revokes or looks at.
func TestAttackForeignTokens(t *testing.T) {
	h := house.WithApp(t)
	h.Register("confidential", "a secret that is long")
	h.Register("rival", "another secret that is long")
	asClient := func(id, secret, path string, fields ...string) house.Answer {
		header := http.Header{"Content-Type": house.FormType["Content-Type"], "Authorization": {house.BasicAuth(id, secret)}}
		return h.Do(house.Call{Method: http.MethodPost, Path: path, Header: header, Body: house.Form(fields...)})
	}
	code := h.SignedInAs("alice").Consent(house.Params("confidential"))
	got := h.Tokens(asClient("confidential", "a secret that is long", house.TokenPath, "grant_type", "authorization_code", "code", code, "redirect_uri", house.WebCallback, "code_verifier", house.Verifier))
	asClient("rival", "another secret that is long", house.TokenPath, "grant_type", "refresh_token", "refresh_token", got.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
	asClient("rival", "another secret that is long", house.RevokePath, "token", got.RefreshToken).Shows(t, http.StatusUnauthorized, "invalid_client")
	if a := asClient("rival", "another secret that is long", "/oauth2/introspect", "token", got.AccessToken); a.Body != house.Inactive {
		t.Errorf("got %s", a.Body)
	}
	for _, a := range []house.Answer{ // CAUTH-1, CAUTH-3, CAUTH-13
		h.Renew("confidential", got.RefreshToken),
		asClient("confidential", "wrong", house.TokenPath, "grant_type", "refresh_token", "refresh_token", got.RefreshToken),
		h.Token("grant_type", "refresh_token", "client_id", "confidential", "client_secret", "a secret that is long", "refresh_token", got.RefreshToken),
	} {
		a.Shows(t, http.StatusUnauthorized, "invalid_client")
	}
	asClient("confidential", "a secret that is long", house.TokenPath, "grant_type", "refresh_token", "refresh_token", got.RefreshToken, "client_id", "app").Shows(t, http.StatusBadRequest, "invalid_request")
	h.WantActive(got.AccessToken, "PHONE")
	h.Tokens(asClient("confidential", "a secret that is long", house.TokenPath, "grant_type", "refresh_token", "refresh_token", got.RefreshToken))
}

// TestAttackParameters: no two readers can differ about what a request says (HTTP-10, AUTHZ-2).
func TestAttackParameters(t *testing.T) {
	h := house.WithApp(t)
	b := h.SignedInAs("alice")
	good := house.Params("app")
	for name := range good {
		t.Run(name+" twice in the query", func(t *testing.T) {
			for _, second := range []string{good.Get(name), "", "x"} {
				house.WantPageOnly(t, b.Get(house.AuthorizePath+"?"+good.Encode()+"&"+house.Form(name, second)))
				house.WantPageOnly(t, b.Get(house.AuthorizePath+"?"+house.Form(name, second)+"&"+good.Encode()))
			}
		})
		t.Run(name+" twice in the body", func(t *testing.T) {
			house.WantPageOnly(t, h.Do(house.Call{Method: http.MethodPost, Path: house.AuthorizePath, Header: house.FormType, Body: good.Encode() + "&" + house.Form(name, "x")}))
		})
		t.Run(name+" in capitals is unknown", func(t *testing.T) {
			if a := b.Get(house.AuthorizePath + "?" + good.Encode() + "&" + house.Form(strings.ToUpper(name), "x")); a.Status != http.StatusSeeOther {
				t.Errorf("got %d", a.Status)
			}
		})
	}
	t.Run("the query of a POST does not count", func(t *testing.T) { // AUTHZ-1
		house.WantPageOnly(t, h.Do(house.Call{Method: http.MethodPost, Path: house.AuthorizePath + "?" + good.Encode(), Header: house.FormType}))
		h.Register("other", "")
		a := h.Do(house.Call{Method: http.MethodPost, Path: house.AuthorizePath + "?" + house.Params("other").Encode(), Header: house.FormType, Body: good.Encode()})
		_, id, _ := strings.Cut(a.Header.Get("Location"), "request=")
		code := b.Code(b.Submit(house.ConsentPath, "request", id, "answer", "continue"))
		h.Tokens(h.Exchange("app", code))
	})
	t.Run("a body of a GET does not count", func(t *testing.T) {
		house.WantPageOnly(t, h.Do(house.Call{Path: house.AuthorizePath, Header: house.FormType, Body: good.Encode()}))
	})
	t.Run("semicolons part nothing", func(t *testing.T) {
		house.WantPageOnly(t, b.Get(house.AuthorizePath+"?"+strings.ReplaceAll(good.Encode(), "&", ";")))
		house.WantPageOnly(t, b.Get(house.AuthorizePath+"?"+good.Encode()+";scope=x"))
	})
	t.Run("the token endpoint", func(t *testing.T) {
		for _, name := range []string{"grant_type", "client_id", "code", "redirect_uri", "code_verifier"} {
			code := b.Consent(house.Params("app", "prompt", "consent"))
			all := []string{"grant_type", "authorization_code", "client_id", "app", "code", code, "redirect_uri", house.WebCallback, "code_verifier", house.Verifier}
			h.Token(append(all, name, "x")...).Shows(t, http.StatusBadRequest, "a parameter is repeated")
		}
	})
	t.Run("a state beyond reason is not kept", func(t *testing.T) {
		a := h.Do(house.Call{Method: http.MethodPost, Path: house.AuthorizePath, Header: house.FormType, Body: house.Params("app", "state", strings.Repeat("s", 5000)).Encode()})
		a.Shows(t, http.StatusBadRequest, "state is too long")
		if got := b.Request(house.Params("app", "state", strings.Repeat("s", 4096))); got == "" {
			t.Error("a long state is refused")
		}
	})
	h.WantSessions("alice", "PHONE")
}

// TestAttackWire: what web pages of other origins may call, and what not (S9, HTTP-12).
func TestAttackWire(t *testing.T) {
	h := house.WithApp(t)
	for _, path := range []string{house.TokenPath, house.RevokePath, "/oauth2/registration"} {
		for _, method := range []string{"OPTIONS", "POST", "GET", "DELETE"} {
			a := h.Do(house.Call{Method: method, Path: path, Header: http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"POST"}}})
			house.WantWire(t, web.OpenOAuthWire, a)
		}
	}
	for _, path := range []string{house.AuthorizePath, house.ConsentPath, "/account/", "/account", "/account/login", "/account/logout", "/account/signed-out", "/account/sessions/end"} {
		for _, method := range []string{"OPTIONS", "GET", "HEAD", "POST", "DELETE"} {
			a := h.Do(house.Call{Method: method, Path: path, Header: http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"POST"}}})
			for name := range a.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s has %s", method, path, name)
				}
			}
		}
	}
	house.WantWire(t, web.OAuthWire, h.Do(house.Call{Method: "OPTIONS", Path: "/oauth2/introspect", Header: http.Header{"Origin": {"https://evil.example"}}}))
}
