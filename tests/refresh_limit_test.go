package tests

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestRefreshLimit has clients go on refreshing beyond the limit of a session: they keep it, and get on after
// the wait (REF-8).
func TestRefreshLimit(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{Options: oauthOptions + "\n\t\t" + shortLife + "\n\t\trefresh_limit 1 20"})
	password := h.AddUser("alice")
	t.Run("matrix-js-sdk", func(t *testing.T) { runChecks(t, "refresh_limit_flow.mjs", h.URL, password, "matrix-js-sdk-41") })
	t.Run("x_oauth2", func(t *testing.T) {
		config := registered(t, h)
		config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
		token := grant(t, h, config, "alice", password, apiScope, deviceScope("LIMITED"))
		refresh := func() (*oauth2.Token, error) {
			old := *token
			old.Expiry = time.Now().Add(-time.Minute)
			return config.TokenSource(context.Background(), &old).Token()
		}
		refused := false
		for start := time.Now(); !refused; {
			fresh, err := refresh()
			var answer *oauth2.RetrieveError
			switch {
			case err == nil && time.Since(start) < time.Minute:
				token = fresh
			case errors.As(err, &answer):
				refused = true
				if got := answer.Response; got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || answer.ErrorCode != "temporarily_unavailable" {
					t.Fatalf("the refusal is %d %v %s", got.StatusCode, got.Header, answer.Body)
				}
			default:
				t.Fatalf("no refusal: %v", err)
			}
		}
		// The same token works after the wait.
		deadline := time.Now().Add(time.Minute)
		fresh, err := refresh()
		for ; err != nil && time.Now().Before(deadline); fresh, err = refresh() {
			time.Sleep(200 * time.Millisecond)
		}
		if err != nil {
			t.Fatal(err)
		}
		who := h.Call(http.MethodGet, "/v3/account/whoami", fresh.AccessToken, nil).Must(t, http.StatusOK)
		if who.Text("device_id") != "LIMITED" {
			t.Fatalf("whoami: %v", who.Body)
		}
	})
}
