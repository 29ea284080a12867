package compat_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestAvailable: GET register/available tells whether a name is free where everybody may register, and nothing where not
// (LEG-45, ENUM-2).
func TestAvailable(t *testing.T) {
	ask := func(h *house.House, name string) house.Answer {
		h.T.Helper()
		return h.Do(house.Call{Path: "/_matrix/client/v3/register/available?username=" + url.QueryEscape(name)})
	}
	t.Run("open", func(t *testing.T) {
		h := house.New(t, house.Registers("open", func(r *matrixauth.Registration) { r.Names.Banned = []string{"root"} }))
		h.Add("alice")
		for name, want := range map[string]struct {
			status  int
			errcode string
		}{
			"new": {200, ""}, "New": {200, ""}, "alice": {400, "M_USER_IN_USE"}, "ALICE": {400, "M_USER_IN_USE"}, "root": {400, "M_INVALID_USERNAME"},
			"a b": {400, "M_INVALID_USERNAME"}, "": {400, "M_MISSING_PARAM"}, "@new:elsewhere.test": {400, "M_INVALID_USERNAME"},
		} {
			a := ask(h, name)
			a.Want(t, want.status, want.errcode)
			if want.status == http.StatusOK && a.Body != `{"available":true}` {
				t.Errorf("%s: %s", name, a.Body)
			}
		}
	})
	t.Run("it counts with the names that people ask for on the page", func(t *testing.T) {
		h := house.New(t, house.Registers("open"))
		for range bound.NamesPerNetwork.Burst {
			ask(h, "new").Want(t, http.StatusOK, "")
		}
		ask(h, "new").Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
	})
	t.Run("the homeserver is away", func(t *testing.T) {
		h := house.New(t, house.Registers("open"))
		h.Fake.Stop()
		ask(h, "new").Want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
	})
	for _, mode := range []string{"off", "token"} {
		t.Run(mode, func(t *testing.T) {
			h := house.New(t, house.Registers(mode))
			h.Add("alice")
			for _, name := range []string{"new", "alice"} {
				ask(h, name).Want(t, http.StatusForbidden, "M_FORBIDDEN")
			}
		})
	}
}
