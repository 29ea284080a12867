package session_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestInternalToken: what we ask the homeserver ourselves bears a token that nobody else can use.
func TestInternalToken(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	alice := model.User{ID: h.UserID("alice"), Localpart: "alice"}
	mint := func() (string, func()) {
		token, drop, err := h.Wiring.Sessions.MintInternal(alice, model.ScopeAPI)
		h.Must(err)
		h.Secret(token)
		return token, drop
	}
	t.Run("the homeserver is told, for seconds", func(t *testing.T) {
		token, drop := mint()
		defer drop()
		d := h.Introspect(token).Document(t)
		if d["active"] != true || d["username"] != "alice" || d["device_id"] != nil || d["expires_in"] != float64(10) {
			t.Fatalf("got %v", d)
		}
		h.Clock.Move(9 * time.Second)
		if d := h.Introspect(token).Document(t); d["expires_in"] != float64(1) {
			t.Errorf("got %v", d)
		}
		h.Clock.Move(time.Second)
		h.WantInactive(token)
	})
	t.Run("nobody is told once it is dropped", func(t *testing.T) {
		token, drop := mint()
		drop()
		h.WantInactive(token)
	})
	t.Run("a locked user is read about", func(t *testing.T) {
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		defer house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
		token, drop := mint()
		defer drop()
		if d := h.Introspect(token).Document(t); d["active"] != true {
			t.Errorf("got %v", d)
		}
	})
	t.Run("nobody else is told", func(t *testing.T) {
		token, drop := mint()
		defer drop()
		id := h.Register("confidential", "a-clients-secret")
		header := http.Header{"Content-Type": house.FormType["Content-Type"], "Authorization": {house.BasicAuth(id, "a-clients-secret")}}
		if a := h.Do(house.Call{Method: "POST", Path: "/oauth2/introspect", Header: header, Body: house.Form("token", token)}); a.Body != house.Inactive {
			t.Errorf("a client is told %d %s", a.Status, a.Body)
		}
		header["Authorization"] = []string{"Bearer another-secret"}
		if a := h.Do(house.Call{Method: "POST", Path: "/oauth2/introspect", Inside: true, Header: header, Body: house.Form("token", token)}); a.Status != http.StatusUnauthorized {
			t.Errorf("a stranger is told %d %s", a.Status, a.Body)
		}
	})
	t.Run("the public gateway refuses it, and our own APIs do not know it", func(t *testing.T) {
		token, drop := mint()
		before := h.Passed.Load()
		for range 2 {
			for _, c := range []house.Call{{Path: house.DevicesPath, Bearer: token}, {Path: house.DevicesPath + "?access_token=" + token}, {Method: "PUT", Path: house.APIPaths[0], Bearer: token, Body: "{}"}} {
				if a := h.Do(c); a.Status != http.StatusUnauthorized || a.Errcode() != "M_UNKNOWN_TOKEN" {
					t.Errorf("%s: got %d %s", c.Path, a.Status, a.Body)
				}
			}
			// The homeserver may remember it a little longer than we do.
			drop()
		}
		if n := h.Passed.Load() - before; n != 0 {
			t.Errorf("%d requests went on", n)
		}
		h.Logout(token).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.Refresh(token).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	})
	t.Run("it is stored nowhere, and their number is bounded", func(t *testing.T) {
		before := h.Rows()
		made := 0
		for range 1000 {
			if token, _, err := h.Wiring.Sessions.MintInternal(alice, model.ScopeAPI); err == nil {
				h.Secret(token)
				made++
			}
		}
		if made > 64 {
			t.Errorf("%d were made", made)
		}
		if h.Rows() != before {
			t.Error("rows have changed")
		}
		h.Clock.Move(11 * time.Second)
		_, drop := mint() // those that are over are not in the way
		drop()
	})
}
