package caddymodule

import (
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// writeFiles writes files below a directory, by their names.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
}

// serviceBy finds the service by units in two directories, /etc's and the packages'.
func serviceBy(t *testing.T, files map[string]string, flags ...string) (service, error) {
	t.Helper()
	dir := t.TempDir()
	before := unitDirs
	t.Cleanup(func() { unitDirs = before })
	unitDirs = []string{filepath.Join(dir, "etc"), filepath.Join(dir, "lib")}
	for name, text := range files {
		files[name] = strings.ReplaceAll(text, "DIR", dir)
	}
	writeFiles(t, dir, files)
	var found service
	var err error
	root := &cobra.Command{Use: "matrix-auth"}
	command.CobraFunc(root)
	root.AddCommand(&cobra.Command{Use: "find", RunE: func(cmd *cobra.Command, _ []string) error {
		if found, err = findService(cmd); err == nil {
			err = found.takeEnvfiles(cmd)
		}
		return nil
	}})
	root.SetArgs(append([]string{"find"}, flags...))
	must(t, root.ExecuteContext(t.Context()))
	return found, err
}

// TestService finds the user of the service and Caddy's data directory as systemd and Caddy have them.
func TestService(t *testing.T) {
	const packaged = "[Unit]\nDescription=Caddy\n\n[Service]\nType=notify\nUser=nobody\nGroup=nogroup\nExecStart=/usr/bin/caddy run --environ --config /etc/caddy/Caddyfile\nPrivateTmp=true\n"
	for name, test := range map[string]struct {
		files map[string]string
		flags []string
		// want is "user data-directory", or nothing if no service is known.
		want string
	}{
		"the packaged unit":         {map[string]string{"lib/caddy.service": packaged}, nil, "nobody /nonexistent/.local/share/caddy"},
		"no unit":                   {nil, nil, ""},
		"a unit of the owner's":     {map[string]string{"lib/caddy.service": packaged, "etc/caddy.service": "[Service]\nUser=daemon\nExecStart=/x\n"}, nil, "daemon /usr/sbin/.local/share/caddy"},
		"a user that is not there":  {map[string]string{"lib/caddy.service": "[Service]\nUser=no-such-user\nExecStart=/x\n"}, nil, ""},
		"a user by id":              {map[string]string{"lib/caddy.service": "[Service]\nUser=65534\nExecStart=/x\n"}, nil, "nobody /nonexistent/.local/share/caddy"},
		"a dynamic user":            {map[string]string{"lib/caddy.service": "[Service]\nUser=nobody\nDynamicUser=yes\nExecStart=/x\n"}, nil, ""},
		"a masked unit":             {map[string]string{"lib/caddy.service": packaged, "etc/caddy.service": ""}, nil, ""},
		"root, who has no home":     {map[string]string{"lib/caddy.service": "[Service]\nExecStart=/x\n"}, nil, "root /caddy"},
		"root in another directory": {map[string]string{"lib/caddy.service": "[Service]\nWorkingDirectory=/srv\nExecStart=/x\n"}, nil, "root /srv/caddy"},
		"a drop-in":                 {map[string]string{"lib/caddy.service": packaged, "etc/caddy.service.d/override.conf": "[Service]\nEnvironment=XDG_DATA_HOME=/srv/data\n"}, nil, "nobody /srv/data/caddy"},
		"a home in a drop-in":       {map[string]string{"lib/caddy.service": packaged, "etc/caddy.service.d/override.conf": "[Service]\nEnvironment=\"HOME=/srv/ca ddy\" A=b\n"}, nil, "nobody /srv/ca ddy/.local/share/caddy"},
		"drop-ins in their order":   {map[string]string{"lib/caddy.service": packaged, "lib/caddy.service.d/b.conf": "[Service]\nUser=daemon\n", "etc/caddy.service.d/a.conf": "[Service]\nUser=bin\nEnvironment=HOME=/a\n"}, nil, "daemon /a/.local/share/caddy"},
		"one drop-in over another":  {map[string]string{"lib/caddy.service": packaged, "lib/caddy.service.d/a.conf": "[Service]\nUser=daemon\n", "etc/caddy.service.d/a.conf": "[Service]\nEnvironment=HOME=/a\n"}, nil, "nobody /a/.local/share/caddy"},
		"what is taken back":        {map[string]string{"lib/caddy.service": packaged + "Environment=HOME=/a\n", "etc/caddy.service.d/a.conf": "[Service]\nEnvironment=\nUser=\n"}, nil, "root /caddy"},
		"another section":           {map[string]string{"lib/caddy.service": packaged + "[X-Own]\nUser=daemon\n"}, nil, "nobody /nonexistent/.local/share/caddy"},
		"a line that goes on":       {map[string]string{"lib/caddy.service": packaged + "Environment=A=b \\\n# of the line\n  HOME=/a\n"}, nil, "nobody /a/.local/share/caddy"},
		"a comment":                 {map[string]string{"lib/caddy.service": packaged + "# Environment=HOME=/a\n;User=daemon\n"}, nil, "nobody /nonexistent/.local/share/caddy"},
		"a specifier":               {map[string]string{"lib/caddy.service": packaged + "Environment=HOME=%S/a%%b\n"}, nil, "nobody /var/lib/a%b/.local/share/caddy"},
		"a file of variables":       {map[string]string{"lib/caddy.service": packaged + "Environment=HOME=/a\nEnvironmentFile=-/nowhere\nEnvironmentFile=DIR/env\n", "env": "# c\nHOME='/of file'\n"}, nil, "nobody /of file/.local/share/caddy"},
		"the envfile of the unit":   {map[string]string{"lib/caddy.service": packaged, "etc/caddy.service.d/a.conf": "[Service]\nExecStart=\nExecStart=/usr/bin/caddy run --config /srv/Caddyfile --envfile DIR/env\n", "env": "export XDG_DATA_HOME=/srv # c\n"}, nil, "nobody /srv/caddy"},
		"--service-user":            {map[string]string{"lib/caddy.service": packaged}, []string{"--service-user", "daemon"}, "daemon /usr/sbin/.local/share/caddy"},
		"the unit's user by a flag": {map[string]string{"lib/caddy.service": packaged + "Environment=HOME=/a\n"}, []string{"--service-user", "nobody"}, "nobody /a/.local/share/caddy"},
		"a user without a name":     {nil, []string{"--service-user", "12345"}, "12345 /caddy"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.files == nil {
				test.files = map[string]string{}
			}
			found, err := serviceBy(t, test.files, test.flags...)
			got := ""
			if found.known {
				got = found.name + " " + found.data
			}
			if err != nil || found.problem != nil || got != test.want {
				t.Errorf("got %q, %v %v", got, err, found.problem)
			}
		})
	}
	t.Run("the user of the packages", func(t *testing.T) {
		packagedUser = "daemon"
		t.Cleanup(func() { packagedUser = "no-such-user" })
		if found, err := serviceBy(t, map[string]string{}); err != nil || found.name != "daemon" {
			t.Errorf("got %+v, %v", found, err)
		}
	})
	t.Run("the user of the packages without a unit, as in a container", func(t *testing.T) {
		who, err := user.Current()
		must(t, err)
		packagedUser = who.Username
		t.Cleanup(func() { packagedUser = "no-such-user" })
		t.Setenv("XDG_DATA_HOME", "/data")
		if found, err := serviceBy(t, map[string]string{}); err != nil || found.data != "/data/caddy" {
			t.Errorf("got %+v, %v", found, err)
		}
	})
	t.Run("a file of --envfile", func(t *testing.T) {
		dir := t.TempDir()
		writeFiles(t, dir, map[string]string{"env": "HOME=/of-the-flag\n"})
		found, err := serviceBy(t, map[string]string{"lib/caddy.service": packaged}, "--envfile", filepath.Join(dir, "env"))
		if err != nil || found.data != "/of-the-flag/.local/share/caddy" {
			t.Errorf("got %+v, %v", found, err)
		}
		if _, err := serviceBy(t, map[string]string{}, "--envfile", filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "--envfile") {
			t.Errorf("a file that is not there: %v", err)
		}
	})
}

// TestUnitEnvironment reads variables as systemd does; TestCommandsKnowTheUnit asks systemd.
func TestUnitEnvironment(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"A=b\n\n#C=d\n;E=f\n G = h i \n": {"A": "b", "G": "h i"},
		"A=\"b c\" \nB='d \\e'\n":        {"A": "b c", "B": `d \e`},
		"A=b\\\nc\nD=\"e\nf\"\n":         {"A": "bc", "D": "e\nf"},
		"A=\"\\$x \\\"q\\\" \\n\"\n":     {"A": `$x "q" \n`},
		"nothing\nA=b":                   {"A": "b"},
		"A=it's \"so\"\nB=c'\n":          {"A": `it's "so"`, "B": "c'"},
		"A='b' \"c\" d's\n":              {"A": "bcd's"},
		"A='b's c'\nB=x\n":               {"A": "bs c'", "B": "x"},
		"A=\nB=\"never\nends":            {"A": "", "B": "never\nends"},
	} {
		if got, err := parseUnitEnvironment(text); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q gave %q, %v; want %q", text, got, err, want)
		}
	}
}

// TestEnvfile reads variables as Caddy itself does, which is asked.
func TestEnvfile(t *testing.T) {
	for _, text := range []string{
		"A=b\nB=c d\n", "# A=x\nA=b # c\nB=\n", "export A=b\n", "A=\"b # c\"\nB=d\n", "A='two\nlines'\nB=x\n", "A=\"b \\\"c\\\" d\"\n",
		"A=\"b\" # c\nX=d\"\n", "A=b\r\nB=c\r\n", "A=it's\n", "A=\"", "  A=b  \n", "A==b\n", "A=\"one\ntwo \\\" three\nfour\"\nB=c\n", "A='b\"c'\n",
		"A\n", "=b\n", "A B=c\n", "A= b\n", "A=\"never\nends\n", "A=x\nA=y\n", "A=\\\"b\n", "A=\"a\r\nb\"\r\nB=c\r\n",
	} {
		file := filepath.Join(t.TempDir(), "env")
		must(t, os.WriteFile(file, []byte(text), 0o600))
		cmd := exec.CommandContext(t.Context(), "caddy", "environ", "--envfile", file)
		cmd.Env = []string{"IN_SCRIPT=1", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"}
		out, failed := cmd.CombinedOutput()
		got, err := parseEnvfile(text)
		if (err == nil) != (failed == nil) {
			t.Errorf("%q: Caddy says %v, and we say %v\n%s", text, failed, err, out)
			continue
		}
		for _, name := range []string{"A", "B"} {
			value, there := got[name]
			if strings.Contains(string(out), "\n"+name+"=") != (there && err == nil) || there && !strings.Contains(string(out), "\n"+name+"="+value+"\n") {
				t.Errorf("%q: we read %s=%q, and Caddy\n%s", text, name, value, out)
			}
		}
	}
}

// TestUnsetVariables finds the variables that a Caddyfile uses, and that are not set.
func TestUnsetVariables(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SET_VARIABLE", "")
	writeFiles(t, dir, map[string]string{
		"Caddyfile":   "{$UNSET_A} {$SET_VARIABLE} {$WITH_DEFAULT:x} {env.OTHER} {$UNSET_A}\nimport sites/*\nimport snippet x\n",
		"sites/one":   "x {$UNSET_B}\nimport ../sites/one\n",
		"unrelated":   "{$UNSET_C}",
		"config.json": "{$UNSET_D}",
	})
	file := filepath.Join(dir, "Caddyfile")
	text, err := os.ReadFile(file)
	must(t, err)
	if got := unsetVariables(file, string(text), 0); !slices.Equal(got, []string{"UNSET_A", "UNSET_B"}) {
		t.Errorf("got %q", got)
	}
	if got := unsetVariables(filepath.Join(dir, "config.json"), "{$UNSET_D}", 0); got != nil {
		t.Errorf("JSON has %q", got)
	}
}

// FuzzVariables reads any text of a unit or of a file of variables to its end, and makes no name of nothing.
func FuzzVariables(f *testing.F) {
	for _, text := range []string{"A=b", "[Service]\nEnvironment=\"A=b\\x41\" 'c'\nUser=%%S\\\n;\nEnvironment=", "A='b\nc' \"d\\", "A=\"x\\\"\n\"", "\\", "=", "A=\\u12"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u := unit{environment: map[string]string{}}
		u.read(text)
		u.read("[Service]\nEnvironment=" + text)
		u.flag("--envfile")
		if variables, err := parseEnvfile(text); err == nil && variables[""] != "" {
			t.Errorf("a variable without a name: %q", variables)
		}
		if _, err := parseUnitEnvironment(text); err != nil {
			t.Error(err)
		}
		unsetVariables("Caddyfile", text, maxImports)
	})
}

// TestEndlessFiles reads no more of a file of variables, or of authorities, than there may be: what a service
// names may be a link of its user's to a device.
func TestEndlessFiles(t *testing.T) {
	if _, err := readEnvironment("/dev/zero", parseEnvfile); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
	if _, err := readAuthorities("/dev/zero"); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
}
