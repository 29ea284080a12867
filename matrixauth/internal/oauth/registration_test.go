package oauth_test

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

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestRegisterRealClients replays what clients send.
func TestRegisterRealClients(t *testing.T) {
	h := house.New(t)
	files, err := filepath.Glob("../client/testdata/registration/*.json")
	if err != nil || len(files) < 14 {
		t.Fatalf("only %d registrations: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			sent, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			a := h.TryRegister(string(sent))
			if a.Status != http.StatusCreated { // REG-1
				t.Fatalf("got %d %s", a.Status, a.Body)
			}
			house.WantUnstored(t, a)
			wantEchoed(t, sent, a.Document(t), h.Clock.Now())
			if again := h.MustRegister(string(sent)); again["client_id"] != a.Document(t)["client_id"] { // REG-27
				t.Error("the second time it is another client")
			}
		})
	}
}

// wantEchoed checks that an answer has all that was sent and is supported, as it was sent, and what
// the server adds.
func wantEchoed(t *testing.T, sent []byte, got house.Document, now time.Time) { // REG-2, REG-20, REG-28
	t.Helper()
	id, ok := got["client_id"].(string)
	if !ok || id == "" || len(id) > 255 || got["client_id_issued_at"] != float64(now.Unix()) {
		t.Errorf("issued %v at %v", got["client_id"], got["client_id_issued_at"])
	}
	delete(got, "client_id")
	delete(got, "client_id_issued_at")
	var want house.Document
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
	h := house.New(t)
	t.Run("a_secret_is_told_once_and_never_expires", func(t *testing.T) { // REG-19, REG-20
		d := h.MustRegister(house.WebClient(house.Object{"token_endpoint_auth_method": nil}))
		secret, ok := d["client_secret"].(string)
		if !ok || len(secret) < 52 || d["client_secret_expires_at"] != 0.0 || d["token_endpoint_auth_method"] != "client_secret_basic" {
			t.Errorf("got %v", d)
		}
		h.View(func(tx *store.Tx) error {
			c, err := tx.Client(d["client_id"].(string))
			if c.SecretHash != model.HashToken(secret) || strings.Contains(house.JSON(c.Metadata), secret) {
				t.Errorf("stored is %+v", c)
			}
			return err
		})
	})
	t.Run("a_public_client_has_no_secret", func(t *testing.T) {
		d := h.MustRegister(house.WebClient(nil))
		if d["client_secret"] != nil || d["client_secret_expires_at"] != nil {
			t.Errorf("got %v", d)
		}
	})
	t.Run("the_member_to_blame_is_named", func(t *testing.T) { // REG-17
		h.TryRegister(house.WebClient(house.Object{"client_uri": nil})).WantRefused(t, 400, "invalid_client_metadata", "client_uri is missing")
		h.TryRegister(house.WebClient(house.Object{"tos_uri#de": "https://evil.org"})).WantRefused(t, 400, "invalid_client_metadata", "tos_uri#de must be on the host of client_uri")
		h.TryRegister(house.WebClient(house.Object{"redirect_uris": []string{"https://app.example.com/", "http://app.example.com/"}})).
			WantRefused(t, 400, "invalid_redirect_uri", "redirect_uris[1] must be an https address")
		h.TryRegister(house.WebClient(house.Object{"software_statement": "x"})).WantRefused(t, 400, "unapproved_software_statement", "software statements")
	})
	t.Run("what_is_no_json_object_is_invalid_metadata", func(t *testing.T) { // REG-18
		for _, body := range []string{"", "client_uri=x", "[]", `"x"`, "null", "{", `{"a":1}{}`, "\xff"} {
			h.TryRegister(body).WantRefused(t, 400, "invalid_client_metadata", "the body must be a JSON object")
		}
	})
	t.Run("too_much_is_413", func(t *testing.T) { // REG-29
		h.TryRegister(house.WebClient(house.Object{"client_name": strings.Repeat("x", 1<<17)})).WantRefused(t, 413, "invalid_request", "")
	})
	t.Run("a_content_type_is_not_asked_for", func(t *testing.T) {
		a := h.Do(house.Call{Method: http.MethodPost, Path: house.RegistrationPath, Body: house.WebClient(nil)})
		if a.Status != http.StatusCreated {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	})
	t.Run("no_token_is_asked_for", func(t *testing.T) { // REG-30
		a := h.Do(house.Call{Method: http.MethodPost, Path: house.RegistrationPath, Body: house.WebClient(nil), Bearer: "stale"})
		if a.Status != http.StatusCreated {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	})
	t.Run("web_clients_may_ask_before", func(t *testing.T) { // REG-37
		a := h.Do(house.Call{Method: http.MethodOptions, Path: house.RegistrationPath})
		if a.Status != http.StatusNoContent || a.Header.Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "POST") || !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Content-Type") {
			t.Errorf("got %d %v", a.Status, a.Header)
		}
	})
	t.Run("only_POST_registers", func(t *testing.T) {
		a := h.Do(house.Call{Path: house.RegistrationPath})
		if a.Status != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "POST, OPTIONS" {
			t.Errorf("got %d %v", a.Status, a.Header)
		}
	})
	t.Run("another_host_does_not_register", func(t *testing.T) {
		if a := h.Do(house.Call{Method: http.MethodPost, Path: house.RegistrationPath, Host: "other.example.test", Body: house.WebClient(nil)}); a.Status != house.PassedOn {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	})
}

// TestRegistrationLimit counts by network, in a bucket of its own.
func TestRegistrationLimit(t *testing.T) { // REG-29, ENUM-5, ENUM-6
	h := house.New(t, house.Unlimited, func(c *matrixauth.Config) { c.RegistrationsPerNetwork = matrixauth.Rate{Burst: 2, PerMinute: 1} })
	h.MustRegister(house.WebClient(nil))
	h.TryRegister("no json").WantRefused(t, 400, "invalid_client_metadata", "")
	a := h.TryRegister(house.WebClient(nil))
	a.WantRefused(t, http.StatusTooManyRequests, "temporarily_unavailable", "")
	if wait := a.Header.Get("Retry-After"); wait != "60" {
		t.Errorf("Retry-After is %q", wait)
	}
	if other := h.Do(house.Call{Method: http.MethodPost, Path: house.RegistrationPath, Body: house.WebClient(nil), IP: "198.51.100.7"}); other.Status != http.StatusCreated {
		t.Errorf("another network got %d", other.Status)
	}
	h.Add("alice")
	h.Login("alice", nil) // the bucket is not that of logins
	h.Clock.Move(time.Minute)
	h.MustRegister(house.WebClient(nil))
}

// TestRegistrationsOfDevelopment are accepted by the switch alone.
func TestRegistrationsOfDevelopment(t *testing.T) {
	local := house.WebClient(house.Object{"client_uri": "http://localhost:8080", "redirect_uris": []string{"http://localhost:8080/?x"}, "logo_uri": "http://localhost:8080/logo.png"})
	house.New(t).TryRegister(local).WantRefused(t, 400, "invalid_client_metadata", "client_uri must be an https address")
	h := house.New(t, func(c *matrixauth.Config) { c.AllowHTTPClients = true })
	h.MustRegister(local)
	h.TryRegister(house.WebClient(house.Object{"client_uri": "http://app.example.com"})).WantRefused(t, 400, "invalid_client_metadata", "client_uri must be an https address")
}

// TestStaticClients are known without a registration.
func TestStaticClients(t *testing.T) { // REG-36
	h := house.New(t, func(c *matrixauth.Config) {
		c.Clients = []matrixauth.Client{
			{ID: "portal", Secret: "a secret of sixteen", RedirectURIs: []string{"https://portal.example.com/cb"}, Name: " Staff\nportal "},
			{ID: "kiosk", RedirectURIs: []string{"kiosk:/cb"}, ApplicationType: "native"},
		}
	})
	clients := h.Wiring.Clients
	portal, err := clients.Find(t.Context(), "portal")
	if err != nil || !portal.Static || portal.Name("") != "Staff portal" || portal.Metadata.AuthMethod != model.AuthBasic || portal.Metadata.ApplicationType != model.WebApplication {
		t.Errorf("got %+v: %v", portal, err)
	}
	kiosk, err := clients.Find(t.Context(), "kiosk")
	if err != nil || !kiosk.Public() || kiosk.Metadata.ApplicationType != model.NativeApplication || kiosk.Name("de") != "kiosk" {
		t.Errorf("got %+v: %v", kiosk, err)
	}
}

// TestRegisteredClientSignsIn goes the whole way with a client that has registered itself.
func TestRegisteredClientSignsIn(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	phone := h.MustRegister(house.JSON(house.Object{
		"client_uri": "https://example.org", "application_type": "native", "token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code", "refresh_token"},
		"redirect_uris": []string{"http://localhost:3001/login"}, "client_name": "Talk", "client_name#de": "Plausch",
		"policy_uri": "https://example.org/privacy", "policy_uri#de": "https://example.org/datenschutz",
	}))
	id, ok := phone["client_id"].(string)
	if !ok {
		t.Fatalf("got %v", phone)
	}
	const redirect = "http://localhost:49152/login" // AUTHZ-5, REG-14
	alice := h.SignedInAs("alice")
	request := alice.Request(house.Params(id, "redirect_uri", redirect, "ui_locales", "de-AT"))
	a := alice.Get(house.ConsentPath + "?request=" + request)
	for _, want := range []string{"Plausch", "https://example.org/datenschutz"} { // REG-24, REG-25
		if a.Status != http.StatusOK || !strings.Contains(a.Body, want) {
			t.Errorf("the page does not show %q: %d %s", want, a.Status, a.Body)
		}
	}
	code := alice.Code(alice.Submit(house.ConsentPath, "request", request, "answer", "continue"))
	a = h.Token("grant_type", "authorization_code", "client_id", id, "code", code, "redirect_uri", redirect, "code_verifier", house.Verifier)
	var given house.Tokens
	if err := json.Unmarshal([]byte(a.Body), &given); err != nil || a.Status != http.StatusOK {
		t.Fatalf("got %d %s: %v", a.Status, a.Body, err)
	}
	h.Keep(house.SignedIn{AccessToken: given.AccessToken, RefreshToken: given.RefreshToken})
	h.WantActive(given.AccessToken, "PHONE")
	h.Clock.Move(60 * 24 * time.Hour) // REG-26
	if _, err := h.Store.Retain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := h.Renew(id, given.RefreshToken); a.Status != http.StatusOK {
		t.Errorf("after two months: %d %s", a.Status, a.Body)
	} else if err := json.Unmarshal([]byte(a.Body), &given); err == nil {
		h.Keep(house.SignedIn{AccessToken: given.AccessToken, RefreshToken: given.RefreshToken})
	}
}

// TestClientsProveThemselves has a confidential client of the configuration exchange a code, and fail to.
func TestClientsProveThemselves(t *testing.T) { // CAUTH-1, CAUTH-3, CAUTH-4, CAUTH-14
	const secret = "a secret: with/all of+it"
	h := house.New(t, house.Unlimited, func(c *matrixauth.Config) {
		c.Clients = []matrixauth.Client{
			{ID: "portal", Secret: secret, RedirectURIs: []string{house.WebCallback}},
			{ID: "poster", Secret: secret, RedirectURIs: []string{house.WebCallback}, AuthMethod: "client_secret_post"},
		}
	})
	h.Add("alice")
	alice := h.SignedInAs("alice")
	basic := func(id, secret string) http.Header {
		pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
		return http.Header{"Content-Type": house.FormType["Content-Type"], "Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}}
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
		"by_the_body":              {"poster", house.FormType, []string{"client_id", "poster", "client_secret", secret}, 200, "", ""},
		"with_a_wrong_secret":      {"portal", basic("portal", "x"), nil, 401, "invalid_client", "Basic"},
		"with_none":                {"portal", house.FormType, []string{"client_id", "portal"}, 401, "invalid_client", ""},
		"in_another_way":           {"portal", house.FormType, []string{"client_id", "portal", "client_secret", secret}, 401, "invalid_client", ""},
		"in_yet_another_way":       {"poster", basic("poster", secret), nil, 401, "invalid_client", "Basic"},
		"in_two_ways":              {"portal", basic("portal", secret), []string{"client_secret", secret}, 400, "invalid_request", ""},
		"as_somebody_else":         {"portal", basic("portal", secret), []string{"client_id", "poster"}, 400, "invalid_request", ""},
		"with_a_bearer_token":      {"portal", http.Header{"Content-Type": house.FormType["Content-Type"], "Authorization": {"Bearer x"}}, nil, 401, "invalid_client", "Basic"},
		"as_nobody":                {"portal", basic("nobody", secret), nil, 401, "invalid_client", "Basic"},
	} {
		t.Run(name, func(t *testing.T) {
			code := alice.Consent(house.Params(test.client, "prompt", "consent"))
			fields := append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", house.WebCallback, "code_verifier", house.Verifier}, test.more...)
			a := h.Do(house.Call{Method: http.MethodPost, Path: house.TokenPath, Header: test.header, Body: house.Form(fields...)})
			if challenge := a.Header.Get("WWW-Authenticate"); a.Status != test.status || strings.HasPrefix(challenge, "Basic") != (test.asks != "") || test.asks == "" && challenge != "" {
				t.Fatalf("got %d %q %s", a.Status, challenge, a.Body)
			}
			if test.code != "" && a.Document(t)["error"] != test.code {
				t.Errorf("got %s", a.Body)
			}
			if a.Status == http.StatusOK {
				var given house.Tokens
				h.Must(json.Unmarshal([]byte(a.Body), &given))
				h.Keep(house.SignedIn{AccessToken: given.AccessToken, RefreshToken: given.RefreshToken})
			}
		})
	}
}
