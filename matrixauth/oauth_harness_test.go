package matrixauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

const (
	authorizePath = "/authorize"
	consentPath   = "/account/consent"
	tokenPath     = "/oauth2/token"
	revokePath    = "/oauth2/revoke"

	webCallback = "https://app.example.org/callback?no_universal_links=true"
	// The pair of RFC 7636 appendix B.
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

	phoneScope = model.ScopeAPI + " " + model.ScopeDevicePrefix + "PHONE"
)

// register adds a client as if it had registered itself, and gives its id. With a secret it is
// confidential.
func (h *house) register(id, secret string, change ...func(*model.ClientMetadata)) string {
	h.t.Helper()
	c := model.Client{ID: id, CreatedAt: h.clock.Now(), Metadata: model.ClientMetadata{
		Name: "An App", URI: "https://app.example.org/", ApplicationType: model.WebApplication, AuthMethod: model.AuthNone,
		GrantTypes: []string{model.GrantCode, model.GrantRefresh}, ResponseTypes: []string{"code"}, RedirectURIs: []string{webCallback},
	}}
	if secret != "" {
		c.Metadata.AuthMethod, c.SecretHash = model.AuthBasic, model.HashToken(secret)
		h.secret(secret)
	}
	for _, f := range change {
		f(&c.Metadata)
	}
	h.must(h.store.Update(context.Background(), func(tx *store.Tx) error { return tx.InsertClient(c, model.TokenHash{}) }))
	return id
}

// prove has it that somebody consented to a client before.
func (h *house) prove(id string) {
	h.t.Helper()
	h.must(h.store.Update(context.Background(), func(tx *store.Tx) error { return tx.ProveClient(id) }))
}

func native(redirectURI string) func(*model.ClientMetadata) {
	return func(m *model.ClientMetadata) {
		m.ApplicationType, m.RedirectURIs = model.NativeApplication, []string{redirectURI}
	}
}

// secret notes what must not show in the log.
func (h *house) secret(value string) {
	h.secretsMu.Lock()
	defer h.secretsMu.Unlock()
	h.secrets = append(h.secrets, value)
}

// signedInAs returns a browser in which a user has just proved who they are, without the pages on which
// people do so.
func (h *house) signedInAs(localpart string) *guest {
	h.t.Helper()
	value := model.NewBrowserValue()
	h.secret(value)
	_, err := h.browsers.Start(context.Background(), browser.Start{Proof: h.proof(localpart), Value: value, Origin: model.Origin{IP: officeIP}})
	h.must(err)
	return h.browserWith(value)
}

// proof is that a user has just given their password.
func (h *house) proof(localpart string) model.Proof {
	return model.Proof{User: model.User{ID: h.userID(localpart)}, Methods: []model.Method{model.MethodPassword}, At: h.clock.Now()}
}

// params are those of a good authorization request, with changes: pairs of name and value; an empty value leaves the parameter out.
func params(clientID string, changes ...string) url.Values {
	values := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {webCallback}, "scope": {phoneScope}, "state": {"a state: with%20all/of it"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "response_mode": {"query"},
	}
	for i := 0; i < len(changes); i += 2 {
		values.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			values.Del(changes[i])
		}
	}
	return values
}

// authorize opens the client's link.
func (b *guest) authorize(values url.Values) answer {
	b.h.t.Helper()
	return b.get(authorizePath + "?" + values.Encode())
}

// request opens the client's link and gives the id of the request that waits for consent.
func (b *guest) request(values url.Values) string {
	b.h.t.Helper()
	a := b.authorize(values)
	_, id, found := strings.Cut(a.header.Get("Location"), consentPath+"?request=")
	if a.status != http.StatusSeeOther || !found {
		b.h.t.Fatalf("got %d to %q: %s", a.status, a.header.Get("Location"), a.body)
	}
	return id
}

// response is an authorization response.
func (b *guest) response(a answer) url.Values {
	b.h.t.Helper()
	location := a.header.Get("Location")
	if a.status != http.StatusSeeOther || location == "" {
		b.h.t.Fatalf("got %d to %q: %s", a.status, location, a.body)
	}
	return b.responseIn(location)
}

// responseIn is the authorization response in an address.
func (b *guest) responseIn(address string) url.Values {
	b.h.t.Helper()
	_, text, found := strings.Cut(address, "#")
	if !found {
		text = address[strings.IndexAny(address+"?", "?")+1:]
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		b.h.t.Fatalf("%q: %v", address, err)
	}
	return values
}

// silently asks with prompt=none. atOnce tells that the visitor was sent to the client, and not shown a
// page with a link there.
func (b *guest) silently(values url.Values) (response url.Values, atOnce bool) {
	b.h.t.Helper()
	values.Set("prompt", "none")
	a := b.authorize(values)
	if a.status == http.StatusSeeOther {
		return b.response(a), true
	}
	link := linkOf.FindStringSubmatch(a.body)
	if link == nil {
		b.h.t.Fatalf("got %d: %s", a.status, a.body)
	}
	return b.responseIn(html.UnescapeString(link[1])), false
}

// linkOf is the link of a page that shows where it leads.
var linkOf = regexp.MustCompile(`<a class="button primary" href="([^"]*)"`)

// consent goes the whole way and gives the code.
func (b *guest) consent(values url.Values) string {
	b.h.t.Helper()
	id := b.request(values)
	a := b.get(consentPath + "?request=" + id)
	if a.status == http.StatusSeeOther {
		return b.code(a)
	}
	a.shows(b.h.t, http.StatusOK, "")
	return b.code(b.submit(consentPath, "request", id, "answer", "continue"))
}

func (b *guest) code(a answer) string {
	b.h.t.Helper()
	code := b.response(a).Get("code")
	if code == "" {
		b.h.t.Fatalf("no code in %q", a.header.Get("Location"))
	}
	b.h.secret(code)
	return code
}

// tokens are what a client was given.
type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	Scope        string `json:"scope"`
}

// token asks the token endpoint.
func (h *house) token(fields ...string) answer {
	h.t.Helper()
	return h.do(call{method: http.MethodPost, path: tokenPath, header: formType, body: form(fields...)})
}

func (h *house) exchange(clientID, code string) answer {
	h.t.Helper()
	return h.token("grant_type", "authorization_code", "client_id", clientID, "code", code, "redirect_uri", webCallback, "code_verifier", verifier)
}

func (h *house) renew(clientID, refreshToken string) answer {
	h.t.Helper()
	return h.token("grant_type", "refresh_token", "client_id", clientID, "refresh_token", refreshToken)
}

func (h *house) tokens(a answer) (t tokens) {
	h.t.Helper()
	a.shows(h.t, http.StatusOK, "")
	h.must(json.Unmarshal([]byte(a.body), &t))
	h.secret(t.AccessToken)
	h.secret(t.RefreshToken)
	return t
}

// oauthSession has a user sign in to a client on a device.
func (h *house) oauthSession(localpart, clientID, device string) tokens {
	h.t.Helper()
	scope := model.ScopeAPI + " " + model.ScopeDevicePrefix + device
	return h.tokens(h.exchange(clientID, h.signedInAs(localpart).consent(params(clientID, "scope", scope))))
}

var tag = regexp.MustCompile(`<[^>]*>`)

// shown is what a page says, without its tags.
func shown(a answer) string {
	return strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(a.body, " "))), " ")
}

func basicAuth(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// s256 is the challenge for a verifier (RFC 7636 section 4.2).
func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// enroll registers a client as it would itself, and gives its id.
func (h *house) enroll(metadata object) string {
	h.t.Helper()
	body := object{"client_name": "An App", "client_uri": "https://example.com", "token_endpoint_auth_method": "none"}
	for name, value := range metadata {
		body[name] = value
	}
	a := h.do(call{method: http.MethodPost, path: "/oauth2/registration", body: text(body)})
	a.shows(h.t, http.StatusCreated, "client_id")
	return a.document(h.t)["client_id"].(string)
}

// registrations sets the limit of client registrations.
func registrations(r Rate) change { return func(c *Config) { c.RegistrationsPerNetwork = r } }

func deviceScope(device string) string {
	return model.ScopeAPI + " " + model.ScopeDevicePrefix + device
}

func newOAuthHouse(t *testing.T) *house {
	h := newHouse(t, unlimited)
	h.add("alice", "bob")
	h.register("app", "")
	return h
}

const registrationURL = "/oauth2/registration"

func (h *house) tryRegister(body string) answer {
	h.t.Helper()
	return h.do(call{method: http.MethodPost, path: registrationURL, body: body, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}})
}

// mustRegister registers a client and gives what was answered.
func (h *house) mustRegister(body string) document {
	h.t.Helper()
	a := h.tryRegister(body)
	if a.status != http.StatusCreated {
		h.t.Fatalf("got %d %s", a.status, a.body)
	}
	d := a.document(h.t)
	if secret, ok := d["client_secret"].(string); ok {
		h.keep(signedIn{AccessToken: secret})
	}
	return d
}

// webClient is a registration with more members on top; a nil removes one.
func webClient(more object) string {
	body := object{
		"client_uri": "https://app.example.com", "redirect_uris": []string{"https://app.example.com/callback"},
		"token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code", "refresh_token"},
	}
	for name, value := range more {
		if value == nil {
			delete(body, name)
			continue
		}
		body[name] = value
	}
	return text(body)
}

// wantRefused checks an error of RFC 7591 section 3.2.2.
func (a answer) wantRefused(t testing.TB, status int, code, says string) {
	t.Helper()
	var d struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || a.status != status || d.Error != code || !strings.Contains(d.Description, says) {
		t.Fatalf("got %d %s, want %d %s with %q", a.status, a.body, status, code, says)
	}
	wantUnstored(t, a)
}

// wantUnstored checks that no cache keeps an answer, and that web clients may read it.
func wantUnstored(t testing.TB, a answer) { // REG-3, REG-37
	t.Helper()
	for header, want := range map[string]string{
		"Cache-Control": "no-store", "Pragma": "no-cache", "Content-Type": "application/json", "Access-Control-Allow-Origin": "*",
	} {
		if got := a.header.Get(header); got != want {
			t.Errorf("%s is %q", header, got)
		}
	}
}
