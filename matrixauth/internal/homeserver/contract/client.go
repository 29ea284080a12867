package contract

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
)

func ptr[T any](v T) *T { return &v }

// calls are the cases of the client's methods and of the state that they leave.
func (r *run) calls(t *testing.T) {
	for name, f := range map[string]func(*testing.T, *run){
		"the_right_secret_and_server_name":              rightSecret,
		"another_secret_is_refused":                     otherSecret,
		"another_server_name_is_found":                  otherServerName,
		"nobody_is_unknown_to_every_call":               nobody,
		"a_user_is_created_once":                        createdOnce,
		"a_display_name_is_set_replaced_and_removed":    displayName,
		"a_picture_is_removed":                          avatar,
		"an_empty_display_name_leaves_a_new_user_none":  emptyDisplayName,
		"a_name_is_available_until_taken":               available,
		"emails_that_cannot_be_leave_a_new_user_behind": badEmail,
		"a_device_is_made_once_and_deleted_twice":       device,
		"a_long_device_name_is_cut":                     longDeviceName,
		"deactivating_deletes_devices":                  deactivated,
		"erasing_deletes_the_profile":                   erased,
	} {
		t.Run(name, func(t *testing.T) { f(t, r) })
	}
}

func rightSecret(t *testing.T, r *run) {
	name := r.name("right")
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	want := homeserver.User{ID: "@" + name + ":" + r.ServerName, DisplayName: name}
	if got := r.query(t, name); got != want {
		t.Errorf("QueryUser = %+v; want %+v", got, want)
	}
}

func otherSecret(t *testing.T, r *run) {
	client := r.with(func(c *homeserver.Config) { c.Secret = "another secret" })
	_, err := client.QueryUser(t.Context(), "any")
	wantReason(t, err, homeserver.RefusedSecret, "M_UNKNOWN", "M_MISSING_TOKEN")
	client = r.with(func(c *homeserver.Config) { c.Secret = "anothersecret" })
	_, err = client.UpsertDevice(t.Context(), "any", "DEV", "")
	wantReason(t, err, homeserver.RefusedSecret, "M_UNKNOWN")
	client = r.with(func(c *homeserver.Config) { c.Secret = "" })
	wantReason(t, client.DeleteDevice(t.Context(), "any", "DEV"), homeserver.RefusedSecret, "M_MISSING_TOKEN")
	if _, err := client.Version(t.Context()); err != nil {
		t.Errorf("Version needs no secret, but: %v", err)
	}
}

// otherServerName is SYN-24.
func otherServerName(t *testing.T, r *run) {
	name := r.name("server")
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	client := r.with(func(c *homeserver.Config) { c.ServerName = "other.test" })
	_, err := client.QueryUser(t.Context(), name)
	wantReason(t, err, homeserver.OtherServerName)
	wantReason(t, client.CheckServerName(t.Context()), homeserver.OtherServerName)
	if err := r.client.CheckServerName(t.Context()); err != nil {
		t.Errorf("the right name: %v", err)
	}
}

func nobody(t *testing.T, r *run) {
	ctx, c, name := t.Context(), r.client, r.name("nobody")
	_, query := c.QueryUser(ctx, name)
	_, upsert := c.UpsertDevice(ctx, name, "DEV", "n")
	for op, err := range map[string]error{
		"query_user": query, "upsert_device": upsert,
		"delete_user":                c.DeleteUser(ctx, name, false),
		"reactivate_user":            c.ReactivateUser(ctx, name),
		"set_displayname":            c.SetDisplayName(ctx, name, "n"),
		"unset_displayname":          c.UnsetDisplayName(ctx, name),
		"delete_device":              c.DeleteDevice(ctx, name, "DEV"),
		"update_device_display_name": c.UpdateDeviceDisplayName(ctx, name, "DEV", "n"),
		"allow_cross_signing_reset":  c.AllowCrossSigningReset(ctx, name),
	} {
		t.Run(op, func(t *testing.T) { wantReason(t, err, homeserver.UnknownUser, "M_NOT_FOUND") })
	}
}

func createdOnce(t *testing.T, r *run) {
	p := homeserver.ProvisionUser{
		Localpart: r.name("once"), DisplayName: ptr("Once"), Emails: &[]string{r.prefix + "@once.test"}, Locked: ptr(false),
	}
	r.provision(t, p)
	for range 2 {
		if created, err := r.client.ProvisionUser(t.Context(), p); err != nil || created {
			t.Fatalf("ProvisionUser again = %v, %v; want false", created, err)
		}
	}
	p.Emails = new([]string)
	if _, err := r.client.ProvisionUser(t.Context(), p); err != nil {
		t.Errorf("without addresses: %v", err)
	}
}

func displayName(t *testing.T, r *run) {
	ctx, c, name := t.Context(), r.client, r.name("named")
	r.provision(t, homeserver.ProvisionUser{Localpart: name, DisplayName: ptr("  First ")})
	is := func(want string) {
		t.Helper()
		if got := r.query(t, name).DisplayName; got != want {
			t.Errorf("the display name is %q; want %q", got, want)
		}
	}
	provision := func(p homeserver.ProvisionUser) {
		t.Helper()
		p.Localpart = name
		_, err := c.ProvisionUser(ctx, p)
		must(t, err)
	}
	is("  First ")
	provision(homeserver.ProvisionUser{DisplayName: ptr("  Second ")})
	is("Second")
	provision(homeserver.ProvisionUser{Locked: ptr(false)})
	is("Second")
	must(t, c.UnsetDisplayName(ctx, name))
	is("")
	must(t, c.SetDisplayName(ctx, name, "Third"))
	is("Third")
	provision(homeserver.ProvisionUser{DisplayName: ptr("")})
	is("")
	wantReason(t, c.SetDisplayName(ctx, name, strings.Repeat("x", bound.DisplayName+1)), homeserver.Rejected, "M_UNKNOWN")
	is("")
}

func avatar(t *testing.T, r *run) {
	name := r.name("pictured")
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	body := `{"localpart":"` + name + `","set_avatar_url":"mxc://` + r.ServerName + `/picture"}`
	if got := r.exchange(t, http.MethodPost, homeserver.MASPath+"provision_user", body, "Bearer "+r.Secret); got.status != http.StatusOK {
		t.Fatalf("the picture was not set: %d %s", got.status, got.body)
	}
	if got := r.query(t, name); got.AvatarURL == "" {
		t.Errorf("the user is %+v", got)
	}
	for range 2 {
		must(t, r.client.UnsetAvatar(t.Context(), name))
		if got := r.query(t, name); got.AvatarURL != "" || got.DisplayName != name {
			t.Errorf("the user is %+v", got)
		}
	}
}

func emptyDisplayName(t *testing.T, r *run) {
	name := r.name("nameless")
	r.provision(t, homeserver.ProvisionUser{Localpart: name, DisplayName: ptr("")})
	if got := r.query(t, name).DisplayName; got != "" {
		t.Errorf("the display name is %q; want none", got)
	}
}

func available(t *testing.T, r *run) {
	ctx, name := t.Context(), r.name("free/a+b")
	must(t, r.client.LocalpartAvailable(ctx, name))
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	wantReason(t, r.client.LocalpartAvailable(ctx, name), homeserver.Rejected, "M_USER_IN_USE")
	must(t, r.client.DeleteUser(ctx, name, false))
	wantReason(t, r.client.LocalpartAvailable(ctx, name), homeserver.Rejected, "M_USER_IN_USE")
	wantReason(t, r.client.LocalpartAvailable(ctx, "_"+name), homeserver.Rejected, "M_INVALID_USERNAME")
	if r.Exclusive != "" {
		wantReason(t, r.client.LocalpartAvailable(ctx, r.Exclusive), homeserver.Rejected, "M_EXCLUSIVE")
	}
}

func badEmail(t *testing.T, r *run) {
	name := r.name("bademail")
	p := homeserver.ProvisionUser{Localpart: name, DisplayName: ptr("Bad"), Emails: &[]string{"none"}}
	created, err := r.client.ProvisionUser(t.Context(), p)
	wantReason(t, err, homeserver.Rejected, "M_UNKNOWN")
	if created {
		t.Error("created is true beside an error")
	}
	if got := r.query(t, name).DisplayName; got != "Bad" {
		t.Errorf("the display name is %q; want Bad", got)
	}
	p.DisplayName = ptr("Changed")
	_, err = r.client.ProvisionUser(t.Context(), p)
	wantReason(t, err, homeserver.Rejected, "M_UNKNOWN")
	if got := r.query(t, name).DisplayName; got != "Changed" {
		t.Errorf("the display name is %q; want Changed", got)
	}
}

// upsert makes a device and checks whether it was new.
func (r *run) upsert(t *testing.T, user, device, name string, want bool) {
	t.Helper()
	created, err := r.client.UpsertDevice(t.Context(), user, device, name)
	if err != nil || created != want {
		t.Fatalf("UpsertDevice(%q) = %v, %v; want %v", device, created, err, want)
	}
}

func device(t *testing.T, r *run) {
	ctx, c, name := t.Context(), r.client, r.name("device")
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	for _, id := range []string{"ABC", "abc", "a b/é\n<&>"} {
		r.upsert(t, name, id, "", true)
		r.upsert(t, name, id, "named", false)
		must(t, c.UpdateDeviceDisplayName(ctx, name, id, "renamed"))
		must(t, c.DeleteDevice(ctx, name, id))
		must(t, c.DeleteDevice(ctx, name, id))
		wantReason(t, c.UpdateDeviceDisplayName(ctx, name, id, "n"), homeserver.UnknownUser, "M_NOT_FOUND")
		r.upsert(t, name, id, "named", true)
	}
	must(t, c.AllowCrossSigningReset(ctx, name))
}

func longDeviceName(t *testing.T, r *run) {
	name := r.name("long")
	r.provision(t, homeserver.ProvisionUser{Localpart: name})
	for id, text := range map[string]string{
		"ASCII": strings.Repeat("x", 101), "LATIN": strings.Repeat("é", 500), "EMOJI": strings.Repeat("😀", 101),
		"BROKEN": strings.Repeat("\xff", 300), "COMBINING": strings.Repeat("e\u0301", 90),
	} {
		r.upsert(t, name, id, text, true)
		must(t, r.client.UpdateDeviceDisplayName(t.Context(), name, id, text))
	}
}

func deactivated(t *testing.T, r *run) {
	ctx, c, name := t.Context(), r.client, r.name("gone")
	r.provision(t, homeserver.ProvisionUser{Localpart: name, DisplayName: ptr("Gone"), Emails: &[]string{r.prefix + "@gone.test"}})
	r.upsert(t, name, "DEV", "n", true)
	must(t, c.DeleteUser(ctx, name, false))
	if got := r.query(t, name); !got.Deactivated || got.DisplayName != "Gone" {
		t.Errorf("after DeleteUser: %+v", got)
	}
	wantReason(t, c.UpdateDeviceDisplayName(ctx, name, "DEV", "n"), homeserver.UnknownUser, "M_NOT_FOUND")
	// Synapse lets a deactivated user have devices, and deletes them once more.
	r.upsert(t, name, "DEV", "n", true)
	must(t, c.DeleteUser(ctx, name, false))
	r.upsert(t, name, "DEV", "n", true)
	_, err := c.ProvisionUser(ctx, homeserver.ProvisionUser{Localpart: name, DisplayName: ptr("Still gone"), Locked: ptr(false)})
	must(t, err)
	if got := r.query(t, name); !got.Deactivated || got.DisplayName != "Still gone" {
		t.Errorf("after ProvisionUser: %+v", got)
	}
	for range 2 {
		must(t, c.ReactivateUser(ctx, name))
		if got := r.query(t, name); got.Deactivated || got.DisplayName != "Still gone" {
			t.Errorf("after ReactivateUser: %+v", got)
		}
	}
}

func erased(t *testing.T, r *run) {
	ctx, c, name := t.Context(), r.client, r.name("erased")
	r.provision(t, homeserver.ProvisionUser{Localpart: name, DisplayName: ptr("Erased")})
	must(t, c.DeleteUser(ctx, name, false))
	must(t, c.DeleteUser(ctx, name, true))
	if got := r.query(t, name); !got.Deactivated || got.DisplayName != "" {
		t.Errorf("after DeleteUser with erase: %+v", got)
	}
	must(t, c.SetDisplayName(ctx, name, "Named"))
	must(t, c.ReactivateUser(ctx, name))
	if got := r.query(t, name); got.Deactivated || got.DisplayName != "Named" {
		t.Errorf("after ReactivateUser: %+v", got)
	}
}
