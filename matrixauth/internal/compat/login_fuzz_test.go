package compat

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// FuzzLoginBody: whatever a client sends as a login is either refused by an error that the wire knows as
// the client's fault, or understood as one account, one password and one device.
func FuzzLoginBody(f *testing.F) {
	for _, body := range []string{
		`{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"x"}`,
		`{"type":"m.login.password","identifier":{"type":"m.id.user","user":"@alice:example.test"},"password":"x","device_id":"PHONE","initial_device_display_name":"p","refresh_token":true}`,
		`{"type":"m.login.password","identifier":{"type":"m.id.thirdparty","medium":"email","address":"A@Example.org"},"password":""}`,
		`{"type":"m.login.password","identifier":{"type":"m.id.phone","country":"GB","phone":"1"},"password":"x"}`,
		`{"type":"m.login.password","user":"alice","password":"x","org.matrix.msc2918.refresh_token":true}`,
		`{"type":"m.login.password","medium":"email","address":"a@example.org","password":"x"}`,
		`{"type":"m.login.application_service"}`,
		`{"type":"m.login.password","identifier":null,"user":"a","password":"\u0000","device_id":"\ud800"}`,
		`{"type":"m.login.password","type":7}`, `{"TYPE":"m.login.password"}`, `[]`, `null`, ``, "\xff", `{"a":` + strings.Repeat("[", 20_000),
	} {
		f.Add([]byte(body))
	}
	users := user.New(user.Config{ServerName: "example.test"})
	f.Fuzz(func(t *testing.T, body []byte) {
		object, err := web.ParseObject(body)
		if err != nil {
			wantClientFault(t, err)
			return
		}
		p, err := parseLogin(object)
		if err != nil {
			wantClientFault(t, err)
			return
		}
		if (p.identifier.Name == "") == (p.identifier.Email == "") {
			t.Errorf("identifier %+v names no one account", p.identifier)
		}
		if len(p.identifier.Name)+len(p.identifier.Email) > bound.Identifier {
			t.Errorf("identifier of %d bytes", len(p.identifier.Name)+len(p.identifier.Email))
		}
		if p.deviceID != "" && model.CheckDeviceID(p.deviceID) != nil {
			t.Errorf("device id %q", p.deviceID)
		}
		for _, text := range []string{p.identifier.Name, p.identifier.Email, p.password, p.deviceID, p.deviceName} {
			if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
				t.Errorf("text %q", text)
			}
		}
		// Spellings that find the same account count together.
		if key := users.Key(p.identifier); p.identifier.Name != "" && key != users.Key(lower(p)) {
			t.Errorf("%q and its lower-cased form are limited apart", p.identifier.Name)
		}
	})
}

func lower(p loginRequest) (id user.Identifier) {
	id = p.identifier
	id.Name = strings.ToLower(id.Name)
	return id
}

func wantClientFault(t *testing.T, err error) {
	t.Helper()
	var e *model.Error
	if !errors.As(err, &e) {
		t.Fatalf("an error without a code: %v", err)
	}
	if status := web.StatusOf(web.MatrixWire, err); status < 400 || status > 499 {
		t.Errorf("%v is answered with %d", err, status)
	}
}
