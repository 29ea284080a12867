package tests

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestPasswordPolicy sets passwords by commands on a running server: the reason is said, an operator can go against it
// knowingly, and the list of an owner, sorted as the page says, counts at once when another one takes its place (PW-5, PW-6).
func TestPasswordPolicy(t *testing.T) {
	list := filepath.Join(t.TempDir(), "refused-passwords.txt")
	sorted := func(lines string) {
		t.Helper()
		fresh := list + ".fresh"
		if err := os.WriteFile(fresh, []byte(lines), 0o644); err != nil {
			t.Fatal(err)
		}
		sort := exec.Command("sort", "-u", "-o", fresh, fresh)
		sort.Env = append(os.Environ(), "LC_ALL=C")
		if out, err := sort.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := os.Rename(fresh, list); err != nil {
			t.Fatal(err)
		}
	}
	sorted("zebra crossing umbrella\nAunt Emma's garden gate\nthe gate code is 4711 today\n")
	c := rig.NewCaddy(t, rig.CaddyConfig{
		ServerName: rig.ServerName, Secret: "secret", Synapse: fmt.Sprintf("http://127.0.0.1:%d", rig.FreePort(t)),
		Options: "passwords {\n\tmin_length 12\n\tmin_score 3\n\tblocklist " + list + "\n}",
	})
	c.Start()
	login := func(password string) int {
		t.Helper()
		answer, err := rig.Call(c.URL, http.MethodPost, "/v3/login", "", rig.Login("alice", password, nil))
		if err != nil {
			t.Fatal(err)
		}
		return answer.Status
	}
	c.MustCommand("four unlikely words together\n", "user", "add", "alice", "--existing", "--force")
	for password, reason := range map[string]string{
		"x7#Qp2":                      "at least 12 characters",
		"qwertyuiop12":                "guessed first",
		"abcabcabcabcabc":             "easy to guess",
		"alice-example.test":          "made of the name",
		"zebra crossing umbrella":     "guessed first",
		"AUNT EMMA'S GARDEN GATE":     "", // neither as it is nor in small letters
		"the gate code is 4711 today": "guessed first",
	} {
		_, said, err := c.CommandBoth(password+"\n", "user", "set-password", "alice")
		if reason == "" {
			if err != nil {
				t.Errorf("%q is refused: %s", password, said)
			}
			c.MustCommand("four unlikely words together\n", "user", "set-password", "alice")
			continue
		}
		if err == nil || !strings.Contains(said, reason) || strings.Contains(said, password) {
			t.Errorf("%q: %v, %q, want %q", password, err, said, reason)
		}
	}
	if login("qwertyuiop12") == http.StatusOK {
		t.Error("a refused password was set")
	}
	c.MustCommand("qwertyuiop12\n", "user", "set-password", "alice", "--weak")
	if _, said, err := c.CommandBoth("short\n", "user", "set-password", "alice", "--weak"); err == nil || !strings.Contains(said, "8 characters") {
		t.Errorf("five characters: %v, %q", err, said)
	}
	c.MustCommand("qwertyuiop12\n", "user", "add", "bob", "--existing", "--force", "--weak")

	sorted("the gate code is 8203 today\n")
	if _, err := c.Command("the gate code is 8203 today\n", "user", "set-password", "alice"); err == nil {
		t.Error("a list that was put in place does not count")
	}
	c.MustCommand("the gate code is 4711 today\n", "user", "set-password", "alice")
	if err := os.WriteFile(list, []byte("b\na\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run("", "validate", "--config", c.File()); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a list that is not sorted: %v", err)
	}
	log, err := os.ReadFile(c.LogFile())
	if err != nil || strings.Contains(string(log), "qwertyuiop12") || strings.Contains(string(log), "gate code") {
		t.Errorf("%v; the log has a password", err)
	}
}
