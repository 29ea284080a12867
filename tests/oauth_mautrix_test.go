package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
	"maunium.net/go/mautrix/oauth"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// postBy sends a JSON document by a client that finds the address.
func postBy(t *testing.T, by *http.Client, address string, body any) rig.Answer {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return answerTo(t, by, address, "application/json", bytes.NewReader(text))
}

// postFormBy sends a form in the same way.
func postFormBy(t *testing.T, by *http.Client, address string, form url.Values) rig.Answer {
	t.Helper()
	return answerTo(t, by, address, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

func answerTo(t *testing.T, by *http.Client, address, kind string, body io.Reader) rig.Answer {
	t.Helper()
	response, err := by.Post(address, kind, body)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer := rig.Answer{Status: response.StatusCode, Header: response.Header}
	if err := json.NewDecoder(response.Body).Decode(&answer.Body); err != nil {
		t.Fatalf("%s: status %d: %v", address, response.StatusCode, err)
	}
	return answer
}

// oauthSignIn signs a mautrix client in through the pages, on a device.
func oauthSignIn(t *testing.T, h *rig.Homeserver, mode oauth.ResponseMode, user, password string, device id.DeviceID) *mautrix.Client {
	t.Helper()
	ctx := context.Background()
	client, err := mautrix.NewClient(h.URL, "", "")
	if err != nil {
		t.Fatal(err)
	}
	client.SaveNewToken = func(context.Context, string, string, time.Time) error { return nil }
	if _, err := client.OAuthGetServerMetadata(ctx); err != nil {
		t.Fatal(err)
	}
	// A loopback redirect of a native client is registered without its port.
	if _, err := client.OAuthRegisterClient(ctx, &oauth.ClientMetadata{
		ApplicationType: oauth.ApplicationTypeNative, ClientName: "mautrix-go", ClientURI: "https://mautrix.example.com/",
		GrantTypes:    []oauth.GrantType{oauth.GrantTypeAuthorizationCode, oauth.GrantTypeRefreshToken},
		ResponseTypes: []oauth.ResponseType{oauth.ResponseTypeCode}, TokenEndpointAuthMethod: oauth.AuthMethodNone,
		RedirectURIs: []string{"http://127.0.0.1/callback"},
	}); err != nil {
		t.Fatal(err)
	}
	const redirect = "http://127.0.0.1:65535/callback"
	request, err := client.OAuthGetAuthorizationURL(ctx, oauth.GetAuthorizationURLParams{
		RedirectURI: redirect, Scopes: oauth.ScopeList{oauth.ScopeClientAPI, oauth.ScopeDevice(device)},
		UserIDHint: id.NewUserID(user, rig.ServerName), ResponseMode: mode,
	})
	if err != nil {
		t.Fatal(err)
	}
	back := rig.NewVisitor(t, h.URL).Authorize(request.URL, user, password)
	if back.Get("state") != request.State || back.Get("iss") != h.URL+"/" {
		t.Fatalf("the visitor came back with %v", back)
	}
	if _, err := client.OAuthExchangeToken(ctx, oauth.ExchangeTokenParams{
		CodeVerifier: request.CodeVerifier, RedirectURI: redirect, Code: back.Get("code"), StoreCredentials: true,
	}); err != nil {
		t.Fatal(err)
	}
	who, err := client.Whoami(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if who.DeviceID != device || who.UserID != id.NewUserID(user, rig.ServerName) {
		t.Fatalf("whoami: %+v", who)
	}
	client.UserID, client.DeviceID = who.UserID, who.DeviceID
	return client
}

// mautrixFlow is sign-in by both modes, refresh, and a logout by which only the refresh token is revoked
// (REV-2); then the device is gone.
func mautrixFlow(t *testing.T, h *rig.Homeserver, user, password string) {
	ctx := context.Background()
	observer := h.Login(user, password, nil).Must(t, http.StatusOK).Text("access_token")
	for _, mode := range []oauth.ResponseMode{oauth.ResponseModeQuery, oauth.ResponseModeFragment} {
		t.Run(string(mode), func(t *testing.T) {
			device := id.DeviceID("MAUTRIX" + string(mode))
			client := oauthSignIn(t, h, mode, user, password, device)
			for range 3 {
				old := client.AccessToken
				if err := client.OAuthRefreshToken(ctx, 24*time.Hour); err != nil {
					t.Fatal(err)
				}
				if client.AccessToken == old {
					t.Fatal("nothing was rotated")
				}
				if _, err := client.Whoami(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if !h.Devices(observer)[device.String()] {
				t.Fatal("the device is not at Synapse")
			}
			if err := client.OAuthRevokeToken(ctx); err != nil {
				t.Fatal(err)
			}
			if h.Devices(observer)[device.String()] {
				t.Error("the device is still at Synapse after the logout")
			}
			// Not by the client: this version tries again for ever while it holds a refresh token.
			h.Call(http.MethodGet, "/v3/account/whoami", client.AccessToken, nil).Must(t, http.StatusUnauthorized)
			if err := client.OAuthRefreshToken(ctx, 24*time.Hour); !errors.Is(err, mautrix.ErrOAuthInvalidGrant) {
				t.Errorf("a refresh after the logout: %v", err)
			}
			if err := client.OAuthRevokeToken(ctx); err != nil {
				t.Errorf("a second revocation: %v", err)
			}
		})
	}
	t.Run("one_that_only_polls_registers_without_redirects", func(t *testing.T) {
		client, err := mautrix.NewClient(h.URL, "", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.OAuthRegisterClient(ctx, &oauth.ClientMetadata{
			ClientName: "gomuks", ClientURI: "https://mautrix.example.com/", ApplicationType: oauth.ApplicationTypeNative,
			GrantTypes: []oauth.GrantType{oauth.GrantTypeDeviceCode, oauth.GrantTypeRefreshToken}, TokenEndpointAuthMethod: oauth.AuthMethodNone,
		}); err != nil {
			t.Fatal(err)
		}
	})
}
