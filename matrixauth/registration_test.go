package matrixauth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestRegisterRealClients replays what clients send.
func TestRegisterRealClients(t *testing.T) {
	h := newHouse(t)
	files, err := filepath.Glob("internal/client/testdata/registration/*.json")
	if err != nil || len(files) < 14 {
		t.Fatalf("only %d registrations: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			sent, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			a := h.tryRegister(string(sent))
			if a.status != http.StatusCreated { // REG-1
				t.Fatalf("got %d %s", a.status, a.body)
			}
			wantUnstored(t, a)
			wantEchoed(t, sent, a.document(t), h.clock.Now())
			if again := h.mustRegister(string(sent)); again["client_id"] != a.document(t)["client_id"] { // REG-27
				t.Error("the second time it is another client")
			}
		})
	}
}

// wantEchoed checks that an answer has all that was sent and is supported, as it was sent, and what
// the server adds.
func wantEchoed(t *testing.T, sent []byte, got document, now time.Time) { // REG-2, REG-20, REG-28
	t.Helper()
	id, ok := got["client_id"].(string)
	if !ok || id == "" || len(id) > 255 || got["client_id_issued_at"] != float64(now.Unix()) {
		t.Errorf("issued %v at %v", got["client_id"], got["client_id_issued_at"])
	}
	delete(got, "client_id")
	delete(got, "client_id_issued_at")
	var want document
	if err := json.Unmarshal(sent, &want); err != nil {
		t.Fatal(err)
	}
	delete(want, "id_token_signed_response_alg")
	for name, value := range want {
		if value == nil {
			delete(want, name)
		}
	}
	var grants []any
	for _, grant := range want["grant_types"].([]any) {
		if grant != "urn:ietf:params:oauth:grant-type:device_code" {
			grants = append(grants, grant)
		}
	}
	want["grant_types"] = grants
	if want["response_types"] == nil {
		want["response_types"] = []any{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRegisterOnTheWire(t *testing.T) {
	h := newHouse(t)
	t.Run("a_secret_is_told_once_and_never_expires", func(t *testing.T) { // REG-19, REG-20
		d := h.mustRegister(webClient(object{"token_endpoint_auth_method": nil}))
		secret, ok := d["client_secret"].(string)
		if !ok || len(secret) < 52 || d["client_secret_expires_at"] != 0.0 || d["token_endpoint_auth_method"] != "client_secret_basic" {
			t.Errorf("got %v", d)
		}
		h.view(func(tx *store.Tx) error {
			c, err := tx.Client(d["client_id"].(string))
			if c.SecretHash != model.HashToken(secret) || strings.Contains(text(c.Metadata), secret) {
				t.Errorf("stored is %+v", c)
			}
			return err
		})
	})
	t.Run("a_public_client_has_no_secret", func(t *testing.T) {
		d := h.mustRegister(webClient(nil))
		if d["client_secret"] != nil || d["client_secret_expires_at"] != nil {
			t.Errorf("got %v", d)
		}
	})
	t.Run("the_member_to_blame_is_named", func(t *testing.T) { // REG-17
		h.tryRegister(webClient(object{"client_uri": nil})).wantRefused(t, 400, "invalid_client_metadata", "client_uri is missing")
		h.tryRegister(webClient(object{"tos_uri#de": "https://evil.org"})).wantRefused(t, 400, "invalid_client_metadata", "tos_uri#de must be on the host of client_uri")
		h.tryRegister(webClient(object{"redirect_uris": []string{"https://app.example.com/", "http://app.example.com/"}})).
			wantRefused(t, 400, "invalid_redirect_uri", "redirect_uris[1] must be an https address")
		h.tryRegister(webClient(object{"software_statement": "x"})).wantRefused(t, 400, "unapproved_software_statement", "software statements")
	})
	t.Run("what_is_no_json_object_is_invalid_metadata", func(t *testing.T) { // REG-18
		for _, body := range []string{"", "client_uri=x", "[]", `"x"`, "null", "{", `{"a":1}{}`, "\xff"} {
			h.tryRegister(body).wantRefused(t, 400, "invalid_client_metadata", "the body must be a JSON object")
		}
	})
	t.Run("too_much_is_413", func(t *testing.T) { // REG-29
		h.tryRegister(webClient(object{"client_name": strings.Repeat("x", 1<<17)})).wantRefused(t, 413, "invalid_request", "")
	})
	t.Run("a_content_type_is_not_asked_for", func(t *testing.T) {
		a := h.do(call{method: http.MethodPost, path: registrationURL, body: webClient(nil)})
		if a.status != http.StatusCreated {
			t.Errorf("got %d %s", a.status, a.body)
		}
	})
	t.Run("no_token_is_asked_for", func(t *testing.T) { // REG-30
		a := h.do(call{method: http.MethodPost, path: registrationURL, body: webClient(nil), bearer: "stale"})
		if a.status != http.StatusCreated {
			t.Errorf("got %d %s", a.status, a.body)
		}
	})
	t.Run("web_clients_may_ask_before", func(t *testing.T) { // REG-37
		a := h.do(call{method: http.MethodOptions, path: registrationURL})
		if a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "POST") || !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Content-Type") {
			t.Errorf("got %d %v", a.status, a.header)
		}
	})
	t.Run("only_POST_registers", func(t *testing.T) {
		a := h.do(call{path: registrationURL})
		if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST, OPTIONS" {
			t.Errorf("got %d %v", a.status, a.header)
		}
	})
	t.Run("another_host_does_not_register", func(t *testing.T) {
		if a := h.do(call{method: http.MethodPost, path: registrationURL, host: "other.example.test", body: webClient(nil)}); a.status != passedOn {
			t.Errorf("got %d %s", a.status, a.body)
		}
	})
}

// TestRegistrationLimit counts by network, in a bucket of its own.
func TestRegistrationLimit(t *testing.T) { // REG-29, ENUM-5, ENUM-6
	h := newHouse(t, unlimited, func(c *Config) { c.RegistrationsPerNetwork = Rate{Burst: 2, PerMinute: 1} })
	h.mustRegister(webClient(nil))
	h.tryRegister("no json").wantRefused(t, 400, "invalid_client_metadata", "")
	a := h.tryRegister(webClient(nil))
	a.wantRefused(t, http.StatusTooManyRequests, "temporarily_unavailable", "")
	if wait := a.header.Get("Retry-After"); wait != "60" {
		t.Errorf("Retry-After is %q", wait)
	}
	if other := h.do(call{method: http.MethodPost, path: registrationURL, body: webClient(nil), ip: "198.51.100.7"}); other.status != http.StatusCreated {
		t.Errorf("another network got %d", other.status)
	}
	h.add("alice")
	h.login("alice", nil) // the bucket is not that of logins
	h.clock.Move(time.Minute)
	h.mustRegister(webClient(nil))
}

// TestRegistrationsOfDevelopment are accepted by the switch alone.
func TestRegistrationsOfDevelopment(t *testing.T) {
	local := webClient(object{"client_uri": "http://localhost:8080", "redirect_uris": []string{"http://localhost:8080/?x"}, "logo_uri": "http://localhost:8080/logo.png"})
	newHouse(t).tryRegister(local).wantRefused(t, 400, "invalid_client_metadata", "client_uri must be an https address")
	h := newHouse(t, func(c *Config) { c.AllowHTTPClients = true })
	h.mustRegister(local)
	h.tryRegister(webClient(object{"client_uri": "http://app.example.com"})).wantRefused(t, 400, "invalid_client_metadata", "client_uri must be an https address")
}

// TestStaticClients are known without a registration.
func TestStaticClients(t *testing.T) { // REG-36
	h := newHouse(t, func(c *Config) {
		c.Clients = []Client{
			{ID: "portal", Secret: "a secret of sixteen", RedirectURIs: []string{"https://portal.example.com/cb"}, Name: " Staff\nportal "},
			{ID: "kiosk", RedirectURIs: []string{"kiosk:/cb"}, ApplicationType: "native"},
		}
	})
	clients := h.domain().Clients
	portal, err := clients.Find(t.Context(), "portal")
	if err != nil || !portal.Static || portal.Name("") != "Staff portal" || portal.Metadata.AuthMethod != model.AuthBasic || portal.Metadata.ApplicationType != model.WebApplication {
		t.Errorf("got %+v: %v", portal, err)
	}
	kiosk, err := clients.Find(t.Context(), "kiosk")
	if err != nil || !kiosk.Public() || kiosk.Metadata.ApplicationType != model.NativeApplication || kiosk.Name("de") != "kiosk" {
		t.Errorf("got %+v: %v", kiosk, err)
	}
}

func TestConfigOfClients(t *testing.T) {
	good := Client{ID: "portal", RedirectURIs: []string{"https://portal.example.com/cb"}}
	config := Config{ServerName: serverName, Issuer: issuer, Clients: []Client{
		good, good,
		{ID: "a b", AuthMethod: "client_secret_jwt", ApplicationType: "x", Secret: "short", URI: "http://x.example", RedirectURIs: []string{"https://u:hunter2@x.example/"}},
	}}.WithDefaults()
	var got []string
	for _, p := range config.Validate() {
		got = append(got, p.Error())
	}
	want := []string{
		`client portal: is there twice`,
		`client a b: a client id has 1 to 255 letters, digits and . _ ~ - and nothing else`,
		`client a b application_type: "x" is not known; write web or native`,
		`client a b auth_method: "client_secret_jwt" is not known; write none, client_secret_basic or client_secret_post`,
		`client a b secret: must have 16 characters or more`,
		`client a b redirect_uri: the address must not hold a user name or password`,
		`client a b uri: "http://x.example" must be an https address`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestRegisteredClientSignsIn goes the whole way with a client that has registered itself.
func TestRegisteredClientSignsIn(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	phone := h.mustRegister(text(object{
		"client_uri": "https://example.org", "application_type": "native", "token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code", "refresh_token"},
		"redirect_uris": []string{"http://localhost:3001/login"}, "client_name": "Talk", "client_name#de": "Plausch",
		"policy_uri": "https://example.org/privacy", "policy_uri#de": "https://example.org/datenschutz",
	}))
	id, ok := phone["client_id"].(string)
	if !ok {
		t.Fatalf("got %v", phone)
	}
	const redirect = "http://localhost:49152/login" // AUTHZ-5, REG-14
	alice := h.signedInAs("alice")
	request := alice.request(params(id, "redirect_uri", redirect, "ui_locales", "de-AT"))
	a := alice.get(consentPath + "?request=" + request)
	for _, want := range []string{"Plausch", "https://example.org/datenschutz"} { // REG-24, REG-25
		if a.status != http.StatusOK || !strings.Contains(a.body, want) {
			t.Errorf("the page does not show %q: %d %s", want, a.status, a.body)
		}
	}
	code := alice.code(alice.submit(consentPath, "request", request, "answer", "continue"))
	a = h.token("grant_type", "authorization_code", "client_id", id, "code", code, "redirect_uri", redirect, "code_verifier", verifier)
	var given tokens
	if err := json.Unmarshal([]byte(a.body), &given); err != nil || a.status != http.StatusOK {
		t.Fatalf("got %d %s: %v", a.status, a.body, err)
	}
	h.keep(signedIn{AccessToken: given.AccessToken, RefreshToken: given.RefreshToken})
	h.wantActive(given.AccessToken, "PHONE")
	h.clock.Move(60 * 24 * time.Hour) // REG-26
	if _, err := h.store.Retain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := h.renew(id, given.RefreshToken); a.status != http.StatusOK {
		t.Errorf("after two months: %d %s", a.status, a.body)
	} else if err := json.Unmarshal([]byte(a.body), &given); err == nil {
		h.keep(signedIn{AccessToken: given.AccessToken, RefreshToken: given.RefreshToken})
	}
}

// TestClientsProveThemselves has a confidential client of the configuration exchange a code, and fail to.
func TestClientsProveThemselves(t *testing.T) { // CAUTH-1, CAUTH-3, CAUTH-4, CAUTH-14
	const secret = "a secret: with/all of+it"
	h := newHouse(t, unlimited, func(c *Config) {
		c.Clients = []Client{
			{ID: "portal", Secret: secret, RedirectURIs: []string{webCallback}},
			{ID: "poster", Secret: secret, RedirectURIs: []string{webCallback}, AuthMethod: "client_secret_post"},
		}
	})
	h.add("alice")
	alice := h.signedInAs("alice")
	basic := func(id, secret string) http.Header {
		pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
		return http.Header{"Content-Type": formType["Content-Type"], "Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}}
	}
	for name, test := range map[string]struct {
		client string
		header http.Header
		more   []string
		status int
		code   string
		asks   string
	}{
		"by_the_header":            {"portal", basic("portal", secret), nil, 200, "", ""},
		"by_the_header_and_the_id": {"portal", basic("portal", secret), []string{"client_id", "portal"}, 200, "", ""},
		"by_the_body":              {"poster", formType, []string{"client_id", "poster", "client_secret", secret}, 200, "", ""},
		"with_a_wrong_secret":      {"portal", basic("portal", "x"), nil, 401, "invalid_client", "Basic"},
		"with_none":                {"portal", formType, []string{"client_id", "portal"}, 401, "invalid_client", ""},
		"in_another_way":           {"portal", formType, []string{"client_id", "portal", "client_secret", secret}, 401, "invalid_client", ""},
		"in_yet_another_way":       {"poster", basic("poster", secret), nil, 401, "invalid_client", "Basic"},
		"in_two_ways":              {"portal", basic("portal", secret), []string{"client_secret", secret}, 400, "invalid_request", ""},
		"as_somebody_else":         {"portal", basic("portal", secret), []string{"client_id", "poster"}, 400, "invalid_request", ""},
		"with_a_bearer_token":      {"portal", http.Header{"Content-Type": formType["Content-Type"], "Authorization": {"Bearer x"}}, nil, 401, "invalid_client", "Basic"},
		"as_nobody":                {"portal", basic("nobody", secret), nil, 401, "invalid_client", "Basic"},
	} {
		t.Run(name, func(t *testing.T) {
			code := alice.consent(params(test.client, "prompt", "consent"))
			fields := append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", webCallback, "code_verifier", verifier}, test.more...)
			a := h.do(call{method: http.MethodPost, path: tokenPath, header: test.header, body: form(fields...)})
			if challenge := a.header.Get("WWW-Authenticate"); a.status != test.status || strings.HasPrefix(challenge, "Basic") != (test.asks != "") || test.asks == "" && challenge != "" {
				t.Fatalf("got %d %q %s", a.status, challenge, a.body)
			}
			if test.code != "" && a.document(t)["error"] != test.code {
				t.Errorf("got %s", a.body)
			}
			if a.status == http.StatusOK {
				var given tokens
				h.must(json.Unmarshal([]byte(a.body), &given))
				h.keep(signedIn{AccessToken: given.AccessToken, RefreshToken: given.RefreshToken})
			}
		})
	}
}
