package registration_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestPromptCreate: a client asks for a new account, the person makes one, and is back at the client, whose code is worth a
// session of an account that the homeserver has (CREATE-1, CREATE-9).
func TestPromptCreate(t *testing.T) {
	for _, prompt := range []string{"create", "create login", "login create consent"} { // CREATE-3
		t.Run(prompt, func(t *testing.T) {
			h := house.New(t, house.Registers("open"))
			h.Register("app", "")
			v := h.Browser()
			v.Open(house.AuthorizePath+"?"+house.Params("app", "prompt", prompt).Encode()).WantPage(t, http.StatusOK, "Create an account")
			if !strings.Contains(v.At.Body, "An App") || !strings.Contains(v.At.Body, "Step 1 of 3") {
				t.Errorf("the page does not say for whom: %s", house.Shown(v.At))
			}
			h.Clock.Move(time.Minute)
			v.Answer("username", "Alice")
			v.Land().WantPage(t, http.StatusOK, "Choose a password")
			v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
			v.Land().WantPage(t, http.StatusOK, "Almost done")
			v.Answer("display_name", "Alice A.")
			v.Land().WantPage(t, http.StatusOK, "Continue to An App?")
			if text := house.Shown(v.At); !strings.Contains(text, "@alice:"+house.ServerName) {
				t.Errorf("the page says %s", text)
			}
			if who, ok := h.Fake.User("alice"); !ok || who.DisplayName == nil || *who.DisplayName != "Alice A." {
				t.Errorf("the homeserver has %+v", who)
			}
		})
	}
}

// TestMetadata: clients are told of prompt=create where it leads to a registration, and only there (CREATE-1).
func TestMetadata(t *testing.T) {
	for mode, want := range map[string]bool{"off": false, "open": true, "token": true} {
		h := house.New(t, house.Registers(mode))
		body := h.Do(house.Call{Path: "/.well-known/openid-configuration"}).Body
		if got := strings.Contains(body, `"create"`); got != want {
			t.Errorf("%s: %v", mode, got)
		}
	}
}
