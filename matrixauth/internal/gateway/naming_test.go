package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/google/go-cmp/cmp"
)

// names are the names of a user's devices as the operator sees them.
func names(h *house.House, localpart string) map[string]string {
	h.T.Helper()
	names := map[string]string{}
	for _, s := range house.Act(h, matrixauth.ListSessions, matrixauth.SessionQuery{User: localpart}).Sessions {
		if s.Kind != matrixauth.BrowserKind {
			names[s.DeviceID] = s.DeviceName
		}
	}
	return names
}

// reading answers as the homeserver does once it has read the body.
func reading(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil && !errors.Is(err, context.Canceled) {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/json")
		if code != http.StatusOK {
			w.WriteHeader(code)
		}
		writeAll(w, "{}")
	}
}

// TestDeviceNames: a client names its devices at the homeserver, and people find them by these names here.
func TestDeviceNames(t *testing.T) {
	const v3 = "/_matrix/client/v3/devices/"
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	s := h.Login("alice", house.Object{"device_id": "PHONE", "initial_device_display_name": "Element"})
	h.Login("alice", house.Object{"device_id": "a b/c", "initial_device_display_name": "Old client"})
	h.Login("bob", house.Object{"device_id": "PHONE", "initial_device_display_name": "Bob's"})
	h.Login("bob", house.Object{"device_id": "TABLET", "initial_device_display_name": "Bob's"})
	h.Answering(reading(http.StatusOK))
	bob := map[string]string{"PHONE": "Bob's", "TABLET": "Bob's"}
	check := func(t *testing.T, phone, odd string) {
		t.Helper()
		if diff := cmp.Diff(map[string]string{"PHONE": phone, "a b/c": odd}, names(h, "alice")); diff != "" {
			t.Errorf("alice's devices (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(bob, names(h, "bob")); diff != "" {
			t.Errorf("bob's devices (-want +got):\n%s", diff)
		}
	}
	put := func(path, body string) {
		h.Do(house.Call{Method: "PUT", Path: path, Bearer: s.AccessToken, Body: body})
	}

	put(v3+"PHONE", `{"display_name":"Alice's phone"}`)
	check(t, "Alice's phone", "Old client")
	put("/_matrix/client/r0/devices/a%20b%2Fc", `{"display_name":"Oddly named"}`)
	check(t, "Alice's phone", "Oddly named")
	h.Do(house.Call{Method: "PUT", Path: "/_matrix/client/unstable/devices/PHONE?access_token=" + s.AccessToken, Body: `{"display_name":"Phone 📱"}`})
	check(t, "Phone 📱", "Oddly named")

	t.Run("the homeserver did not do it", func(t *testing.T) {
		for _, code := range []int{201, 400, 401, 403, 404, 429, 500} {
			h.Answering(reading(code))
			put(v3+"PHONE", `{"display_name":"Never"}`)
		}
		h.Answering(reading(http.StatusOK))
		check(t, "Phone 📱", "Oddly named")
	})
	t.Run("it names nothing of ours", func(t *testing.T) {
		put(v3+"TABLET", `{"display_name":"Never"}`) // bob's
		put(v3+"NOWHERE", `{"display_name":"Never"}`)
		put(v3+"PHONE/more", `{"display_name":"Never"}`)
		put(v3, `{"display_name":"Never"}`)
		put("/_matrix/client/v3/rooms/x/devices/PHONE", `{"display_name":"Never"}`)
		for _, body := range []string{"", "{}", `{"display_name":null}`, `{"display_name":1}`, `{"Display_Name":"Never"}`, `["Never"]`, `{"display_name":"Never"`,
			`{"display_name":"Never","x":"` + strings.Repeat("x", 1<<15) + `"}`} {
			put(v3+"PHONE", body)
		}
		for _, method := range []string{"GET", "POST", "DELETE"} {
			h.Do(house.Call{Method: method, Path: v3 + "PHONE", Bearer: s.AccessToken, Body: `{"display_name":"Never"}`})
		}
		for _, token := range []string{"", "as_token_of_a_bridge", s.AccessToken + "x"} {
			h.Do(house.Call{Method: "PUT", Path: v3 + "PHONE", Bearer: token, Body: `{"display_name":"Never"}`})
		}
		check(t, "Phone 📱", "Oddly named")
	})
	t.Run("the account page shows it", func(t *testing.T) {
		if a := h.SignedInAs("alice").Get("/account/"); !strings.Contains(house.Shown(a), "Phone 📱") {
			t.Errorf("the page says %s", house.Shown(a))
		}
	})
	t.Run("LEG-23 a login on the device keeps it", func(t *testing.T) {
		h.Login("alice", house.Object{"device_id": "PHONE", "initial_device_display_name": "Element again"})
		check(t, "Phone 📱", "Oddly named")
	})
	t.Run("a name may be taken away", func(t *testing.T) {
		again := h.Login("alice", house.Object{"device_id": "PHONE"})
		h.Do(house.Call{Method: "PUT", Path: v3 + "PHONE", Bearer: again.AccessToken, Body: `{"display_name":""}`})
		check(t, "", "Oddly named")
	})
	t.Run("a device that is gone starts anew", func(t *testing.T) {
		again := h.Login("alice", house.Object{"device_id": "PHONE"})
		h.Logout(again.AccessToken).Want(t, http.StatusOK, "")
		h.Settle()
		h.Login("alice", house.Object{"device_id": "PHONE", "initial_device_display_name": "Element"})
		check(t, "Element", "Oddly named")
	})
	t.Run("the database is being closed", func(t *testing.T) {
		again := h.Login("alice", house.Object{"device_id": "PHONE"})
		h.Answering(func(w http.ResponseWriter, r *http.Request) {
			reading(http.StatusOK)(w, r)
			h.Must(h.Core.Close())
		})
		a := h.Do(house.Call{Method: "PUT", Path: v3 + "PHONE", Bearer: again.AccessToken, Body: `{"display_name":"Lost"}`})
		h.Open()
		if a.Status != http.StatusOK {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
		if !strings.Contains(h.Log.String(), "the new name of a device could not be kept") {
			t.Error("the log does not tell")
		}
		check(t, "Element", "Oddly named")
	})
}
