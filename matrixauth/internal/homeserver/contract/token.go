package contract

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
)

// The scopes of a token, as we give them in an introspection.
const (
	apiScope   = "urn:matrix:client:api:* urn:matrix:org.matrix.msc2967.client:api:*"
	adminScope = apiScope + " urn:synapse:admin:*"
)

// tokens are the cases of calls that bear an access token, and of what the administration API does.
func (r *run) tokens(t *testing.T) {
	for name, f := range map[string]func(*testing.T, *run){
		"a_token_without_a_device_lists_devices":       listsDevices,
		"a_token_that_is_not_active_is_refused":        inactiveToken,
		"a_token_whose_device_is_gone_is_refused":      goneDevice,
		"a_user_who_is_not_there_has_no_list":          noUserNoList,
		"an_administrator_sees_devices":                adminDevices,
		"an_administrator_locks_and_it_has_no_effect":  adminLock,
		"an_administrator_deactivates":                 adminDeactivates,
		"administration_needs_its_scope":               needsAdminScope,
		"a_user_with_a_slash_in_the_name_can_be_asked": slashInName,
	} {
		t.Run(name, func(t *testing.T) { f(t, r) })
	}
}

// token grants a token of a user; an empty device is none.
func (r *run) token(localpart, scope, device string) string {
	answer := map[string]any{
		"active": true, "scope": scope, "username": localpart, "client_id": "c", "token_type": "access_token", "sub": "s", "iat": 1, "expires_in": 60,
	}
	if device != "" {
		answer["device_id"] = device
	}
	return r.Introspector.grant("token-"+rand.Text(), answer)
}

func ids(devices []homeserver.Device) []string {
	list := []string{}
	for _, d := range devices {
		list = append(list, d.ID)
	}
	slices.Sort(list)
	return list
}

// wantDevices compares both lists of a user's devices.
func (r *run) wantDevices(t *testing.T, localpart string, want ...string) {
	t.Helper()
	own, err := r.client.Devices(t.Context(), r.token(localpart, apiScope, ""))
	must(t, err)
	seen, err := r.client.AdminDevices(t.Context(), r.token(localpart, adminScope, ""), r.matrixID(localpart))
	must(t, err)
	if !slices.Equal(ids(own), want) || !slices.Equal(ids(seen), want) {
		t.Errorf("the devices are %q, and %q for an administrator; want %q", ids(own), ids(seen), want)
	}
}

func (r *run) matrixID(localpart string) string { return "@" + localpart + ":" + r.ServerName }

func listsDevices(t *testing.T, r *run) {
	name := r.name("lister")
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	r.wantDevices(t, name)
	r.upsert(t, name, "ONE", "The first", true)
	r.upsert(t, name, "TWO", "", true)
	r.wantDevices(t, name, "ONE", "TWO")
	list, err := r.client.Devices(t.Context(), r.token(name, apiScope, ""))
	must(t, err)
	for _, d := range list {
		if want := map[string]string{"ONE": "The first"}[d.ID]; d.DisplayName != want || d.Dehydrated {
			t.Errorf("got %+v", d)
		}
	}
}

func inactiveToken(t *testing.T, r *run) {
	name := r.name("inactive")
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	_, err := r.client.Devices(t.Context(), "nobodys-token")
	wantReason(t, err, homeserver.RefusedToken, "M_UNKNOWN_TOKEN")
	_, err = r.client.Devices(t.Context(), r.token(name, "openid", ""))
	wantReason(t, err, homeserver.RefusedToken, "M_UNKNOWN_TOKEN")
	_, err = r.client.AdminUser(t.Context(), "nobodys-token", r.matrixID(name))
	wantReason(t, err, homeserver.RefusedToken, "M_UNKNOWN_TOKEN")
}

// goneDevice is what a client meets whose device an administrator has deleted.
func goneDevice(t *testing.T, r *run) {
	name := r.name("bereft")
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	r.upsert(t, name, "DEV", "", true)
	token := r.token(name, apiScope, "DEV")
	_, err := r.client.Devices(t.Context(), token)
	must(t, err)
	r.admin(t, http.MethodDelete, name, "/devices/DEV", "")
	_, err = r.client.Devices(t.Context(), token)
	wantReason(t, err, homeserver.RefusedToken, "M_UNKNOWN_TOKEN")
	r.wantDevices(t, name)
}

// admin makes a call of the administration API about a user.
func (r *run) admin(t *testing.T, method, localpart, more, body string) {
	t.Helper()
	path := "/_synapse/admin/v2/users/" + url.PathEscape(r.matrixID(localpart)) + more
	if got := r.exchange(t, method, path, body, "Bearer "+r.token(localpart, adminScope, "")); got.status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
	}
}

func noUserNoList(t *testing.T, r *run) {
	name := r.name("nobody-lists")
	_, err := r.client.Devices(t.Context(), r.token(name, apiScope, ""))
	wantReason(t, err, homeserver.Down, "M_FORBIDDEN")
	other := r.name("somebody-lists")
	r.provision(t, homeserver.ProvisionUser{Localpart: other})
	_, err = r.client.AdminUser(t.Context(), r.token(other, adminScope, ""), r.matrixID(name))
	wantReason(t, err, homeserver.UnknownUser, "M_NOT_FOUND")
	_, err = r.client.AdminDevices(t.Context(), r.token(other, adminScope, ""), r.matrixID(name))
	wantReason(t, err, homeserver.UnknownUser, "M_NOT_FOUND")
}

func adminDevices(t *testing.T, r *run) {
	name := r.name("seen")
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	r.upsert(t, name, "ONE", "", true)
	r.upsert(t, name, "TWO", "", true)
	r.admin(t, http.MethodDelete, name, "/devices/ONE", "")
	r.admin(t, http.MethodDelete, name, "/devices/ONE", "")
	r.wantDevices(t, name, "TWO")
}

// account reads an account by the administration API.
func (r *run) account(t *testing.T, localpart string) homeserver.Account {
	t.Helper()
	got, err := r.client.AdminUser(t.Context(), r.token(localpart, adminScope, ""), r.matrixID(localpart))
	must(t, err)
	return got
}

func adminLock(t *testing.T, r *run) {
	name := r.name("locked")
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	r.upsert(t, name, "DEV", "", true)
	if got := r.account(t, name); got != (homeserver.Account{}) {
		t.Errorf("a new account is %+v", got)
	}
	r.admin(t, http.MethodPut, name, "", `{"locked":true}`)
	if got := r.account(t, name); got != (homeserver.Account{Locked: true}) {
		t.Errorf("a locked account is %+v", got)
	}
	_, err := r.client.Devices(t.Context(), r.token(name, apiScope, "DEV"))
	must(t, err)
	// The API for the authentication service can only undo what it can do.
	_, err = r.client.ProvisionUser(t.Context(), homeserver.ProvisionUser{Localpart: name, Locked: ptr(false)})
	must(t, err)
	if got := r.account(t, name); got.Locked == r.modern() {
		t.Errorf("after provision_user with locked: false it is %+v", got)
	}
}

func adminDeactivates(t *testing.T, r *run) {
	name := r.name("ended")
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	r.upsert(t, name, "DEV", "", true)
	r.admin(t, http.MethodPut, name, "", `{"deactivated":true}`)
	if got := r.account(t, name); !got.Deactivated || !r.query(t, name).Deactivated {
		t.Errorf("it is %+v", got)
	}
	r.wantDevices(t, name)
	// Tokens go on: Synapse leaves them to its authentication service.
	r.upsert(t, name, "DEV", "", true)
	_, err := r.client.Devices(t.Context(), r.token(name, apiScope, "DEV"))
	must(t, err)
}

func needsAdminScope(t *testing.T, r *run) {
	name := r.name("plain")
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	_, err := r.client.AdminUser(t.Context(), r.token(name, apiScope, ""), r.matrixID(name))
	wantReason(t, err, homeserver.RefusedToken, "M_FORBIDDEN")
	_, err = r.client.AdminDevices(t.Context(), r.token(name, apiScope, ""), r.matrixID(name))
	wantReason(t, err, homeserver.RefusedToken, "M_FORBIDDEN")
}

func slashInName(t *testing.T, r *run) {
	name := r.name("a/b+c=d")
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	r.upsert(t, name, "DEV", "", true)
	r.wantDevices(t, name, "DEV")
	if got := r.account(t, name); got.Deactivated {
		t.Errorf("it is %+v", got)
	}
}
