package tests

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// only returns the one block of a kind in a section of a page.
func only(t *testing.T, page, section, kind string) string {
	t.Helper()
	var found []block
	for _, b := range blocksOf(t, page) {
		if b.section == section && b.kind == kind {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks of %s in %q", page, len(found), kind, section)
	}
	return found[0].text
}

// TestDropIn: with the drop-in of the page on running it the service starts, people sign in, the doctor is content, and
// no variable of the service stands in the journal.
func TestDropIn(t *testing.T) {
	o := bootInstalled(t, rig.Newest)
	const secret = "PORTAL_SECRET=not-for-the-journal"
	o.Write("/etc/caddy/matrix.env", secret+"\n", "600", "root")
	o.Write("/etc/systemd/system/caddy.service.d/override.conf", only(t, "running.md", "systemd", "ini"), "644", "root")
	o.Must("root", "systemctl daemon-reload && systemd-analyze verify /lib/systemd/system/caddy.service && systemctl restart caddy")
	o.login("alice", typed).Must(t, http.StatusOK)
	o.Must("root", "caddy matrix-auth doctor")
	pid := strings.TrimSpace(o.Must("root", "systemctl show --value --property=MainPID caddy"))
	if environment := o.Must("root", "tr '\\0' '\\n' </proc/"+pid+"/environ"); !strings.Contains(environment, secret) {
		t.Errorf("the service has the environment\n%s", environment)
	}
	if strings.Contains(o.Journal("caddy"), secret) {
		t.Error("the journal has a secret of the environment")
	}
	// Nothing but its own directory can be written, and a second start finds what the first one left.
	status := o.Read("/proc/" + pid + "/status")
	for _, want := range []string{"NoNewPrivs:\t1", "CapBnd:\t0000000000000400"} {
		if !strings.Contains(status, want) {
			t.Errorf("the service has no %q:\n%s", want, status)
		}
	}
	o.Must("root", "nsenter --target "+pid+" --mount sh -c '! touch /usr/bin/x /etc/caddy/x 2>/dev/null && touch /var/lib/caddy/x'")
	o.Must("root", "systemctl kill --signal=KILL caddy")
	o.Must("root", "timeout 60 sh -c 'until systemctl is-active --quiet caddy && curl -fsS http://localhost:8080/health; do sleep 0.2; done'")
	o.login("alice", typed).Must(t, http.StatusOK)
}

// TestUpgrade follows the page on upgrades on an installed machine: whoever was signed in stays so.
func TestUpgrade(t *testing.T) {
	o := bootInstalled(t, rig.Newest)
	token := o.login("alice", typed).Must(t, http.StatusOK).Text("access_token")
	o.CopyIn(rig.Binary(t, ""), "/root/caddy.new", "755")
	before := o.Must("root", "systemctl show --property=MainPID caddy")
	o.follow("upgrade.md", "Put it in place")
	if after := o.Must("root", "systemctl show --property=MainPID caddy"); after == before {
		t.Error("the old program goes on")
	}
	o.call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
	// And back, as the schema is the same: the old program is there.
	o.Must("root", "mv /usr/bin/caddy.old /usr/bin/caddy && systemctl restart caddy")
	o.call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
}

// image is what our Dockerfile makes, as BuildKit reads it.
type image struct {
	Run                     []string
	Copied, Env             map[string]string
	User, Workdir           string
	Entrypoint, Cmd, Health []string
}

func readImage(t *testing.T) (made image) {
	t.Helper()
	cmd := exec.Command("go", "run", "./image", "../../Dockerfile")
	cmd.Dir = filepath.Join(rig.Tests(), "containers")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &made); err != nil {
		t.Fatal(err)
	}
	return made
}

// container does on a machine what the image and compose.yaml have a runtime do: the same user, environment, entry
// point and rights, in a Debian without a container.
type container struct {
	*rig.Machine
	t    *testing.T
	made image
}

// build runs what the image is made by. The packages come with the machine, which has no internet.
func (c container) build() {
	c.t.Helper()
	c.Must("root", "systemctl disable --now --quiet caddy; userdel caddy; rm -rf /etc/caddy /var/lib/caddy /usr/bin/caddy")
	c.CopyIn(rig.Binary(c.t, ""), "/usr/bin/caddy", "755")
	if c.made.Copied["/usr/bin/caddy"] != "/caddy" || len(c.made.Copied) != 1 {
		c.t.Fatalf("the image copies %v", c.made.Copied)
	}
	installed := 0
	for _, script := range c.made.Run {
		if strings.HasPrefix(script, "apt-get update") {
			packages, _, _ := strings.Cut(script[strings.Index(script, "--no-install-recommends")+len("--no-install-recommends"):], "&&")
			c.Must("root", "dpkg --status "+packages+" >/dev/null")
			installed++
			continue
		}
		c.Must("root", script)
	}
	if installed != 1 {
		c.t.Fatal("the image installs its packages in another way")
	}
}

// words quotes for a shell.
func words(all ...string) string {
	var quoted []string
	for _, one := range all {
		quoted = append(quoted, "'"+strings.ReplaceAll(one, "'", `'\''`)+"'")
	}
	return strings.Join(quoted, " ")
}

// environment is what every process of the image has.
func (c container) environment() []string {
	all := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for name, value := range c.made.Env {
		all = append(all, name+"="+value)
	}
	return all
}

// exec is a command in the container, as "docker compose exec" runs it.
func (c container) exec(stdin string, command ...string) rig.Result {
	user, group, _ := strings.Cut(c.made.User, ":")
	args := append([]string{"env", "--ignore-environment", "--chdir=" + c.made.Workdir}, c.environment()...)
	args = append(args, "setpriv", "--reuid="+user, "--regid="+group, "--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
	return c.RunWith("root", words(append(args, command...)...), stdin)
}

// start runs the entry point as compose.yaml has it: no capability, nothing to be written but the volumes, and ports
// that a user may take.
func (c container) start() {
	c.t.Helper()
	user, group, _ := strings.Cut(c.made.User, ":")
	c.Must("root", "echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start")
	args := []string{
		"systemd-run", "--quiet", "--unit=image", "--property=User=" + user, "--property=Group=" + group, "--property=WorkingDirectory=" + c.made.Workdir,
		"--property=NoNewPrivileges=yes", "--property=CapabilityBoundingSet=", "--property=ProtectSystem=strict", "--property=PrivateTmp=yes",
		"--property=ReadWritePaths=/data /config", "--property=TimeoutStopSec=40",
	}
	for _, pair := range c.environment() {
		args = append(args, "--setenv="+pair)
	}
	args = append(append(args, "--"), c.made.Entrypoint...)
	c.Must("root", words(append(args, c.made.Cmd...)...))
	c.ShowJournal("image")
}

// awaitHealth polls the image's own health check, as a runtime does.
func (c container) awaitHealth() {
	c.t.Helper()
	var last rig.Result
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if last = c.exec("", c.made.Health[1:]...); last.Err == nil {
			return
		}
	}
	c.t.Fatalf("the container does not become healthy: %v", last.Err)
}

// TestImage runs what the Dockerfile says, and the files of the page on containers, beside a Synapse: an account is
// taken over and signs in, and its data is on the volume. No container runtime takes part.
func TestImage(t *testing.T) {
	c := container{rig.BootSynapse(t, rig.Newest, "example.com"), t, readImage(t)}
	c.Must("root", "register_new_matrix_user -c /etc/matrix-synapse/homeserver.yaml -u alice -p alice-at-synapse --admin http://localhost:8008")
	c.Must("root", "echo 127.0.0.1 synapse caddy matrix.example.com >>/etc/hosts")
	c.build()
	c.Must("root", "install -d -m 755 /run/secrets && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \\n' >/run/secrets/matrix_auth && chmod 444 /run/secrets/matrix_auth")
	// Only the first block would not stand there: without the internet nobody but Caddy itself can give certificates.
	c.Write("/etc/caddy/Caddyfile", "{\n\tlocal_certs\n\tskip_install_trust\n}\n\n"+only(t, "running.md", "Containers", "caddyfile"), "644", "root")
	if c.exec("", c.made.Health[1:]...).Err == nil {
		t.Fatal("the container is healthy before it is started")
	}
	block := only(t, "running.md", "Containers", "yaml")
	printed := c.exec("", "caddy", "matrix-auth", "synapse-config", "--endpoint", "http://caddy:8080/", "--secret-path", "/run/secrets/matrix_auth")
	if printed.Err != nil || printed.Out != block {
		t.Errorf("synapse-config prints %q, %v\nthe page says %q", printed.Out, printed.Err, block)
	}
	c.start()
	c.awaitHealth()
	c.Write("/etc/matrix-synapse/conf.d/matrix_auth.yaml", block, "644", "root")
	c.Must("root", "sed -i '/^session_lifetime/d' /etc/matrix-synapse/homeserver.yaml && systemctl restart matrix-synapse")

	if added := c.exec(typed+"\n", "caddy", "matrix-auth", "user", "add", "alice", "--existing", "--admin"); added.Err != nil {
		t.Fatal(added.Err)
	}
	c.Must("root", "install -D /data/caddy/pki/authorities/local/root.crt /var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt")
	o := owner{t, c.Machine}
	token := o.login("alice", typed).Must(t, http.StatusOK).Text("access_token")
	o.call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)

	t.Run("a backup comes out by standard output", func(t *testing.T) {
		c.Must("root", words("sh", "-c", "setpriv --reuid=10001 --regid=10001 --clear-groups env XDG_DATA_HOME=/data caddy matrix-auth backup - >/root/copy.db && sqlite3 /root/copy.db 'SELECT COUNT(*) FROM users' | grep -qx 1"))
	})
	t.Run("a new container goes on with the volume", func(t *testing.T) {
		c.Must("root", "systemctl stop image")
		if c.exec("", c.made.Health[1:]...).Err == nil {
			t.Error("the container is healthy when it is stopped")
		}
		c.start()
		c.awaitHealth()
		o.call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
	})
	if files := c.Must("root", "find /data /config ! -user 10001"); files != "" {
		t.Errorf("on the volumes are files of others:\n%s", files)
	}
}
