package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// synapseAdmin makes a call of Synapse's administration API about a user, as an administrator's tool does.
func synapseAdmin(t *testing.T, h *rig.Homeserver, token, method, user, more, body string) {
	t.Helper()
	address := h.Synapse.URL + "/_synapse/admin/v2/users/@" + user + ":" + rig.ServerName + more
	request, err := http.NewRequest(method, address, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		t.Fatalf("%s %s: %d %s", method, address, response.StatusCode, text)
	}
}

// administrator makes an administrator's token.
func administrator(h *rig.Homeserver) string {
	h.AddUser("root1", "--admin")
	return strings.TrimSpace(h.MustCommand("", "token", "issue", "root1", "--admin"))
}

// app is a client that refreshes its tokens.
type app struct {
	h              *rig.Homeserver
	device         string
	access, second string
}

func startApp(t *testing.T, h *rig.Homeserver, user, password, device string) *app {
	t.Helper()
	login := h.Login(user, password, map[string]any{"refresh_token": true, "device_id": device}).Must(t, http.StatusOK)
	return &app{h, device, login.Text("access_token"), login.Text("refresh_token")}
}

func (a *app) whoami() rig.Answer {
	return a.h.Call(http.MethodGet, "/v3/account/whoami", a.access, nil)
}

// refresh rotates the tokens, and gives the answer.
func (a *app) refresh() rig.Answer {
	answer := a.h.Call(http.MethodPost, "/v3/refresh", "", map[string]string{"refresh_token": a.second})
	if answer.Status == http.StatusOK {
		a.access, a.second = answer.Text("access_token"), answer.Text("refresh_token")
	}
	return answer
}

// hardLogout asks again and again, as a client does that is refused, until it is told that its session is
// over.
func (a *app) hardLogout(t *testing.T) {
	t.Helper()
	rig.Await(t, "the end of the session on "+a.device, func() error {
		if answer := a.whoami(); answer.Status != http.StatusUnauthorized || answer.Text("errcode") != "M_UNKNOWN_TOKEN" {
			return fmt.Errorf("status %d: %v", answer.Status, answer.Body)
		}
		if answer := a.refresh(); answer.Status == http.StatusOK || answer.Status == http.StatusServiceUnavailable {
			return errors.New("it refreshes still, as often as it may")
		} else if answer.Status != http.StatusUnauthorized || answer.Text("errcode") != "M_UNKNOWN_TOKEN" || answer.Body["soft_logout"] == true {
			t.Fatalf("the refresh got %d %v", answer.Status, answer.Body)
		}
		return nil
	})
	if answer := a.whoami().Must(t, http.StatusUnauthorized); answer.Body["soft_logout"] == true {
		t.Errorf("it is told to keep its keys: %v", answer.Body)
	}
}

// liveDevices are the devices of a user's live sessions.
func liveDevices(t *testing.T, h *rig.Homeserver, user string) string {
	t.Helper()
	var sessions []struct {
		Device string `json:"device_id"`
	}
	if err := json.Unmarshal([]byte(h.MustCommand("", "session", "list", user, "--json")), &sessions); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, s := range sessions {
		ids = append(ids, s.Device)
	}
	return strings.Join(ids, " ")
}

// TestDeactivatedAtSynapse has an administrator deactivate accounts by Synapse's own API (MOD-11).
func TestDeactivatedAtSynapse(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			admin := administrator(h)
			alice, bob, carol := h.AddUser("alice"), h.AddUser("bob"), h.AddUser("carol")
			onPhone := startApp(t, h, "alice", alice, "PHONE")
			bobs := startApp(t, h, "bob", bob, "TABLET")
			carols := startApp(t, h, "carol", carol, "WATCH")

			t.Run("a login is refused and everything ends", func(t *testing.T) {
				synapseAdmin(t, h, admin, http.MethodPut, "alice", "", `{"deactivated":true}`)
				if code := h.Login("alice", alice, nil).Must(t, http.StatusForbidden).Text("errcode"); code != "M_USER_DEACTIVATED" {
					t.Errorf("got %s", code)
				}
				if out := h.MustCommand("", "user", "show", "alice", "--json"); !strings.Contains(out, `"deactivated"`) || liveDevices(t, h, "alice") != "" {
					t.Errorf("got %s, sessions on %q", out, liveDevices(t, h, "alice"))
				}
				onPhone.hardLogout(t)
			})
			t.Run("an app that refreshes is the last to know", func(t *testing.T) {
				synapseAdmin(t, h, admin, http.MethodPut, "bob", "", `{"deactivated":true}`)
				bobs.hardLogout(t)
				if code := h.Login("bob", bob, nil).Must(t, http.StatusForbidden).Text("errcode"); code != "M_USER_DEACTIVATED" {
					t.Errorf("got %s", code)
				}
			})
			t.Run("reactivated by our command", func(t *testing.T) {
				h.MustCommand("", "user", "reactivate", "alice")
				var again rig.Answer
				rig.Await(t, "the reactivated user's login", func() error { // an index of a new database
					if again = h.Login("alice", alice, nil); again.Status != http.StatusOK {
						return errors.New(again.Text("errcode"))
					}
					return nil
				})
				h.Call(http.MethodPost, "/v3/createRoom", again.Text("access_token"), struct{}{}).Must(t, http.StatusOK)
			})
			t.Run("synapse's own lock has no effect", func(t *testing.T) {
				synapseAdmin(t, h, admin, http.MethodPut, "carol", "", `{"locked":true}`)
				carols.refresh().Must(t, http.StatusOK)
				carols.whoami().Must(t, http.StatusOK)
			})
		})
	}
}

// TestDeviceDeletedAtSynapse has an administrator delete a device by Synapse's own API: its session ends,
// and its client is told that it is over.
func TestDeviceDeletedAtSynapse(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			admin := administrator(h)
			alice, bob := h.AddUser("alice"), h.AddUser("bob")
			phone, laptop := startApp(t, h, "alice", alice, "PHONE"), startApp(t, h, "alice", alice, "LAPTOP")
			bobs := startApp(t, h, "bob", bob, "TABLET")
			for _, a := range []*app{phone, laptop, bobs} {
				a.whoami().Must(t, http.StatusOK)
			}
			synapseAdmin(t, h, admin, http.MethodDelete, "alice", "/devices/PHONE", "")
			phone.hardLogout(t)
			for _, a := range []*app{laptop, bobs} {
				a.whoami().Must(t, http.StatusOK)
				a.refresh().Must(t, http.StatusOK)
				a.whoami().Must(t, http.StatusOK)
			}
			if live := liveDevices(t, h, "alice"); live != "LAPTOP" {
				t.Errorf("live sessions are on %q", live)
			}
			again := startApp(t, h, "alice", alice, "PHONE")
			again.whoami().Must(t, http.StatusOK)
		})
	}
}

// TestRestoredSynapse puts an older copy of Synapse's database in the place of the present one: the
// devices of all who have signed in since are gone. Nobody is signed out, and once the database is put
// right everybody goes on.
func TestRestoredSynapse(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			names := []string{"alice", "bob", "carol"}
			passwords := map[string]string{}
			for _, name := range names {
				passwords[name] = h.AddUser(name)
				startApp(t, h, name, passwords[name], "OLD").whoami().Must(t, http.StatusOK)
			}
			h.Synapse.Stop()
			older := copyDatabase(t, h.Synapse.Dir)
			h.Synapse.Start()
			apps := map[string]*app{}
			for _, name := range names {
				apps[name] = startApp(t, h, name, passwords[name], "NEW")
				apps[name].whoami().Must(t, http.StatusOK)
			}
			h.Synapse.Stop()
			newer := copyDatabase(t, h.Synapse.Dir)
			older(h.Synapse.Dir)
			h.Synapse.Start()

			rig.Await(t, "the finding of what happened", func() error {
				for _, a := range apps {
					a.whoami().Must(t, http.StatusUnauthorized)
					if answer := a.refresh(); answer.Status != http.StatusServiceUnavailable { // too often
						answer.Must(t, http.StatusOK)
					}
				}
				log, err := os.ReadFile(h.LogFile())
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Contains(log, []byte("after a restore of an older database")) {
					return errors.New("the log says nothing")
				}
				return nil
			})
			for name, a := range apps {
				if answer := a.whoami().Must(t, http.StatusUnauthorized); answer.Body["soft_logout"] != true {
					t.Errorf("%s is told %v", name, answer.Body)
				}
				if live := liveDevices(t, h, name); live != "OLD NEW" {
					t.Errorf("live sessions of %s are on %q", name, live)
				}
			}
			h.Synapse.Stop()
			newer(h.Synapse.Dir)
			h.Synapse.Start()
			for _, a := range apps {
				a.whoami().Must(t, http.StatusOK)
			}
		})
	}
}

// copyDatabase keeps the database of a Synapse that is stopped. restore puts it back.
func copyDatabase(t *testing.T, dir string) (restore func(dir string)) {
	t.Helper()
	kept := map[string][]byte{}
	for _, name := range []string{"homeserver.db", "homeserver.db-wal", "homeserver.db-shm"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) && name != "homeserver.db" {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		kept[name] = text
	}
	return func(dir string) {
		t.Helper()
		for _, name := range []string{"homeserver.db", "homeserver.db-wal", "homeserver.db-shm"} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		for name, text := range kept {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// differences runs the doctor and gives the differences that it finds between Synapse and us.
func differences(t *testing.T, h *rig.Homeserver, more ...string) string {
	t.Helper()
	out, _ := h.Command("", append([]string{"doctor", "--json"}, more...)...) // this server has no well-known document
	var findings []struct {
		Check, What string
		OK          bool
		Difference  *struct {
			Kind, User string
			Device     string `json:"device_id"`
		}
	}
	if err := json.Unmarshal([]byte(out), &findings); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var found []string
	compared := false
	for _, f := range findings {
		if d := f.Difference; d != nil {
			found = append(found, fmt.Sprintf("%s %s %s %v", d.User, d.Kind, d.Device, f.OK))
		} else if f.Check == "accounts and devices" {
			compared = f.OK
		}
	}
	if !compared {
		t.Fatalf("nothing was compared:\n%s", out)
	}
	return strings.Join(found, "\n")
}

// TestDoctorCompares has the doctor find where Synapse and we differ, and mend what is certain.
func TestDoctorCompares(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			admin := administrator(h)
			for _, name := range []string{"alice", "bob", "carol", "dave"} {
				startApp(t, h, name, h.AddUser(name), strings.ToUpper(name))
			}
			if got := differences(t, h); got != "" {
				t.Fatalf("a healthy server has the differences\n%s", got)
			}
			synapseAdmin(t, h, admin, http.MethodDelete, "alice", "/devices/ALICE", "")
			synapseAdmin(t, h, admin, http.MethodPut, "bob", "", `{"deactivated":true}`)
			synapseAdmin(t, h, admin, http.MethodPut, "carol", "", `{"locked":true}`)
			if err := rig.UpsertDevice(h.Synapse.URL, h.Secret, "dave", "BRIDGE"); err != nil {
				t.Fatal(err)
			}
			want := "alice session_without_device ALICE false\nbob deactivated_at_homeserver_only  false\n" +
				"carol locked_at_homeserver_only  false\ndave device_without_session BRIDGE true"
			rig.Await(t, "the session to be old enough to be judged", func() error {
				if got := differences(t, h); got != want {
					return errors.New(got)
				}
				return nil
			})
			if text, _ := h.Command("", "doctor"); !strings.Contains(text, "1 devices at Synapse have no session here") || !strings.Contains(text, "BRIDGE of dave") {
				t.Errorf("people read\n%s", text)
			}
			if live := liveDevices(t, h, "alice"); live != "ALICE" {
				t.Fatalf("looking has changed something: %q", live)
			}
			differences(t, h, "--fix", "--yes")
			if got, want := differences(t, h), "carol locked_at_homeserver_only  false\ndave device_without_session BRIDGE true"; got != want {
				t.Errorf("after it was mended the differences are\n%s", got)
			}
			if live := liveDevices(t, h, "alice") + liveDevices(t, h, "bob"); live != "" {
				t.Errorf("sessions are left on %q", live)
			}
		})
	}
}
