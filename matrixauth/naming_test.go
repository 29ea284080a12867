package matrixauth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// names are the names of a user's devices as the operator sees them.
func (h *house) names(localpart string) map[string]string {
	h.t.Helper()
	names := map[string]string{}
	for _, s := range act(h, ListSessions, SessionsAsked{User: localpart}).Sessions {
		if s.Kind != BrowserKind {
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
	h := newHouse(t, unlimited)
	h.add("alice", "bob")
	s := h.login("alice", object{"device_id": "PHONE", "initial_device_display_name": "Element"})
	h.login("alice", object{"device_id": "a b/c", "initial_device_display_name": "Old client"})
	h.login("bob", object{"device_id": "PHONE", "initial_device_display_name": "Bob's"})
	h.login("bob", object{"device_id": "TABLET", "initial_device_display_name": "Bob's"})
	h.answering(reading(http.StatusOK))
	bob := map[string]string{"PHONE": "Bob's", "TABLET": "Bob's"}
	check := func(t *testing.T, phone, odd string) {
		t.Helper()
		if diff := cmp.Diff(map[string]string{"PHONE": phone, "a b/c": odd}, h.names("alice")); diff != "" {
			t.Errorf("alice's devices (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(bob, h.names("bob")); diff != "" {
			t.Errorf("bob's devices (-want +got):\n%s", diff)
		}
	}
	put := func(path, body string) { h.do(call{method: "PUT", path: path, bearer: s.AccessToken, body: body}) }

	put(v3+"PHONE", `{"display_name":"Alice's phone"}`)
	check(t, "Alice's phone", "Old client")
	put("/_matrix/client/r0/devices/a%20b%2Fc", `{"display_name":"Oddly named"}`)
	check(t, "Alice's phone", "Oddly named")
	h.do(call{method: "PUT", path: "/_matrix/client/unstable/devices/PHONE?access_token=" + s.AccessToken, body: `{"display_name":"Phone 📱"}`})
	check(t, "Phone 📱", "Oddly named")

	t.Run("the homeserver did not do it", func(t *testing.T) {
		for _, code := range []int{201, 400, 401, 403, 404, 429, 500} {
			h.answering(reading(code))
			put(v3+"PHONE", `{"display_name":"Never"}`)
		}
		h.answering(reading(http.StatusOK))
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
			h.do(call{method: method, path: v3 + "PHONE", bearer: s.AccessToken, body: `{"display_name":"Never"}`})
		}
		for _, token := range []string{"", "as_token_of_a_bridge", s.AccessToken + "x"} {
			h.do(call{method: "PUT", path: v3 + "PHONE", bearer: token, body: `{"display_name":"Never"}`})
		}
		check(t, "Phone 📱", "Oddly named")
	})
	t.Run("the account page shows it", func(t *testing.T) {
		if a := h.signedInAs("alice").get("/account/"); !strings.Contains(shown(a), "Phone 📱") {
			t.Errorf("the page says %s", shown(a))
		}
	})
	t.Run("LEG-23 a login on the device keeps it", func(t *testing.T) {
		h.login("alice", object{"device_id": "PHONE", "initial_device_display_name": "Element again"})
		check(t, "Phone 📱", "Oddly named")
	})
	t.Run("a name may be taken away", func(t *testing.T) {
		again := h.login("alice", object{"device_id": "PHONE"})
		h.do(call{method: "PUT", path: v3 + "PHONE", bearer: again.AccessToken, body: `{"display_name":""}`})
		check(t, "", "Oddly named")
	})
	t.Run("a device that is gone starts anew", func(t *testing.T) {
		again := h.login("alice", object{"device_id": "PHONE"})
		h.logout(again.AccessToken).want(t, http.StatusOK, "")
		h.settle()
		h.login("alice", object{"device_id": "PHONE", "initial_device_display_name": "Element"})
		check(t, "Element", "Oddly named")
	})
	t.Run("the database is being closed", func(t *testing.T) {
		again := h.login("alice", object{"device_id": "PHONE"})
		h.answering(func(w http.ResponseWriter, r *http.Request) {
			reading(http.StatusOK)(w, r)
			h.must(h.core.Close())
		})
		a := h.do(call{method: "PUT", path: v3 + "PHONE", bearer: again.AccessToken, body: `{"display_name":"Lost"}`})
		h.open()
		if a.status != http.StatusOK {
			t.Errorf("got %d %s", a.status, a.body)
		}
		if !strings.Contains(h.log.String(), "the new name of a device could not be kept") {
			t.Error("the log does not tell")
		}
		check(t, "Element", "Oddly named")
	})
}
