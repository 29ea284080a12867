package matrixauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestImportedNames: ids and names that another server allowed, and that nobody could choose here, go on (SYN-6).
func TestImportedNames(t *testing.T) {
	for name, device := range map[string]string{
		"with_signs": `a/b?c#d%20e "f" <g>&h`, "with_other_letters": "Телефон 📱", "with_controls": "a\tb\nc", "of_a_key": "0123456789012345678901234567890123456789012",
		"as_long_as_may_be": strings.Repeat("d", 255), "with_what_nobody_sees": "a\u200bb", "with_spaces": " D ",
	} {
		t.Run("a_device_"+name, func(t *testing.T) {
			of := phone()
			of.Device = device
			h, _ := newImported(t, of)
			h.BehindSite()
			h.WantActive(syt, device)
			h.List(syt).WantStatus(t, http.StatusOK)
			h.WantSessions("alice", device)
			b := h.SignedInAs("alice")
			b.Submit("/account/sessions/name", "session", onlySession(h), "name", "My phone").WantStatus(t, http.StatusSeeOther)
			h.Settle()
			if u, _ := h.Fake.User("alice"); u.Devices[device] == nil || *u.Devices[device] != "My phone" {
				t.Errorf("the homeserver has %v", u.Devices)
			}
			s := wantPair(h, h.Refresh(syr))
			h.WantActive(s.AccessToken, device)
			b.Submit("/account/sessions/end", "session", onlySession(h)).WantStatus(t, http.StatusSeeOther)
			h.Settle()
			h.WantDevices("alice")
		})
	}
	t.Run("an_app_deletes_a_device", func(t *testing.T) { // LEG-45
		h, _ := newImported(t, phone())
		const odd = "a/b?c %41\tд"
		h.Import(house.Imported{Localpart: "alice", Device: odd, Access: "syt_other"})
		path := "/_matrix/client/v3/devices/" + url.PathEscape(odd)
		ask := func(more house.Object) house.Answer {
			return h.Do(house.Call{Method: http.MethodDelete, Path: path, Bearer: syt, Body: house.JSON(more)})
		}
		a := ask(house.Object{})
		a.WantStatus(t, http.StatusUnauthorized)
		ask(house.Object{"auth": house.Object{"type": "m.login.password", "identifier": house.Object{"type": "m.id.user", "user": "alice"}, "password": house.AlicesPassword,
			"session": a.Document(t)["session"]}}).WantStatus(t, http.StatusOK)
		h.WantInactive("syt_other")
		h.WantActive(syt, "PHONE")
		h.Settle()
		h.WantDevices("alice", "PHONE")
	})
	t.Run("an_operator_finds_them", func(t *testing.T) {
		h := house.New(t)
		const odd = "Weird Name/%41"
		h.Must(h.Seed(odd, house.AlicesPassword))
		of := phone()
		of.Localpart, of.Device = odd, "a\x1b[31mb"
		id := h.Import(of)
		found := house.Act(h, matrixauth.ListSessions, matrixauth.SessionQuery{User: odd}).Sessions
		if len(found) != 1 || found[0].ID != id || found[0].DeviceID != of.Device {
			t.Errorf("found %+v", found)
		}
		for _, typed := range []string{"weird name/%41", "@" + odd + ":" + house.ServerName} {
			if ended := house.Act(h, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: typed, DryRun: true}); ended.Sessions != 1 {
				t.Errorf("%s has %d sessions", typed, ended.Sessions)
			}
		}
		house.Act(h, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: odd})
		h.Settle()
		h.WantDevices(odd)
	})
	t.Run("who_has_capitals_in_the_name_signs_in", func(t *testing.T) { // LEG-16
		h := house.New(t)
		h.Must(h.Seed("Old.Hand", house.AlicesPassword))
		for _, typed := range []string{"Old.Hand", "old.hand", "@OLD.HAND:" + house.ServerName} {
			if s := h.Login(typed, nil); s.UserID != "@Old.Hand:"+house.ServerName {
				t.Errorf("%s is %s", typed, s.UserID)
			}
		}
		h.Must(h.Seed("OLD.HAND", "another horse, another battery"))
		h.Login("Old.Hand", nil)
		h.TryLogin("old.hand", nil).Want(t, http.StatusForbidden, "M_FORBIDDEN")
	})
	for _, localpart := range []string{"Alice", "a+b", "weird=2fname", "ALL/CAPS", "émile", "with space", "%41"} {
		t.Run("an_account_"+localpart, func(t *testing.T) {
			h := house.New(t)
			h.Must(h.Seed(localpart, house.AlicesPassword))
			of := phone()
			of.Localpart = localpart
			h.Import(of)
			h.BehindSite()
			h.List(syt).WantStatus(t, http.StatusOK)
			if got := h.Introspect(syt).Document(t)["username"]; got != localpart {
				t.Errorf("it is of %v", got)
			}
			h.Logout(syt).WantStatus(t, http.StatusOK)
			h.Settle()
			h.WantDevices(localpart)
		})
	}
	t.Run("a_token_without_a_device_administers", func(t *testing.T) { // AMB-6, SCOPE-13
		h, _ := newImported(t, house.Imported{Admin: true, Access: syt})
		h.BehindSite()
		got := h.Introspect(syt).Document(t)
		if _, has := got["device_id"]; has || got["scope"] != "urn:matrix:client:api:* urn:matrix:org.matrix.msc2967.client:api:* urn:synapse:admin:*" {
			t.Errorf("got %v", got)
		}
		h.Do(house.Call{Path: "/_synapse/admin/v2/users/@alice:" + house.ServerName, Bearer: syt}).WantStatus(t, http.StatusOK)
		h.Logout(syt).WantStatus(t, http.StatusOK)
		h.WantInactive(syt)
	})
}
