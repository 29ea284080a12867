package tests

import (
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestMachine holds that the rig's machine is one that owners have: two at once do not meet, what is on the disk
// survives a reboot, and Caddy runs as Debian's package has it.
func TestMachine(t *testing.T) {
	m, other := rig.Boot(t, rig.MachineConfig{}), rig.Boot(t, rig.MachineConfig{})
	m.ShowJournal("caddy")
	if unit := m.Must("root", "systemctl show caddy --property=User,PrivateTmp,ProtectSystem,ActiveState"); unit != "User=caddy\nPrivateTmp=yes\nProtectSystem=full\nActiveState=active\n" {
		t.Errorf("the unit has\n%s", unit)
	}
	m.Must("root", "touch /root/mine && systemctl stop caddy")
	other.Must("root", "test ! -e /root/mine && systemctl is-active caddy")
	if who := m.Must("caddy", `whoami; pwd; echo "$HOME"`); who != "caddy\n/var/lib/caddy\n/var/lib/caddy\n" {
		t.Errorf("a command of Caddy's user sees %q", who)
	}
	if r := m.Type("root", "tty; read -r line; echo got $line", "typed"); r.Err != nil || !strings.HasPrefix(r.Out, "/dev/pts/") || !strings.HasSuffix(r.Out, "got typed\n") {
		t.Errorf("a terminal showed %+v", r)
	}
	m.Reboot()
	m.Must("root", "test -e /root/mine && systemctl is-active caddy")
}
