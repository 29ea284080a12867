package tests

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
	"maunium.net/go/mautrix/oauth"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestLegacyAccount has clients that know no OAuth change what is their user's: they end devices, change the password
// and leave, each confirmed by the password (LEG-45, LEG-46, LEG-48). The devices are gone at Synapse, and who has
// nothing to do with it keeps theirs, and their keys.
func TestLegacyAccount(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{Options: oauthOptions})
			h.AddUser("root1", "--admin")
			a := &legacyAccount{Homeserver: h, t: t, admin: strings.TrimSpace(h.MustCommand("", "token", "issue", "root1", "--admin"))}
			bob := signIn(t, h.URL, "bob", h.AddUser("bob"), "BOBPHONE", filepath.Join(t.TempDir(), "bob.db"))
			before := a.keysOf(bob)
			for _, person := range []struct {
				name string
				run  func(a *legacyAccount, bob *cryptoClient)
			}{{"mautrix_go", mautrixAccount}, {"matrix_nio", nioAccount}, {"matrix_js_sdk", jsAccount}, {"oauth", oauthAccount}} {
				t.Run(person.name, func(t *testing.T) {
					person.run(&legacyAccount{Homeserver: h, t: t, admin: a.admin}, bob)
				})
				if after := a.keysOf(bob); after != before {
					t.Fatalf("after %s the devices of bob are\n%s\nand were\n%s", person.name, after, before)
				}
			}
			if version == rig.Newest {
				t.Run("available", func(t *testing.T) { nameAvailable(t, h, bob.Client) })
				t.Run("off", func(t *testing.T) { legacyAccountOff(t, h) })
			}
		})
	}
}

// legacyAccount is what the people of the test have in common.
type legacyAccount struct {
	*rig.Homeserver
	t     *testing.T
	admin string
}

// keysOf are a user's devices with their keys, as Synapse tells those who write to them.
func (a *legacyAccount) keysOf(c *cryptoClient) string {
	a.t.Helper()
	answer := a.Call(http.MethodPost, "/v3/keys/query", c.AccessToken, map[string]any{"device_keys": map[string]any{string(c.UserID): []string{}}}).Must(a.t, http.StatusOK)
	text, err := json.Marshal(answer.Body["device_keys"])
	if err != nil {
		a.t.Fatal(err)
	}
	if !strings.Contains(string(text), string(c.DeviceID)) {
		a.t.Fatalf("the keys of %s are %s", c.UserID, text)
	}
	return string(text)
}

// on logs somebody in on devices, and gives the tokens.
func (a *legacyAccount) on(user, password string, devices ...string) map[string]string {
	a.t.Helper()
	tokens := map[string]string{}
	for _, device := range devices {
		token := a.Login(user, password, map[string]any{"device_id": device}).Must(a.t, http.StatusOK).Text("access_token")
		a.wantIn(token)
		tokens[device] = token
	}
	return tokens
}

func (a *legacyAccount) wantIn(token string) {
	a.t.Helper()
	a.Call(http.MethodGet, "/v3/account/whoami", token, nil).Must(a.t, http.StatusOK)
}

// wantOut holds that a token has ended, with its session, whose keys a client drops.
func (a *legacyAccount) wantOut(token string) {
	a.t.Helper()
	answer := a.Call(http.MethodGet, "/v3/account/whoami", token, nil).Must(a.t, http.StatusUnauthorized)
	if answer.Text("errcode") != "M_UNKNOWN_TOKEN" || answer.Body["soft_logout"] == true {
		a.t.Fatalf("got %v", answer.Body)
	}
}

// wantDevices waits until Synapse has these devices of whoever has a token, and no other.
func (a *legacyAccount) wantDevices(token string, want ...string) {
	a.t.Helper()
	slices.Sort(want)
	rig.Await(a.t, fmt.Sprintf("the devices %v at Synapse", want), func() error {
		if got := slices.Sorted(maps.Keys(a.Devices(token))); !slices.Equal(got, want) {
			return fmt.Errorf("they are %v", got)
		}
		return nil
	})
}

// wantPassword holds that one password works no more, and the other does.
func (a *legacyAccount) wantPassword(user, old, now string) {
	a.t.Helper()
	if code := a.Login(user, old, nil).Must(a.t, http.StatusForbidden).Text("errcode"); code != "M_FORBIDDEN" {
		a.t.Fatalf("the old password: %s", code)
	}
	token := a.Login(user, now, nil).Must(a.t, http.StatusOK).Text("access_token")
	a.Call(http.MethodPost, "/v3/logout", token, nil).Must(a.t, http.StatusOK)
}

// wantDeactivated holds that an account has ended here, and waits until it has at Synapse.
func (a *legacyAccount) wantDeactivated(user, password string, erased bool) {
	a.t.Helper()
	if code := a.Login(user, password, nil).Must(a.t, http.StatusForbidden).Text("errcode"); code != "M_USER_DEACTIVATED" {
		a.t.Fatalf("the login: %s", code)
	}
	rig.Await(a.t, "the deactivation at Synapse", func() error {
		request, err := http.NewRequest(http.MethodGet, a.Synapse.URL+"/_synapse/admin/v2/users/@"+user+":"+rig.ServerName, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+a.admin)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		var account struct{ Deactivated, Erased bool }
		if err := json.NewDecoder(response.Body).Decode(&account); err != nil {
			return err
		}
		if !account.Deactivated || account.Erased != erased {
			return fmt.Errorf("%s: %+v", response.Status, account)
		}
		return nil
	})
}

// deed is what mautrix-go asks for, which its user has to confirm.
type deed struct {
	method string
	path   []any
	body   map[string]any
}

func deleteOf(device string) deed {
	return deed{http.MethodDelete, []any{"v3", "devices", device}, nil}
}

func postOf(body map[string]any, path ...any) deed {
	return deed{http.MethodPost, append([]any{"v3"}, path...), body}
}

// send has a client ask for a deed by its connection, without a proof if it is nil.
func (d deed) send(c *mautrix.Client, auth, into any) ([]byte, error) {
	body := map[string]any{}
	maps.Copy(body, d.body)
	if auth != nil {
		body["auth"] = auth
	}
	return c.MakeRequest(context.Background(), d.method, c.BuildClientURL(d.path...), body, into)
}

// asks has a client ask for a deed, which it is told to confirm; with a proof if that must not count.
func (d deed) asks(t *testing.T, c *mautrix.Client, auth any) (asked mautrix.RespUserInteractive) {
	t.Helper()
	text, err := d.send(c, auth, nil)
	if refused := (mautrix.HTTPError{}); !errors.As(err, &refused) || !refused.IsStatus(http.StatusUnauthorized) {
		t.Fatalf("%s %v is not to be confirmed: %v", d.method, d.path, err)
	}
	if err := json.Unmarshal(text, &asked); err != nil {
		t.Fatal(err)
	}
	if !asked.HasSingleStageFlow(mautrix.AuthTypePassword) || asked.Session == "" || len(asked.Completed) != 0 || (asked.ErrCode == "") != (auth == nil) {
		t.Fatalf("%s %v asks for %+v", d.method, d.path, asked)
	}
	return asked
}

// confirmed has a client ask for a deed and confirm it by a password.
func (d deed) confirmed(t *testing.T, c *mautrix.Client, password string, into any) error {
	t.Helper()
	_, err := d.send(c, proofOf(c, d.asks(t, c, nil).Session, password), into)
	return err
}

// proofOf is a proof as mautrix-go knows it: it has the user in a member of before identifiers.
func proofOf(c *mautrix.Client, session, password string) any {
	return mautrix.ReqUIAuthLogin{BaseAuthData: mautrix.BaseAuthData{Type: mautrix.AuthTypePassword, Session: session}, User: string(c.UserID), Password: password}
}

// mautrixAccount is alice on mautrix-go, who talks with bob in an encrypted room all the while.
func mautrixAccount(a *legacyAccount, bob *cryptoClient) {
	password := a.AddUser("alice")
	others := a.on("alice", password, "OLD", "TAB", "CAR", "TV")
	alice := signIn(a.t, a.URL, "alice", password, "ALICEPHONE", filepath.Join(a.t.TempDir(), "alice.db"))
	room := meet(a.t, alice, bob)
	mautrixDevices(a, alice.Client, password, others)
	bob.say(room, "after the devices")
	alice.wantHeard("after the devices")
	next := mautrixPassword(a, alice.Client, password, others["TV"])
	bob.say(room, "after the password")
	alice.wantHeard("after the password")
	alice.say(room, "still here")
	bob.wantHeard("still here")

	var left struct {
		Unbound string `json:"id_server_unbind_result"`
	}
	if err := postOf(nil, "account", "deactivate").confirmed(a.t, alice.Client, next, &left); err != nil {
		a.t.Fatal(err)
	}
	if left.Unbound != "no-support" && left.Unbound != "success" {
		a.t.Errorf("the answer has %+v", left)
	}
	a.wantOut(alice.AccessToken)
	a.wantDeactivated("alice", next, false)
}

// mautrixDevices deletes the devices of alice one by one and several at once, but for the TV.
func mautrixDevices(a *legacyAccount, alice *mautrix.Client, password string, others map[string]string) {
	t, ctx := a.t, context.Background()
	old := deleteOf("OLD")
	if asked := old.asks(t, alice, proofOf(alice, old.asks(t, alice, nil).Session, "wrong")); asked.ErrCode != "M_FORBIDDEN" {
		t.Errorf("a wrong password: %+v", asked)
	}
	// What was asked for one device confirms nothing for another (LEG-46).
	deleteOf("TAB").asks(t, alice, proofOf(alice, old.asks(t, alice, nil).Session, password))
	a.wantIn(others["OLD"])
	a.wantIn(others["TAB"])
	if err := alice.DeleteDevice(ctx, "OLD", &mautrix.ReqDeleteDevice[any]{Auth: proofOf(alice, old.asks(t, alice, nil).Session, password)}); err != nil {
		t.Fatal(err)
	}
	a.wantOut(others["OLD"])
	a.wantDevices(others["TAB"], "TAB", "CAR", "TV", "ALICEPHONE")
	if err := alice.SetDeviceInfo(ctx, "TAB", &mautrix.ReqDeviceInfo{DisplayName: "a tab"}); err != nil { // Synapse's own
		t.Error(err)
	}
	if device, err := alice.GetDeviceInfo(ctx, "TAB"); err != nil || device.DisplayName != "a tab" {
		t.Errorf("%+v, %v", device, err)
	}
	several := []id.DeviceID{"TAB", "CAR", "BOBPHONE"}
	asked := postOf(map[string]any{"devices": several}, "delete_devices").asks(t, alice, nil)
	if err := alice.DeleteDevices(ctx, &mautrix.ReqDeleteDevices[any]{Devices: several, Auth: proofOf(alice, asked.Session, password)}); err != nil {
		t.Fatal(err)
	}
	a.wantOut(others["TAB"])
	a.wantOut(others["CAR"])
	a.wantDevices(others["TV"], "TV", "ALICEPHONE")
}

// mautrixPassword changes the password of alice, and gives the new one. The TV is signed out.
func mautrixPassword(a *legacyAccount, alice *mautrix.Client, password, tv string) (next string) {
	t := a.t
	capabilities, err := alice.Capabilities(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if c := capabilities; c.ChangePassword == nil || !c.ChangePassword.Enabled || c.RoomVersions == nil || c.RoomVersions.Default == "" {
		t.Errorf("the capabilities are %+v", capabilities)
	}
	weak := postOf(map[string]any{"new_password": "password"}, "account", "password").confirmed(t, alice, password, nil)
	if refused := (mautrix.HTTPError{}); !errors.As(weak, &refused) || !refused.IsStatus(http.StatusBadRequest) || refused.RespError == nil || refused.RespError.ErrCode != "M_WEAK_PASSWORD" {
		t.Errorf("a weak password: %v", weak)
	}
	a.wantIn(tv)
	next = rand.Text()
	if err := postOf(map[string]any{"new_password": next}, "account", "password").confirmed(t, alice, password, nil); err != nil {
		t.Fatal(err)
	}
	a.wantOut(tv) // as the specification has it, unless the client says otherwise (LEG-48)
	a.wantDevices(alice.AccessToken, "ALICEPHONE")
	a.wantPassword("alice", password, next)
	return next
}

// nioAccount is nora on matrix-nio.
func nioAccount(a *legacyAccount, _ *cryptoClient) {
	t, password := a.t, a.AddUser("nora")
	others := a.on("nora", password, "ONE", "TWO", "THREE")
	nora := driveNio(t, a.Homeserver)
	nora.do("signIn", "nora", password, "NORABOT")
	key := asked[string](nora, "ownKey")

	nora.do("deleteDevices", []string{"ONE", "BOBPHONE"}, password)
	a.wantOut(others["ONE"])
	if _, failure := nora.try("deleteAtOnce", []string{"TWO"}, "wrong", struct{}{}); failure == "" {
		t.Error("a wrong password deleted a device")
	}
	a.wantIn(others["TWO"])
	nora.do("deleteAtOnce", []string{"TWO"}, password, struct{}{})
	a.wantOut(others["TWO"])
	a.wantDevices(others["THREE"], "THREE", "NORABOT")

	next, done := rand.Text(), []any{401.0, 200.0, ""}
	if got := asked[[]any](nora, "confirm", "/account/password", map[string]any{"new_password": next, "logout_devices": false}, password); !slices.Equal(got, done) {
		t.Fatalf("the password is answered %v", got)
	}
	a.wantIn(others["THREE"])
	a.wantDevices(others["THREE"], "THREE", "NORABOT")
	a.wantPassword("nora", password, next)
	if device, again := asked[string](nora, "whoami"), asked[string](nora, "ownKey"); device != "NORABOT" || again != key {
		t.Errorf("it is on %s with the key %s, and had %s", device, again, key)
	}

	if got := asked[[]any](nora, "confirm", "/account/deactivate", map[string]any{"erase": true}, password); got[1] != 401.0 || got[2] != "M_FORBIDDEN" {
		t.Fatalf("by the old password it is answered %v", got)
	}
	if got := asked[[]any](nora, "confirm", "/account/deactivate", map[string]any{"erase": true}, next); !slices.Equal(got, done) {
		t.Fatalf("the deactivation is answered %v", got)
	}
	a.wantOut(others["THREE"])
	a.wantDeactivated("nora", next, true)
}

// jsAccount is jo on matrix-js-sdk, as in an Element of before OAuth.
func jsAccount(a *legacyAccount, _ *cryptoClient) {
	t, password := a.t, a.AddUser("jo")
	others := a.on("jo", password, "ONE", "TWO", "THREE", "FOUR")
	jo := drive(t, "matrix-js-sdk", rig.Node(t), rig.Script(t, "account_drive.mjs"), a.URL)
	jo.do("signIn", "jo", password, "JOTAB")
	if !asked[bool](jo, "offersPassword") {
		t.Error("it offers no change of the password")
	}
	want := func(name string, told []string, args ...any) {
		t.Helper()
		if got := asked[[]string](jo, name, args...); !slices.Equal(got, told) {
			t.Errorf("%s: it was told %q, want %q", name, got, told)
		}
	}
	once := []string{"m.login.password"}
	want("deleteDevice", append(once, "m.login.password M_FORBIDDEN"), "ONE", "wrong", password)
	a.wantOut(others["ONE"])
	want("deleteDevices", once, []string{"TWO", "THREE"}, password)
	a.wantOut(others["TWO"])
	a.wantOut(others["THREE"])
	a.wantDevices(others["FOUR"], "FOUR", "JOTAB")

	next := rand.Text()
	want("setPassword", once, next, nil, password)
	a.wantOut(others["FOUR"])
	a.wantPassword("jo", password, next)
	if device := asked[string](jo, "whoami"); device != "JOTAB" {
		t.Errorf("it is on %s", device)
	}
	want("deactivate", once, false, next)
	if _, failure := jo.try("whoami"); !strings.Contains(failure, "M_UNKNOWN_TOKEN") {
		t.Errorf("after the deactivation: %s", failure)
	}
	a.wantDeactivated("jo", next, false)
}

// oauthAccount is olga, who has a client on OAuth, which is offered none of it, and one that knows none.
func oauthAccount(a *legacyAccount, _ *cryptoClient) {
	t, ctx, password := a.t, context.Background(), a.AddUser("olga")
	client := oauthSignIn(t, a.Homeserver, oauth.ResponseModeQuery, "olga", password, "OLGAPHONE")
	tokens := a.on("olga", password, "OLD", "OLDER")
	capabilities, err := client.Capabilities(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if capabilities.ChangePassword.IsEnabled() {
		t.Error("a client on OAuth is offered to change the password")
	}
	confirm := map[string]any{"type": "m.login.password", "user": "olga", "password": password}
	for _, try := range []struct {
		method, path string
		body         map[string]any
	}{
		{http.MethodPost, "/v3/account/password", map[string]any{"new_password": rand.Text()}},
		{http.MethodPost, "/v3/account/deactivate", map[string]any{}},
		{http.MethodPost, "/v3/delete_devices", map[string]any{"devices": []string{"OLD"}}},
		{http.MethodDelete, "/v3/devices/OLD", map[string]any{}},
	} {
		try.body["auth"] = confirm
		if code := a.Call(try.method, try.path, client.AccessToken, try.body).Must(t, http.StatusNotFound).Text("errcode"); code != "M_UNRECOGNIZED" {
			t.Errorf("%s %s: %s", try.method, try.path, code)
		}
	}
	a.wantDevices(tokens["OLD"], "OLD", "OLDER", "OLGAPHONE")

	// Nor does anything send a code by mail for who asks by the legacy API (LEG-47).
	for _, path := range []string{"/v3/account/password/email/requestToken", "/v3/account/3pid/email/requestToken", "/v3/register/email/requestToken"} {
		wantUnrecognized(t, a.Homeserver, http.MethodPost, path, tokens["OLD"])
		wantUnrecognized(t, a.Homeserver, http.MethodPost, path, "")
	}

	a.MustCommand("", "user", "lock", "olga")
	locked := a.Call(http.MethodPost, "/v3/account/deactivate", tokens["OLD"], map[string]any{"auth": confirm}).Must(t, http.StatusUnauthorized)
	if locked.Text("errcode") != "M_USER_LOCKED" || locked.Body["soft_logout"] != true {
		t.Errorf("while locked: %v", locked.Body)
	}
	a.MustCommand("", "user", "unlock", "olga")

	// The other way round a device is the person's, whatever its client knows.
	a.Call(http.MethodPost, "/v3/delete_devices", tokens["OLD"], map[string]any{"devices": []string{"OLGAPHONE", "OLDER"}, "auth": confirm}).Must(t, http.StatusOK)
	a.wantOut(client.AccessToken)
	a.wantOut(tokens["OLDER"])
	a.wantDevices(tokens["OLD"], "OLD")
}

// wantUnrecognized holds that nobody answers a path.
func wantUnrecognized(t *testing.T, h *rig.Homeserver, method, path, token string) {
	t.Helper()
	if code := h.Call(method, path, token, map[string]any{}).Must(t, http.StatusNotFound).Text("errcode"); code != "M_UNRECOGNIZED" {
		t.Errorf("%s %s: %s", method, path, code)
	}
}

// nameAvailable asks whether a name is free, as clients do that offer to register (LEG-45).
func nameAvailable(t *testing.T, h *rig.Homeserver, client *mautrix.Client) {
	changeOptions(t, h.Caddy, oauthOptions+"\n"+registration("open", "email off"))
	ask := func(name, code string) {
		t.Helper()
		_, err := client.RegisterAvailable(context.Background(), name)
		refused := mautrix.HTTPError{}
		switch got := ""; {
		case errors.As(err, &refused) && refused.RespError != nil:
			got = refused.RespError.ErrCode
			fallthrough
		case err == nil:
			if got != code {
				t.Errorf("%s: %q, want %q", name, got, code)
			}
		default:
			t.Error(err)
		}
	}
	ask("nobody", "")
	ask("bob", "M_USER_IN_USE")
	ask("no body", "M_INVALID_USERNAME")
	ask("bridge_two", "M_USER_IN_USE") // a bridge's own names look taken, as at our pages
	changeOptions(t, h.Caddy, oauthOptions)
	ask("nobody", "M_FORBIDDEN")
}

// legacyAccountOff has the owner turn it off: all is as Synapse leaves it.
func legacyAccountOff(t *testing.T, h *rig.Homeserver) {
	changeOptions(t, h.Caddy, oauthOptions+"\nlegacy_account off")
	password := h.AddUser("olaf")
	token := h.Login("olaf", password, map[string]any{"device_id": "OLD"}).Must(t, http.StatusOK).Text("access_token")
	for _, asked := range []string{
		"POST /v3/account/password", "POST /v3/account/deactivate", "POST /v3/delete_devices", "DELETE /v3/devices/OLD",
	} {
		method, path, _ := strings.Cut(asked, " ")
		wantUnrecognized(t, h, method, path, token)
	}
	answer := h.Call(http.MethodGet, "/v3/capabilities", token, nil).Must(t, http.StatusOK)
	capabilities, _ := answer.Body["capabilities"].(map[string]any)
	if password, _ := capabilities["m.change_password"].(map[string]any); password["enabled"] != false {
		t.Errorf("the capabilities are %v", answer.Body)
	}
}
