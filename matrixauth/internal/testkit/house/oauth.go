package house

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

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

const (
	// AuthorizePath is that of authorization requests.
	AuthorizePath = "/authorize"
	// ConsentPath is that of the page that asks for consent.
	ConsentPath = "/account/consent"
	// TokenPath is that of the token endpoint.
	TokenPath = "/oauth2/token"
	// RevokePath is that of the revocation endpoint.
	RevokePath = "/oauth2/revoke"

	// WebCallback is the redirect URI of the app.
	WebCallback = "https://app.example.org/callback?no_universal_links=true"
	// Verifier is that of RFC 7636 appendix B.
	Verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	// Challenge is that of Verifier.
	Challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

	// PhoneScope asks for a session on the device PHONE.
	PhoneScope = model.ScopeAPI + " " + model.ScopeDevicePrefix + "PHONE"
)

// Register adds a client as if it had registered itself, and gives its id. With a secret it is
// confidential.
func (h *House) Register(id, secret string, change ...func(*model.ClientMetadata)) string {
	h.T.Helper()
	c := model.Client{ID: id, CreatedAt: h.Clock.Now(), Metadata: model.ClientMetadata{
		Name: "An App", URI: "https://app.example.org/", ApplicationType: model.WebApplication, AuthMethod: model.AuthNone,
		GrantTypes: []string{model.GrantCode, model.GrantRefresh}, ResponseTypes: []string{"code"}, RedirectURIs: []string{WebCallback},
	}}
	if secret != "" {
		c.Metadata.AuthMethod, c.SecretHash = model.AuthBasic, model.HashToken(secret)
		h.Secret(secret)
	}
	for _, f := range change {
		f(&c.Metadata)
	}
	h.Must(h.Store.Update(context.Background(), func(tx *store.Tx) error { return tx.InsertClient(c, model.TokenHash{}) }))
	return id
}

// Prove has it that somebody consented to a client before.
func (h *House) Prove(id string) {
	h.T.Helper()
	h.Must(h.Store.Update(context.Background(), func(tx *store.Tx) error { return tx.ProveClient(id) }))
}

// Native changes a client into a native one with one redirect URI.
func Native(redirectURI string) func(*model.ClientMetadata) {
	return func(m *model.ClientMetadata) {
		m.ApplicationType, m.RedirectURIs = model.NativeApplication, []string{redirectURI}
	}
}

// Secret notes what must not show in the log.
func (h *House) Secret(value string) {
	h.secretsMu.Lock()
	defer h.secretsMu.Unlock()
	h.secrets = append(h.secrets, value)
}

// SignedInAs returns a browser in which a user has just proved who they are, without the pages on which
// people do so.
func (h *House) SignedInAs(localpart string) *Browser {
	h.T.Helper()
	value := model.NewBrowserValue()
	h.Secret(value)
	_, err := h.Browsers.Start(context.Background(), browser.Start{Proof: h.Proof(localpart), Value: value, Source: model.Source{IP: OfficeIP}})
	h.Must(err)
	return h.BrowserWith(value)
}

// Proof is that a user has just given their password.
func (h *House) Proof(localpart string) model.Proof {
	return model.Proof{User: model.User{ID: h.UserID(localpart)}, Methods: []model.Method{model.MethodPassword}, At: h.Clock.Now()}
}

// Params are those of a good authorization request, with changes: pairs of name and value; an empty value leaves the parameter out.
func Params(clientID string, changes ...string) url.Values {
	values := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {WebCallback}, "scope": {PhoneScope}, "state": {"a state: with%20all/of it"},
		"code_challenge": {Challenge}, "code_challenge_method": {"S256"}, "response_mode": {"query"},
	}
	for i := 0; i < len(changes); i += 2 {
		values.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			values.Del(changes[i])
		}
	}
	return values
}

// Authorize opens the client's link.
func (b *Browser) Authorize(values url.Values) Answer {
	b.House.T.Helper()
	return b.Get(AuthorizePath + "?" + values.Encode())
}

// Request opens the client's link and gives the id of the request that waits for consent.
func (b *Browser) Request(values url.Values) string {
	b.House.T.Helper()
	a := b.Authorize(values)
	_, id, found := strings.Cut(a.Header.Get("Location"), ConsentPath+"?request=")
	if a.Status != http.StatusSeeOther || !found {
		b.House.T.Fatalf("got %d to %q: %s", a.Status, a.Header.Get("Location"), a.Body)
	}
	return id
}

// Response is an authorization response.
func (b *Browser) Response(a Answer) url.Values {
	b.House.T.Helper()
	location := a.Header.Get("Location")
	if a.Status != http.StatusSeeOther || location == "" {
		b.House.T.Fatalf("got %d to %q: %s", a.Status, location, a.Body)
	}
	return b.responseIn(location)
}

// responseIn is the authorization response in an address.
func (b *Browser) responseIn(address string) url.Values {
	b.House.T.Helper()
	_, text, found := strings.Cut(address, "#")
	if !found {
		text = address[strings.IndexAny(address+"?", "?")+1:]
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		b.House.T.Fatalf("%q: %v", address, err)
	}
	return values
}

// Silently asks with prompt=none. atOnce tells that the visitor was sent to the client, and not shown a
// page with a link there.
func (b *Browser) Silently(values url.Values) (response url.Values, atOnce bool) {
	b.House.T.Helper()
	values.Set("prompt", "none")
	a := b.Authorize(values)
	if a.Status == http.StatusSeeOther {
		return b.Response(a), true
	}
	link := linkOf.FindStringSubmatch(a.Body)
	if link == nil {
		b.House.T.Fatalf("got %d: %s", a.Status, a.Body)
	}
	return b.responseIn(html.UnescapeString(link[1])), false
}

// linkOf is the link of a page that shows where it leads.
var linkOf = regexp.MustCompile(`<a class="button primary" href="([^"]*)"`)

// Consent goes the whole way and gives the code.
func (b *Browser) Consent(values url.Values) string {
	b.House.T.Helper()
	id := b.Request(values)
	a := b.Get(ConsentPath + "?request=" + id)
	if a.Status == http.StatusSeeOther {
		return b.Code(a)
	}
	a.WantStatus(b.House.T, http.StatusOK)
	return b.Code(b.Submit(ConsentPath, "request", id, "answer", "continue"))
}

// Code returns the code of an authorization response, which must have one.
func (b *Browser) Code(a Answer) string {
	b.House.T.Helper()
	code := b.Response(a).Get("code")
	if code == "" {
		b.House.T.Fatalf("no code in %q", a.Header.Get("Location"))
	}
	b.House.Secret(code)
	return code
}

// Tokens are what a client was given.
type Tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	Scope        string `json:"scope"`
}

// Token asks the token endpoint.
func (h *House) Token(fields ...string) Answer {
	h.T.Helper()
	return h.Do(Call{Method: http.MethodPost, Path: TokenPath, Header: FormType, Body: Form(fields...)})
}

// Exchange exchanges a code of a public client.
func (h *House) Exchange(clientID, code string) Answer {
	h.T.Helper()
	return h.Token("grant_type", "authorization_code", "client_id", clientID, "code", code, "redirect_uri", WebCallback, "code_verifier", Verifier)
}

// Renew refreshes at the token endpoint, as a public client.
func (h *House) Renew(clientID, refreshToken string) Answer {
	h.T.Helper()
	return h.Token("grant_type", "refresh_token", "client_id", clientID, "refresh_token", refreshToken)
}

// Tokens reads the answer of an exchange or refresh that must have succeeded. The tokens must not show in the log.
func (h *House) Tokens(a Answer) (t Tokens) {
	h.T.Helper()
	a.WantStatus(h.T, http.StatusOK)
	h.Must(json.Unmarshal([]byte(a.Body), &t))
	h.Secret(t.AccessToken)
	h.Secret(t.RefreshToken)
	return t
}

// OauthSession has a user sign in to a client on a device.
func (h *House) OauthSession(localpart, clientID, device string) Tokens {
	h.T.Helper()
	scope := model.ScopeAPI + " " + model.ScopeDevicePrefix + device
	return h.Tokens(h.Exchange(clientID, h.SignedInAs(localpart).Consent(Params(clientID, "scope", scope))))
}

var tag = regexp.MustCompile(`<[^>]*>`)

// Shown is what a page says, without its tags.
func Shown(a Answer) string {
	return strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(a.Body, " "))), " ")
}

// BasicAuth returns the Authorization header of a client (RFC 6749 section 2.3.1).
func BasicAuth(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// S256 is the challenge for a verifier (RFC 7636 section 4.2).
func S256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Enroll registers a client as it would itself, and gives its id.
func (h *House) Enroll(metadata Object) string {
	h.T.Helper()
	body := Object{"client_name": "An App", "client_uri": "https://example.com", "token_endpoint_auth_method": "none"}
	for name, value := range metadata {
		body[name] = value
	}
	a := h.Do(Call{Method: http.MethodPost, Path: "/oauth2/registration", Body: JSON(body)})
	a.Shows(h.T, http.StatusCreated, "client_id")
	return a.Document(h.T)["client_id"].(string)
}

// Registrations sets the limit of client registrations.
func Registrations(r matrixauth.Rate) Change {
	return func(c *matrixauth.Config) { c.RegistrationsPerNetwork = r }
}

// DeviceScope returns the scope of a session on a device.
func DeviceScope(device string) string {
	return model.ScopeAPI + " " + model.ScopeDevicePrefix + device
}

// WithApp starts a server with the accounts alice and bob and the public client app.
func WithApp(t *testing.T) *House {
	h := New(t, Unlimited)
	h.Add("alice", "bob")
	h.Register("app", "")
	return h
}

// RegistrationPath is that of the registration endpoint.
const RegistrationPath = "/oauth2/registration"

// TryRegister sends a registration.
func (h *House) TryRegister(body string) Answer {
	h.T.Helper()
	return h.Do(Call{Method: http.MethodPost, Path: RegistrationPath, Body: body, Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}})
}

// MustRegister registers a client and gives what was answered.
func (h *House) MustRegister(body string) Document {
	h.T.Helper()
	a := h.TryRegister(body)
	if a.Status != http.StatusCreated {
		h.T.Fatalf("got %d %s", a.Status, a.Body)
	}
	d := a.Document(h.T)
	if secret, ok := d["client_secret"].(string); ok {
		h.Keep(SignedIn{AccessToken: secret})
	}
	return d
}

// WebClient is a registration with more members on top; a nil removes one.
func WebClient(more Object) string {
	body := Object{
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
	return JSON(body)
}

// WantRefused checks an error of RFC 7591 section 3.2.2.
func (a Answer) WantRefused(t testing.TB, status int, code, says string) {
	t.Helper()
	var d struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal([]byte(a.Body), &d); err != nil || a.Status != status || d.Error != code || !strings.Contains(d.Description, says) {
		t.Fatalf("got %d %s, want %d %s with %q", a.Status, a.Body, status, code, says)
	}
	WantUnstored(t, a)
}

// WantUnstored checks that no cache keeps an answer, and that web clients may read it.
func WantUnstored(t testing.TB, a Answer) { // REG-3, REG-37
	t.Helper()
	for header, want := range map[string]string{
		"Cache-Control": "no-store", "Pragma": "no-cache", "Content-Type": "application/json", "Access-Control-Allow-Origin": "*",
	} {
		if got := a.Header.Get(header); got != want {
			t.Errorf("%s is %q", header, got)
		}
	}
}
