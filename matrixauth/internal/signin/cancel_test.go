package signin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestCancelAtSignIn: who is asked to sign in has a way out too, and the client hears of it (AUTHZ-20).
func TestCancelAtSignIn(t *testing.T) {
	h := house.WithApp(t)
	for language, word := range map[string]string{"en": "Cancel", "de": "Abbrechen"} {
		v := h.Browser()
		v.Get(house.AuthorizePath + "?" + house.Params("app", "ui_locales", language).Encode())
		v.Follow()
		v.Follow().Shows(t, http.StatusOK, `value="cancel">`+word+"</button>")
		id := house.Hidden(v.At.Body, "request")
		got := h.Browser().Response(v.Post(house.ConsentPath, "request", id, "answer", "cancel"))
		if got.Get("error") != "access_denied" || got.Get("iss") != house.Issuer || got.Get("state") == "" {
			t.Errorf("%v", got)
		}
		// Who comes back is sent on once more.
		v.Get("/account/login"+house.Query("request", id)).WantTo(t, house.ConsentPath+house.Query("request", id))
		if again := h.Browser().Response(v.Follow()); again.Encode() != got.Encode() {
			t.Errorf("%v", again)
		}
	}
	v := h.Browser()
	if v.Get("/account/login"); strings.Contains(v.At.Body, "cancel") {
		t.Error("a sign-in for nobody can be cancelled")
	}
}
