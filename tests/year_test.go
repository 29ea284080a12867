package tests

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// dataOf is where the packaged service keeps its files.
const dataOf = "/var/lib/caddy/.local/share/caddy/matrix_auth"

// TestOwnersYear is what comes after the installation: reloads, restarts, a reboot, an update, a backup that is put
// back, and a disk that is full. Through all of it an app that was signed in at the beginning stays signed in.
func TestOwnersYear(t *testing.T) {
	o := bootInstalled(t, rig.Newest)
	app := o.signInApp("alice")
	t.Run("a reload", func(t *testing.T) {
		o := o.in(t)
		before := o.Must("root", "systemctl show --property=MainPID --value caddy")
		o.Must("root", "systemctl reload caddy")
		if after := o.Must("root", "systemctl show --property=MainPID --value caddy"); after != before {
			t.Errorf("the process was %s, and is %s", before, after)
		}
		app.goesOn(t)
	})
	t.Run("a reload of a file that is broken changes nothing", func(t *testing.T) {
		o := o.in(t)
		o.Must("root", "cp /etc/caddy/Caddyfile /root/good && sed -i s/reverse_proxy/reverse_prxy/ /etc/caddy/Caddyfile && ! systemctl reload caddy && cp /root/good /etc/caddy/Caddyfile")
		app.goesOn(t)
	})
	t.Run("a restart", func(t *testing.T) {
		o.in(t).Must("root", "systemctl restart caddy")
		app.goesOn(t)
	})
	t.Run("a restart of Synapse", func(t *testing.T) {
		o.in(t).Must("root", "systemctl restart matrix-synapse")
		app.goesOn(t)
	})
	t.Run("an update", func(t *testing.T) {
		o := o.in(t)
		o.CopyIn(rig.Binary(t, ""), "/root/caddy.new", "755")
		o.follow("upgrade.md", "Put it in place")
		app.goesOn(t)
	})
	t.Run("a reboot", func(t *testing.T) {
		o := o.in(t)
		o.Reboot()
		o.awaitSites()
		app.goesOn(t)
		o.Must("root", "caddy matrix-auth doctor")
	})
	t.Run("another program took the port", func(t *testing.T) { o.in(t).losePort(app) })
	t.Run("a backup and its restoration", func(t *testing.T) { o.in(t).restore(app) })
	t.Run("a full disk", func(t *testing.T) { o.in(t).fillDisk(app) })
	t.Run("no secret is in the journal", func(t *testing.T) {
		journal := o.in(t).Journal("caddy")
		for _, secret := range []string{strings.TrimSpace(o.Read(dataOf + "/matrix_auth.secret")), typed, app.access, app.refresh} {
			if strings.Contains(journal, secret) {
				t.Errorf("%q is there", secret)
			}
		}
	})
}

// in is the owner in a part of a test.
func (o owner) in(t *testing.T) owner { return owner{t, o.Machine.In(t)} }

// awaitSites waits until people's apps are answered again: systemd counts Synapse as started before it serves.
func (o owner) awaitSites() {
	o.t.Helper()
	browser := o.Browser()
	rig.Await(o.t, "the homeserver to answer", func() error {
		answer, err := rig.CallBy(browser, site, http.MethodGet, "/versions", "", nil)
		if err == nil && answer.Status != http.StatusOK {
			err = fmt.Errorf("status %d", answer.Status)
		}
		return err
	})
}

// ownersApp is somebody's app on a device, which refreshes its tokens as apps do.
type ownersApp struct {
	owner
	access, refresh string
}

// signInApp signs an app in that can refresh.
func (o owner) signInApp(user string) *ownersApp {
	o.t.Helper()
	answer := o.call(http.MethodPost, "/v3/login", "", rig.Login(user, typed, map[string]any{"refresh_token": true})).Must(o.t, http.StatusOK)
	return &ownersApp{o, answer.Text("access_token"), answer.Text("refresh_token")}
}

// goesOn holds that the app is signed in and can refresh.
func (a *ownersApp) goesOn(t *testing.T) {
	t.Helper()
	a.owner = a.in(t)
	a.awaitSites()
	a.call(http.MethodGet, "/v3/account/whoami", a.access, nil).Must(t, http.StatusOK)
	a.take(a.tryRefresh().Must(t, http.StatusOK))
}

// goesOnSoon is goesOn once Synapse can ask us again.
func (a *ownersApp) goesOnSoon(t *testing.T) {
	t.Helper()
	a.owner = a.in(t)
	rig.Await(t, "Synapse to find us again", func() error {
		if answer := a.call(http.MethodGet, "/v3/account/whoami", a.access, nil); answer.Status != http.StatusOK {
			return fmt.Errorf("status %d: %v", answer.Status, answer.Body)
		}
		return nil
	})
	a.goesOn(t)
}

func (a *ownersApp) tryRefresh() rig.Answer {
	a.t.Helper()
	return a.call(http.MethodPost, "/v3/refresh", "", map[string]string{"refresh_token": a.refresh})
}

func (a *ownersApp) take(answer rig.Answer) {
	a.access, a.refresh = answer.Text("access_token"), answer.Text("refresh_token")
}

// restore makes a copy and puts it back, by the page on commands. Who signed in before the copy stays signed in.
func (o owner) restore(a *ownersApp) {
	a.goesOn(o.t)
	o.follow("commands.md", "Backup")
	later := o.login("bob", typed).Must(o.t, http.StatusOK).Text("access_token")
	o.Must("root", "systemctl stop caddy && printf lost >"+dataOf+"/matrix_auth.db; systemctl start caddy || true")
	rig.Await(o.t, "the journal to say that this is no database", func() error {
		return o.Run("root", "journalctl --quiet --unit=caddy --lines=50 | grep 'is not an SQLite database'").Err
	})
	o.follow("commands.md", "Restore")
	a.goesOn(o.t)
	o.call(http.MethodGet, "/v3/account/whoami", later, nil).Must(o.t, http.StatusServiceUnavailable) // it keeps its keys, and waits
	o.Must("root", "caddy matrix-auth session lost | grep oauth || caddy matrix-auth session lost | grep compat")
	if found := o.Run("root", "caddy matrix-auth doctor"); found.Err == nil || !strings.Contains(found.Out, "session lost --end") {
		o.t.Errorf("the doctor says of a session that waits\n%s", found.Out)
	}
	o.Must("root", "caddy matrix-auth session lost --end --yes")
	o.Must("root", "caddy matrix-auth doctor")
	o.Must("caddy", "test -O "+dataOf+"/matrix_auth.db")
}

// losePort has another program take the port on which Synapse asks us, while Caddy is down: every site is served, the
// doctor says what is wrong, and all goes on by itself once the port is free.
func (o owner) losePort(a *ownersApp) {
	o.Must("root", "systemctl stop caddy && systemd-run --quiet --unit=another python3 -m http.server 8080 --bind 127.0.0.1")
	rig.Await(o.t, "the other program to listen", func() error { return o.Run("root", "curl -fsS http://127.0.0.1:8080/ >/dev/null").Err })
	o.Must("root", "systemctl start caddy")
	rig.Await(o.t, "the owner's own site to be served", func() error {
		return o.Run("root", "curl -fsS https://example.com/.well-known/matrix/client >/dev/null").Err
	})
	if shown := o.Must("root", "caddy matrix-auth doctor || true"); !strings.Contains(shown, "8080") || !strings.Contains(shown, "WRONG") {
		o.t.Errorf("the doctor says\n%s", shown)
	}
	o.Must("root", "systemctl stop another")
	a.goesOnSoon(o.t)
	rig.Await(o.t, "the doctor to find nothing", func() error { return o.Run("root", "caddy matrix-auth doctor").Err })
}

// fillDisk has the disk of the database full. Nobody is signed out by it, and all goes on once there is room.
func (o owner) fillDisk(a *ownersApp) {
	o.Must("root", "systemctl stop caddy && cp -a "+dataOf+" /root/data && mount -t tmpfs -o size=8m,mode=700,uid=caddy,gid=caddy tmpfs "+dataOf+
		" && cp -a /root/data/. "+dataOf+" && systemctl start caddy")
	a.goesOn(o.t)
	o.Must("root", "! dd if=/dev/zero of="+dataOf+"/fill bs=4k 2>/dev/null")
	for tries := 0; ; tries++ {
		answer := a.tryRefresh()
		if answer.Status == http.StatusOK && tries < 50 { // there is room in what the database has already
			a.take(answer)
			continue
		}
		if answer.Status < http.StatusInternalServerError {
			o.t.Fatalf("a refresh on a full disk is answered %d: %v", answer.Status, answer.Body)
		}
		break
	}
	if answer := o.login("bob", typed); answer.Status < http.StatusInternalServerError {
		o.t.Errorf("a sign-in on a full disk is answered %d: %v", answer.Status, answer.Body)
	}
	// What reads goes on.
	o.call(http.MethodGet, "/v3/account/whoami", a.access, nil).Must(o.t, http.StatusOK)
	o.Must("root", "rm "+dataOf+"/fill")
	a.goesOn(o.t)
	o.login("bob", typed).Must(o.t, http.StatusOK)
	o.Must("root", "caddy matrix-auth doctor")
}
