package matrixauth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

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
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		for round := range 5 {
			code := b.consent(params("app", "scope", fmt.Sprintf("%s %sRACE%d", model.ScopeAPI, model.ScopeDevicePrefix, round)))
			answers := make([]answer, 6)
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() { answers[i] = h.exchange("app", code) })
			}
			wg.Wait()
			won := 0
			for _, a := range answers {
				if a.status == http.StatusOK {
					won++
					h.tokens(a)
					continue
				}
				a.shows(t, http.StatusBadRequest, "invalid_grant")
			}
			if live := len(h.liveDevices("alice")); won != 1 || live != round+1 {
				t.Fatalf("%d exchanges won, %d sessions live", won, live)
			}
		}
	})
	t.Run("TOK-12 a replay ends what the thief or the owner got", func(t *testing.T) {
		h := newOAuthHouse(t)
		code := h.signedInAs("alice").consent(params("app"))
		got := h.tokens(h.exchange("app", code))
		h.exchange("app", code).shows(t, http.StatusBadRequest, "invalid_grant")
		h.wantActive(got.AccessToken, "PHONE") // a double submit
		h.clock.Move(time.Minute)
		h.exchange("app", code).shows(t, http.StatusBadRequest, "invalid_grant")
		h.wantInactive(got.AccessToken)
		h.renew("app", got.RefreshToken).shows(t, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("injected into another client", func(t *testing.T) { // TOK-9
		for _, thief := range []string{"other", "clone"} {
			h := newOAuthHouse(t)
			h.register("other", "", func(m *model.ClientMetadata) { m.RedirectURIs = []string{"https://other.example/cb"} })
			h.register("clone", "") // says the same of itself in every word
			code := h.signedInAs("alice").consent(params("app"))
			h.exchange(thief, code).shows(t, http.StatusBadRequest, "invalid_grant")
			h.exchange("app", code).shows(t, http.StatusBadRequest, "invalid_grant") // TOK-13
			h.wantSessions("alice")
		}
	})
	t.Run("injected into the session of another browser, whose verifier is another", func(t *testing.T) { // RFC 9700 section 4.5.3.1
		h := newOAuthHouse(t)
		stolen := h.signedInAs("alice").consent(params("app"))
		own := strings.Repeat("b", 43)
		h.signedInAs("bob").request(params("app", "code_challenge", s256(own)))
		h.token("grant_type", "authorization_code", "client_id", "app", "code", stolen, "redirect_uri", webCallback, "code_verifier", own).
			shows(t, http.StatusBadRequest, "invalid_grant")
		h.wantSessions("bob")
		h.wantSessions("alice")
	})
	t.Run("stolen from a confidential client", func(t *testing.T) {
		h := newOAuthHouse(t)
		h.register("confidential", "a secret that is long")
		code := h.signedInAs("alice").consent(params("confidential"))
		h.exchange("confidential", code).shows(t, http.StatusUnauthorized, "invalid_client")
		h.exchange("app", code).shows(t, http.StatusBadRequest, "invalid_grant")
		h.wantSessions("alice")
	})
	t.Run("a code is no token, a token no code", func(t *testing.T) {
		h := newOAuthHouse(t)
		code := h.signedInAs("alice").consent(params("app"))
		h.wantInactive(code)
		h.renew("app", code).shows(t, http.StatusBadRequest, "invalid_grant")
		h.do(call{method: http.MethodPost, path: revokePath, header: formType, body: form("token", code)}).shows(t, http.StatusOK, "{}")
		got := h.tokens(h.exchange("app", code))
		h.exchange("app", got.AccessToken).shows(t, http.StatusBadRequest, "invalid_grant")
		h.exchange("app", got.RefreshToken).shows(t, http.StatusBadRequest, "invalid_grant")
		h.wantActive(got.AccessToken, "PHONE")
	})
	t.Run("parameters of the query do not count", func(t *testing.T) { // TOK-1
		h := newOAuthHouse(t)
		code := h.signedInAs("alice").consent(params("app"))
		all := form("grant_type", "authorization_code", "client_id", "app", "code", code, "redirect_uri", webCallback, "code_verifier", verifier)
		h.do(call{method: http.MethodPost, path: tokenPath + "?" + all, header: formType}).shows(t, http.StatusBadRequest, "invalid_request")
		h.do(call{path: tokenPath + "?" + all}).shows(t, http.StatusMethodNotAllowed, "invalid_request")
		h.tokens(h.exchange("app", code))
	})
	t.Run("a code does not outlive the browser session that an intruder had", func(t *testing.T) {
		for name, throwOut := range map[string]func(*house){
			"a new password": func(h *house) {
				act(h, SetPassword, NameAndPassword{Name: Name{User: "alice"}, Password: "another long password"})
			},
			"deactivated and back": func(h *house) {
				act(h, DeactivateUser, Deactivation{Name: Name{User: "alice"}})
				act(h, ReactivateUser, Name{User: "alice"})
				h.settle()
				h.clock.Move(-h.clock.Now().Sub(testkit.Start)) // settling takes longer than a code lives
			},
			"thrown out at the account page": func(h *house) {
				intruder := h.browserOf("alice")
				owner := h.guest()
				owner.signIn("alice", "")
				owner.follow()
				owner.post("/account/sessions/end", "browser", intruder).wantTo(t, "/account/?ended=1")
			},
		} {
			t.Run(name, func(t *testing.T) {
				h := newOAuthHouse(t)
				code := h.signedInAs("alice").consent(params("app"))
				throwOut(h)
				h.exchange("app", code).shows(t, http.StatusBadRequest, "invalid_grant")
				h.wantSessions("alice")
			})
		}
		t.Run("but it outlives a new sign-in in that browser", func(t *testing.T) {
			h := newOAuthHouse(t)
			v := h.guest()
			v.signIn("alice", "")
			v.follow()
			b := h.browserWith(v.cookies[cookieName])
			code := b.consent(params("app"))
			v.post("/account/login", "username", "bob", "password", alicesPassword).wantTo(t, "/account/")
			h.tokens(h.exchange("app", code))
			h.wantSessions("alice", "PHONE")
		})
	})
}

// TestAttackPKCE: nothing is granted without a proof, and no proof is accepted for nothing (RFC 9700
// sections 2.1.1 and 4.8).
func TestAttackPKCE(t *testing.T) {
	h := newOAuthHouse(t)
	h.register("confidential", "a secret that is long")
	b := h.signedInAs("alice")
	for name, changes := range map[string][]string{ // AUTHZ-8
		"no challenge":           {"code_challenge", ""},
		"neither":                {"code_challenge", "", "code_challenge_method", ""},
		"no method, which plain": {"code_challenge_method", ""},
		"plain":                  {"code_challenge_method", "plain", "code_challenge", verifier},
		"a method in small":      {"code_challenge_method", "s256"},
		"a short challenge":      {"code_challenge", challenge[1:]},
		"a long challenge":       {"code_challenge", challenge + "="},
		"another alphabet":       {"code_challenge", strings.Replace(challenge, "-", "+", 1)},
		"a line break behind":    {"code_challenge", challenge + "\n"},
	} {
		for _, id := range []string{"app", "confidential"} {
			t.Run(name+" of "+id, func(t *testing.T) {
				a := b.authorize(params(id, changes...))
				a.shows(t, http.StatusBadRequest, "error=invalid_request")
				wantPageHeaders(t, a)
			})
		}
	}
	for name, given := range map[string]string{ // TOK-10
		"none": "", "the challenge": challenge, "another": strings.Repeat("a", 43), "too short": verifier[:42], "too long": strings.Repeat("a", 129),
		"the sample of the specification, which is too short": "ogie4iVaeteeKeeLaid0aizuimairaCh", "a line break behind": verifier + "\n", "a NUL behind": verifier + "\x00", "padded": verifier + "=",
	} {
		t.Run("verifier "+name, func(t *testing.T) {
			code := b.consent(params("app", "prompt", "consent"))
			a := h.token("grant_type", "authorization_code", "client_id", "app", "code", code, "redirect_uri", webCallback, "code_verifier", given)
			want := "invalid_grant"
			if given == "" {
				want = "invalid_request"
			}
			a.shows(t, http.StatusBadRequest, want)
		})
	}
	h.wantSessions("alice")
}

// TestAttackMixUp: every response says who gives it, errors too, however it travels (AUTHZ-12, RFC 9207).
func TestAttackMixUp(t *testing.T) {
	h := newOAuthHouse(t)
	b := h.signedInAs("alice")
	for _, mode := range []string{"query", "fragment", "form_post"} {
		for name, answered := range map[string]func() answer{
			"a code": func() answer {
				return b.submit(consentPath, "request", b.request(params("app", "response_mode", mode)), "answer", "continue")
			},
			"declined": func() answer {
				return b.submit(consentPath, "request", b.request(params("app", "response_mode", mode)), "answer", "cancel")
			},
			"silent": func() answer {
				return h.guest().authorize(params("app", "response_mode", mode, "prompt", "none"))
			},
			"refused": func() answer { return b.authorize(params("app", "response_mode", mode, "scope", "")) },
			"not an administrator": func() answer {
				return b.get(consentPath + "?request=" + b.request(params("app", "response_mode", mode, "scope", model.ScopeAPI+" "+model.ScopeSynapseAdmin)))
			},
		} {
			t.Run(mode+" "+name, func(t *testing.T) {
				a := answered()
				text := a.header.Get("Location") + a.body
				if strings.Count(text, "iss="+url.QueryEscape(issuer))+strings.Count(text, `name="iss" value="`+issuer+`"`) != 1 {
					t.Errorf("got %d %q %s", a.status, a.header.Get("Location"), a.body)
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
	grant := func(h *house, yes bool) { act(h, SetAdmin, AdminRight{Name: Name{User: "alice"}, Admin: yes}) }
	t.Run("a consent to less is none to more", func(t *testing.T) {
		h := newOAuthHouse(t)
		grant(h, true)
		b := h.signedInAs("alice")
		b.consent(params("app"))
		page := b.get(consentPath + "?request=" + b.request(params("app", "scope", admin)))
		page.shows(t, http.StatusOK, "administer this server")
		if got := b.response(b.authorize(params("app", "scope", admin, "prompt", "none"))); got.Get("error") != "consent_required" {
			t.Errorf("%v", got)
		}
	})
	t.Run("an old sign-in is not enough to administer", func(t *testing.T) { // SCOPE-13
		h := newOAuthHouse(t)
		grant(h, true)
		b := h.signedInAs("alice")
		h.clock.Move(5*time.Minute + time.Second)
		id := b.request(params("app", "scope", admin))
		const login = "account/login?request="
		prove := func() {
			t.Helper()
			b.submit("/"+login+id, "username", "alice", "password", alicesPassword).shows(t, http.StatusSeeOther, "")
		}
		for _, a := range []answer{b.get(consentPath + "?request=" + id), b.submit(consentPath, "request", id, "answer", "continue")} {
			if a.status != http.StatusSeeOther || !strings.Contains(a.header.Get("Location"), login) {
				t.Fatalf("got %d to %q", a.status, a.header.Get("Location"))
			}
		}
		b.get("/"+login+id).shows(t, http.StatusOK, "a password counts for five minutes only")
		b.submit("/"+login+id, "username", "alice", "password", "wrong").shows(t, http.StatusForbidden, "a password counts for five minutes only")
		prove()
		b.get(consentPath+"?request="+id).shows(t, http.StatusOK, "administer")
		// The page may stand open for a while, but no longer than the password counts.
		h.clock.Move(5*time.Minute + time.Second)
		if a := b.submit(consentPath, "request", id, "answer", "continue"); !strings.Contains(a.header.Get("Location"), login) {
			t.Fatalf("got %d to %q", a.status, a.header.Get("Location"))
		}
		prove()
		if b.response(b.submit(consentPath, "request", id, "answer", "continue")).Get("code") == "" {
			t.Error("there is no code")
		}
	})
	t.Run("demoted before the consent", func(t *testing.T) {
		h := newOAuthHouse(t)
		grant(h, true)
		b := h.signedInAs("alice")
		id := b.request(params("app", "scope", admin))
		b.get(consentPath+"?request="+id).shows(t, http.StatusOK, "administer")
		grant(h, false)
		b.submit(consentPath, "request", id, "answer", "continue").shows(t, http.StatusBadRequest, "")
	})
	t.Run("demoted before the exchange", func(t *testing.T) {
		h := newOAuthHouse(t)
		grant(h, true)
		code := h.signedInAs("alice").consent(params("app", "scope", admin))
		grant(h, false)
		h.exchange("app", code).shows(t, http.StatusBadRequest, "invalid_grant")
		h.wantSessions("alice")
	})
	t.Run("demoted while the homeserver is asked", func(t *testing.T) {
		h := newOAuthHouse(t)
		grant(h, true)
		code := h.signedInAs("alice").consent(params("app", "scope", admin))
		var once sync.Once
		h.tap.set(func(string) { once.Do(func() { grant(h, false) }) })
		h.exchange("app", code).shows(t, http.StatusBadRequest, "invalid_grant")
		h.wantSessions("alice")
	})
	t.Run("demoted afterwards", func(t *testing.T) {
		h := newOAuthHouse(t)
		grant(h, true)
		got := h.tokens(h.exchange("app", h.signedInAs("alice").consent(params("app", "scope", admin))))
		h.introspect(got.AccessToken).shows(t, http.StatusOK, model.ScopeSynapseAdmin)
		grant(h, false)
		h.wantInactive(got.AccessToken)
		h.renew("app", got.RefreshToken).shows(t, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("promoted after the consent to less", func(t *testing.T) {
		h := newOAuthHouse(t)
		got := h.oauthSession("alice", "app", "PHONE")
		grant(h, true)
		h.token("grant_type", "refresh_token", "client_id", "app", "refresh_token", got.RefreshToken, "scope", admin).shows(t, http.StatusBadRequest, "invalid_scope")
		next := h.tokens(h.renew("app", got.RefreshToken))
		if strings.Contains(h.introspect(next.AccessToken).body, model.ScopeSynapseAdmin) {
			t.Error("a refresh widened the scope")
		}
	})
	t.Run("a scope at the exchange counts for nothing", func(t *testing.T) {
		h := newOAuthHouse(t)
		code := h.signedInAs("alice").consent(params("app"))
		got := h.tokens(h.token("grant_type", "authorization_code", "client_id", "app", "code", code, "redirect_uri", webCallback, "code_verifier", verifier, "scope", admin))
		if got.Scope != phoneScope {
			t.Errorf("got %q", got.Scope)
		}
	})
	t.Run("another device by refresh", func(t *testing.T) {
		h := newOAuthHouse(t)
		got := h.oauthSession("alice", "app", "PHONE")
		for _, scope := range []string{model.ScopeAPI + " " + model.ScopeDevicePrefix + "LAPTOP", phoneScope + " " + model.ScopeDevicePrefix + "LAPTOP"} {
			h.token("grant_type", "refresh_token", "client_id", "app", "refresh_token", got.RefreshToken, "scope", scope).shows(t, http.StatusBadRequest, "invalid_scope")
		}
		for _, scope := range []string{"urn:matrix:*", "openid"} { // what means nothing grants nothing
			if next := h.tokens(h.token("grant_type", "refresh_token", "client_id", "app", "refresh_token", got.RefreshToken, "scope", scope)); next.Scope != phoneScope {
				t.Errorf("got %q", next.Scope)
			}
		}
		h.wantActive(h.tokens(h.renew("app", got.RefreshToken)).AccessToken, "PHONE")
	})
	t.Run("another user's device is untouched", func(t *testing.T) { // SCOPE-10
		h := newOAuthHouse(t)
		bobs := h.oauthSession("bob", "app", "PHONE")
		h.oauthSession("alice", "app", "PHONE")
		h.settle()
		h.wantActive(bobs.AccessToken, "PHONE")
		h.wantDevices("bob", "PHONE")
	})
	t.Run("what only looks like administration is nothing", func(t *testing.T) { // SCOPE-8
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		for _, scope := range []string{"urn:synapse:admin", "URN:SYNAPSE:ADMIN:*", "urn:synapse:admin:*:", "urn:mas:admin", "urn:synapse:*", "*"} {
			got := h.tokens(h.exchange("app", b.consent(params("app", "scope", phoneScope+" "+scope, "prompt", "consent"))))
			if got.Scope != phoneScope {
				t.Errorf("%q gives %q", scope, got.Scope)
			}
		}
	})
}

// TestAttackForeignTokens: what a confidential client was given nobody else refreshes, revokes or looks at.
func TestAttackForeignTokens(t *testing.T) {
	h := newOAuthHouse(t)
	h.register("confidential", "a secret that is long")
	h.register("rival", "another secret that is long")
	asClient := func(id, secret, path string, fields ...string) answer {
		header := http.Header{"Content-Type": formType["Content-Type"], "Authorization": {basicAuth(id, secret)}}
		return h.do(call{method: http.MethodPost, path: path, header: header, body: form(fields...)})
	}
	code := h.signedInAs("alice").consent(params("confidential"))
	got := h.tokens(asClient("confidential", "a secret that is long", tokenPath, "grant_type", "authorization_code", "code", code, "redirect_uri", webCallback, "code_verifier", verifier))
	asClient("rival", "another secret that is long", tokenPath, "grant_type", "refresh_token", "refresh_token", got.RefreshToken).shows(t, http.StatusBadRequest, "invalid_grant")
	asClient("rival", "another secret that is long", revokePath, "token", got.RefreshToken).shows(t, http.StatusUnauthorized, "invalid_client")
	if a := asClient("rival", "another secret that is long", "/oauth2/introspect", "token", got.AccessToken); a.body != inactive {
		t.Errorf("got %s", a.body)
	}
	for _, a := range []answer{ // CAUTH-1, CAUTH-3, CAUTH-13
		h.renew("confidential", got.RefreshToken),
		asClient("confidential", "wrong", tokenPath, "grant_type", "refresh_token", "refresh_token", got.RefreshToken),
		h.token("grant_type", "refresh_token", "client_id", "confidential", "client_secret", "a secret that is long", "refresh_token", got.RefreshToken),
	} {
		a.shows(t, http.StatusUnauthorized, "invalid_client")
	}
	asClient("confidential", "a secret that is long", tokenPath, "grant_type", "refresh_token", "refresh_token", got.RefreshToken, "client_id", "app").shows(t, http.StatusBadRequest, "invalid_request")
	h.wantActive(got.AccessToken, "PHONE")
	h.tokens(asClient("confidential", "a secret that is long", tokenPath, "grant_type", "refresh_token", "refresh_token", got.RefreshToken))
}

// TestAttackParameters: no two readers can differ about what a request says (HTTP-10, AUTHZ-2).
func TestAttackParameters(t *testing.T) {
	h := newOAuthHouse(t)
	b := h.signedInAs("alice")
	good := params("app")
	for name := range good {
		t.Run(name+" twice in the query", func(t *testing.T) {
			for _, second := range []string{good.Get(name), "", "x"} {
				wantPageOnly(t, b.get(authorizePath+"?"+good.Encode()+"&"+form(name, second)))
				wantPageOnly(t, b.get(authorizePath+"?"+form(name, second)+"&"+good.Encode()))
			}
		})
		t.Run(name+" twice in the body", func(t *testing.T) {
			wantPageOnly(t, h.do(call{method: http.MethodPost, path: authorizePath, header: formType, body: good.Encode() + "&" + form(name, "x")}))
		})
		t.Run(name+" in capitals is unknown", func(t *testing.T) {
			if a := b.get(authorizePath + "?" + good.Encode() + "&" + form(strings.ToUpper(name), "x")); a.status != http.StatusSeeOther {
				t.Errorf("got %d", a.status)
			}
		})
	}
	t.Run("the query of a POST does not count", func(t *testing.T) { // AUTHZ-1
		wantPageOnly(t, h.do(call{method: http.MethodPost, path: authorizePath + "?" + good.Encode(), header: formType}))
		h.register("other", "")
		a := h.do(call{method: http.MethodPost, path: authorizePath + "?" + params("other").Encode(), header: formType, body: good.Encode()})
		_, id, _ := strings.Cut(a.header.Get("Location"), "request=")
		code := b.code(b.submit(consentPath, "request", id, "answer", "continue"))
		h.tokens(h.exchange("app", code))
	})
	t.Run("a body of a GET does not count", func(t *testing.T) {
		wantPageOnly(t, h.do(call{path: authorizePath, header: formType, body: good.Encode()}))
	})
	t.Run("semicolons part nothing", func(t *testing.T) {
		wantPageOnly(t, b.get(authorizePath+"?"+strings.ReplaceAll(good.Encode(), "&", ";")))
		wantPageOnly(t, b.get(authorizePath+"?"+good.Encode()+";scope=x"))
	})
	t.Run("the token endpoint", func(t *testing.T) {
		for _, name := range []string{"grant_type", "client_id", "code", "redirect_uri", "code_verifier"} {
			code := b.consent(params("app", "prompt", "consent"))
			all := []string{"grant_type", "authorization_code", "client_id", "app", "code", code, "redirect_uri", webCallback, "code_verifier", verifier}
			h.token(append(all, name, "x")...).shows(t, http.StatusBadRequest, "a parameter is repeated")
		}
	})
	t.Run("a state beyond reason is not kept", func(t *testing.T) {
		a := h.do(call{method: http.MethodPost, path: authorizePath, header: formType, body: params("app", "state", strings.Repeat("s", 5000)).Encode()})
		a.shows(t, http.StatusBadRequest, "state is too long")
		if got := b.request(params("app", "state", strings.Repeat("s", 4096))); got == "" {
			t.Error("a long state is refused")
		}
	})
	h.wantSessions("alice", "PHONE")
}

// TestAttackWire: what web pages of other origins may call, and what not (S9, HTTP-12).
func TestAttackWire(t *testing.T) {
	h := newOAuthHouse(t)
	for _, path := range []string{tokenPath, revokePath, "/oauth2/registration"} {
		for _, method := range []string{"OPTIONS", "POST", "GET", "DELETE"} {
			a := h.do(call{method: method, path: path, header: http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"POST"}}})
			wantWire(t, web.OpenOAuthWire, a)
		}
	}
	for _, path := range []string{authorizePath, consentPath, "/account/", "/account", "/account/login", "/account/logout", "/account/signed-out", "/account/sessions/end"} {
		for _, method := range []string{"OPTIONS", "GET", "HEAD", "POST", "DELETE"} {
			a := h.do(call{method: method, path: path, header: http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"POST"}}})
			for name := range a.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s has %s", method, path, name)
				}
			}
		}
	}
	wantWire(t, web.OAuthWire, h.do(call{method: "OPTIONS", path: "/oauth2/introspect", header: http.Header{"Origin": {"https://evil.example"}}}))
}
