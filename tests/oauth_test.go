package tests

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

const (
	apiScope = "urn:matrix:client:api:*"
	// callback is where a client waits: nobody goes there, as the address is read on the way.
	callback = "https://client.example.com/callback"
	// staticSecret has what must be escaped in a header and in a form.
	staticSecret = "s3cret:/+&= % of a service"
)

// oauthOptions are those of the directive that the clients of the tests need.
const oauthOptions = `allow_http_clients
		login_limit {
			network 1000 1000
			account 1000 1000
		}
		client static-client_secret_basic {
			secret "` + staticSecret + `"
			redirect_uri ` + callback + `?kept=1 ` + callback + `
			auth_method client_secret_basic
			name "A service"
			uri https://client.example.com/
		}
		client static-client_secret_post {
			secret "` + staticSecret + `"
			redirect_uri ` + callback + `?kept=1 ` + callback + `
			auth_method client_secret_post
			name "A service"
			uri https://client.example.com/
		}
		client go-service {
			secret "` + staticSecret + `"
			redirect_uri ` + callback + `
			name "A Go service"
			uri https://client.example.com/
		}
		client example-chat {
			redirect_uri https://chat.example.com/callback
			auth_method none
			name "Example Chat"
			uri https://chat.example.com/
		}`

func deviceScope(device string) string { return "urn:matrix:client:device:" + device }

// TestOAuthClients has clients of the OAuth 2.0 API that we did not write sign in by our pages.
func TestOAuthClients(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{Options: oauthOptions})
			password := h.AddUser("alice")
			t.Run("mautrix_go", func(t *testing.T) { mautrixFlow(t, h, "alice", password) })
			if version != rig.Newest {
				return
			}
			t.Run("x_oauth2", func(t *testing.T) { xOAuth2Flow(t, h, "alice", password) })
			t.Run("oauth4webapi", func(t *testing.T) { runChecks(t, "oauth4webapi_flow.mjs", h.URL, password) })
			t.Run("a_member_of_the_metadata_is_missing", func(t *testing.T) { runChecks(t, "metadata_checks.mjs", h.URL) }) // DISC-5, S15
			t.Run("openid_client", func(t *testing.T) { runChecks(t, "openid_client_flow.mjs", h.URL, password) })
			t.Run("an_administrator's_client", func(t *testing.T) { adminFlow(t, h) })
			t.Run("a_client_is_removed", func(t *testing.T) { removeFlow(t, h, "alice", password) })
		})
	}
}

// TestMatrixJSSDKInBrowser has web clients sign in on our pages and refresh what expires in seconds.
func TestMatrixJSSDKInBrowser(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{Options: oauthOptions + "\n\t\taccess_token_lifetime 3s"})
			password := h.AddUser("alice")
			observer := h.MustCommand("", "token", "issue", "alice")
			runChecks(t, "sdk_flow.mjs", h.URL, password, observer[:len(observer)-1])
		})
	}
}

// registered registers a public client of Go's OAuth library for the callback.
func registered(t *testing.T, h *rig.Homeserver) *oauth2.Config {
	t.Helper()
	return registeredBy(t, http.DefaultClient, h.URL)
}

func registeredBy(t *testing.T, by *http.Client, issuer string) *oauth2.Config {
	t.Helper()
	client := postBy(t, by, issuer+"/oauth2/registration", map[string]any{
		"client_name": "x/oauth2", "client_uri": "https://client.example.com/", "redirect_uris": []string{callback},
		"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "none",
	}).Must(t, http.StatusCreated)
	return goClient(issuer, client.Text("client_id"), "")
}

func goClient(issuer, id, secret string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: id, ClientSecret: secret, RedirectURL: callback,
		Endpoint: oauth2.Endpoint{AuthURL: issuer + "/authorize", TokenURL: issuer + "/oauth2/token"},
	}
}

// grant takes a client of Go's OAuth library through the pages.
func grant(t *testing.T, h *rig.Homeserver, config *oauth2.Config, user, password string, scopes ...string) *oauth2.Token {
	t.Helper()
	return grantBy(t, http.DefaultClient, h.URL, config, user, password, scopes...)
}

// grantBy is grant by a client that finds the issuer.
func grantBy(t *testing.T, by *http.Client, issuer string, config *oauth2.Config, user, password string, scopes ...string) *oauth2.Token {
	t.Helper()
	config.Scopes = scopes
	verifier := oauth2.GenerateVerifier()
	back := rig.NewVisitorBy(t, by, issuer).Authorize(config.AuthCodeURL("the state", oauth2.S256ChallengeOption(verifier)), user, password)
	if back.Get("state") != "the state" || back.Get("iss") != issuer+"/" {
		t.Fatalf("the visitor came back with %v", back)
	}
	token, err := config.Exchange(context.WithValue(t.Context(), oauth2.HTTPClient, by), back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// xOAuth2Flow signs in and refreshes with Go's OAuth library, by every way in which it names itself: it
// begins with a guess, and a wrong guess must not cost the code.
func xOAuth2Flow(t *testing.T, h *rig.Homeserver, user, password string) {
	public, service := registered(t, h), goClient(h.URL, "go-service", staticSecret)
	for _, c := range []struct {
		name   string
		config *oauth2.Config
		style  oauth2.AuthStyle
	}{
		{"a_public_client_in_the_body", public, oauth2.AuthStyleInParams},
		{"a_public_client_that_guesses", public, oauth2.AuthStyleAutoDetect},
		{"a_service_in_the_header", service, oauth2.AuthStyleInHeader},
		{"a_service_that_guesses", service, oauth2.AuthStyleAutoDetect},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Endpoint.AuthStyle = c.style
			token := grant(t, h, c.config, user, password, apiScope, deviceScope("XOAUTH2DEVICE"))
			if token.Type() != "Bearer" || token.Extra("scope") != apiScope+" "+deviceScope("XOAUTH2DEVICE") {
				t.Fatalf("got a token of type %s for %v", token.Type(), token.Extra("scope"))
			}
			for range 3 {
				old := *token
				token.Expiry = time.Now().Add(-time.Minute)
				fresh, err := c.config.TokenSource(context.Background(), token).Token()
				if err != nil {
					t.Fatal(err)
				}
				if fresh.AccessToken == old.AccessToken || fresh.RefreshToken == old.RefreshToken {
					t.Fatal("nothing was rotated")
				}
				token = fresh
			}
			who := h.Call(http.MethodGet, "/v3/account/whoami", token.AccessToken, nil).Must(t, http.StatusOK)
			if who.Text("device_id") != "XOAUTH2DEVICE" {
				t.Fatalf("whoami: %v", who.Body)
			}
		})
	}
}

// adminFlow has an administrator's client administer Synapse; a client of anybody else does not get the
// scope (SCOPE-13).
func adminFlow(t *testing.T, h *rig.Homeserver) {
	const scope = "urn:synapse:admin:*"
	password, plain := h.AddUser("root1", "--admin"), h.AddUser("plain")
	config := registered(t, h)
	config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	token := grant(t, h, config, "root1", password, apiScope, deviceScope("ROOTDEVICE"), scope)
	request, err := http.NewRequest(http.MethodGet, h.Synapse.URL+"/_synapse/admin/v1/rooms?limit=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	token.SetAuthHeader(request)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("the admin API answered %d, %v", response.StatusCode, err)
	}

	config.Scopes = []string{apiScope, deviceScope("PLAINDEVICE"), scope}
	v := rig.NewVisitor(t, h.URL)
	v.Open(config.AuthCodeURL("s", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())))
	v.SignIn("plain", plain)
	v.Follow("Continue") // they are told first, as nobody vouches for the client
	back, err := v.Returned()
	if err != nil {
		t.Fatal(err)
	}
	if e := back.Get("error"); e != "access_denied" || back.Get("code") != "" {
		t.Fatalf("a plain user's client came back with %v", back)
	}
}

// removeFlow has an operator remove a client that somebody uses: its session is over at once, at Synapse too, and
// nobody else's.
func removeFlow(t *testing.T, h *rig.Homeserver, user, password string) {
	stays := h.Login(user, password, map[string]any{"device_id": "STAYS"}).Must(t, http.StatusOK).Text("access_token")
	config := registered(t, h)
	config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	token := grant(t, h, config, user, password, apiScope, deviceScope("REMOVED"))
	h.Call(http.MethodGet, "/v3/account/whoami", token.AccessToken, nil).Must(t, http.StatusOK)
	if all := h.MustCommand("", "client", "list"); !strings.Contains(all, config.ClientID) {
		t.Fatalf("the client is not listed: %s", all)
	}
	if said := h.MustCommand("", "client", "remove", config.ClientID, "--dry-run"); !strings.Contains(said, "would") {
		t.Errorf("a dry run says %s", said)
	}
	h.Call(http.MethodGet, "/v3/account/whoami", token.AccessToken, nil).Must(t, http.StatusOK)

	h.MustCommand("", "client", "remove", config.ClientID, "--yes")
	if e := h.Call(http.MethodGet, "/v3/account/whoami", token.AccessToken, nil).Must(t, http.StatusUnauthorized).Text("errcode"); e != "M_UNKNOWN_TOKEN" {
		t.Errorf("the token of a client that is gone gets %s", e)
	}
	token.Expiry = time.Now().Add(-time.Minute)
	if fresh, err := config.TokenSource(context.Background(), token).Token(); err == nil {
		t.Errorf("a client that is gone refreshed into %v", fresh)
	}
	rig.Await(t, "the deletion of the device", func() error {
		if h.Devices(stays)["REMOVED"] {
			return errors.New("it is still there")
		}
		return nil
	})
	if !h.Devices(stays)["STAYS"] {
		t.Error("the device of another session is gone")
	}
	if all := h.MustCommand("", "client", "list"); strings.Contains(all, config.ClientID) {
		t.Errorf("the client is still listed: %s", all)
	}
}
