package rig

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// CaddyConfig says which Caddy to run.
type CaddyConfig struct {
	ServerName string
	// Synapse is the client API of the homeserver.
	Synapse string
	Secret  string
	// InternalPort is where the homeserver asks; zero for a free one.
	InternalPort int
	// SitePort is where clients come; zero for a free one.
	SitePort int
	// Options stand in the directive's block.
	Options string
	// Tag is the build tag of the binary.
	Tag string
	// Program is the path of the binary; empty for one of this checkout.
	Program string
	// Ready is the path that answers once Caddy has started; empty for that of the login.
	Ready string
	// Env is added to the environment.
	Env []string
	// User is the id of the user as whom Caddy runs; zero for whoever runs the tests. Only root can choose.
	User int
}

// Caddy is a running Caddy with the module.
type Caddy struct {
	CaddyConfig
	// Dir holds its files, the Caddyfile among them.
	Dir string
	// URL is the site, and the issuer.
	URL string
	// Internal is the listener for the homeserver.
	Internal string
	t        testing.TB
	binary   string
	proc     *process
}

// NewCaddy writes the configuration of a Caddy that is not started.
func NewCaddy(t testing.TB, c CaddyConfig) *Caddy {
	t.Helper()
	if c.SitePort == 0 {
		c.SitePort = FreePort(t)
	}
	if c.InternalPort == 0 {
		c.InternalPort = FreePort(t)
	}
	binary := c.Program
	if binary == "" {
		binary = Binary(t, c.Tag)
	}
	caddy := &Caddy{
		CaddyConfig: c, Dir: t.TempDir(), t: t, binary: binary,
		URL: fmt.Sprintf("http://127.0.0.1:%d", c.SitePort), Internal: fmt.Sprintf("http://127.0.0.1:%d/", c.InternalPort),
	}
	if c.User != 0 {
		caddy.giveAway()
	}
	caddy.Write(caddy.Text(""))
	showLog(t, caddy.LogFile())
	t.Cleanup(caddy.Stop)
	return caddy
}

// giveAway moves Caddy into a directory of its user, below one that everybody may pass, with a binary that
// everybody may run.
func (c *Caddy) giveAway() {
	c.t.Helper()
	dir, err := os.MkdirTemp("", "caddy")
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			c.t.Error(err)
		}
	})
	program, err := os.ReadFile(c.binary)
	c.Dir, c.binary = dir, filepath.Join(dir, "caddy")
	if err := errors.Join(err, os.WriteFile(c.binary, program, 0o755), os.Chmod(dir, 0o755), os.Chown(dir, c.User, c.User)); err != nil {
		c.t.Fatal(err)
	}
}

// Text is the Caddyfile. more stands in the site before the proxy.
func (c *Caddy) Text(more string) string {
	return fmt.Sprintf(`{
	admin unix/%[1]s/admin.sock
	auto_https off
	skip_install_trust
}
%[2]s {
	matrix_auth %[3]s %[2]s {
		matrix {
			endpoint %[4]s
			secret {env.MATRIX_SECRET}
		}
		database %[1]s/matrix_auth.db
		internal_listen 127.0.0.1:%[5]d
		%[6]s
	}
	%[7]s
	reverse_proxy %[4]s
}
`, c.Dir, c.URL, c.ServerName, c.Synapse, c.InternalPort, c.Options, more)
}

// TextBefore is the Caddyfile of somebody who does not have the directive yet.
func (c *Caddy) TextBefore() string {
	return fmt.Sprintf(`{
	admin unix/%s/admin.sock
	auto_https off
	skip_install_trust
}
%s {
	reverse_proxy %s
}
`, c.Dir, c.URL, c.Synapse)
}

// Write replaces the Caddyfile.
func (c *Caddy) Write(text string) {
	c.t.Helper()
	mode := os.FileMode(0o600)
	if c.User != 0 {
		mode = 0o644
	}
	if err := os.WriteFile(c.File(), []byte(text), mode); err != nil {
		c.t.Fatal(err)
	}
}

// File is the path of the Caddyfile.
func (c *Caddy) File() string { return filepath.Join(c.Dir, "Caddyfile") }

// Database is the path of the database.
func (c *Caddy) Database() string { return filepath.Join(c.Dir, "matrix_auth.db") }

// LogFile is where Caddy's log goes.
func (c *Caddy) LogFile() string { return filepath.Join(c.Dir, "caddy.log") }

func (c *Caddy) env() []string {
	return append([]string{
		"MATRIX_SECRET=" + c.Secret, "HOME=" + c.Dir, "XDG_DATA_HOME=" + c.Dir + "/data", "XDG_CONFIG_HOME=" + c.Dir + "/config",
	}, c.Env...)
}

// Start starts Caddy and waits until the site answers.
func (c *Caddy) Start() {
	c.t.Helper()
	var err error
	c.proc, err = launchAs(c.User, c.Dir, c.LogFile(), c.env(), c.binary, "run", "--config", c.File())
	if err != nil {
		c.t.Fatal(err)
	}
	if err := await(func() error { return Answers(c.URL + cmp.Or(c.Ready, "/_matrix/client/v3/login")) }, c.proc.done); err != nil {
		c.t.Fatalf("Caddy: %v", err)
	}
}

// Stop ends Caddy as a service manager does.
func (c *Caddy) Stop() {
	c.t.Helper()
	if c.proc == nil {
		return
	}
	if err := c.proc.end(syscall.SIGTERM); err != nil {
		c.t.Error(err)
	}
	c.proc = nil
}

// Kill ends Caddy as a loss of power does.
func (c *Caddy) Kill() {
	c.t.Helper()
	if err := c.proc.end(syscall.SIGKILL); err != nil {
		c.t.Error(err)
	}
	c.proc = nil
}

// Gone waits until Caddy has ended by itself.
func (c *Caddy) Gone() { <-c.proc.done; c.proc = nil }

// PID is the process id.
func (c *Caddy) PID() int { return c.proc.cmd.Process.Pid }

// Reload has Caddy load the Caddyfile again.
func (c *Caddy) Reload() error {
	_, err := c.Run("", "reload", "--config", c.File(), "--force")
	return err
}

// Command runs "caddy matrix-auth" with arguments and gives its standard output.
func (c *Caddy) Command(stdin string, args ...string) (string, error) {
	return c.Run(stdin, append(append([]string{"matrix-auth"}, args...), "--config", c.File())...)
}

// CommandBoth is Command with what it wrote to standard error.
func (c *Caddy) CommandBoth(stdin string, args ...string) (out, said string, err error) {
	return c.run(stdin, append(append([]string{"matrix-auth"}, args...), "--config", c.File())...)
}

// MustCommand fails the test if the command does.
func (c *Caddy) MustCommand(stdin string, args ...string) string {
	c.t.Helper()
	out, err := c.Command(stdin, args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// Run runs Caddy's binary beside the server.
func (c *Caddy) Run(stdin string, args ...string) (string, error) {
	out, _, err := c.run(stdin, args...)
	return out, err
}

// Cmd is the binary beside the server, not started yet.
func (c *Caddy) Cmd(args ...string) *exec.Cmd {
	cmd := exec.Command(c.binary, args...)
	cmd.Dir, cmd.Env = c.Dir, append(os.Environ(), c.env()...)
	return cmd
}

func (c *Caddy) run(stdin string, args ...string) (out, said string, err error) {
	cmd := c.Cmd(args...)
	var text, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewBufferString(stdin), &text, &problems
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("caddy %v: %w\n%s%s", args, err, text.String(), problems.String())
	}
	return text.String(), problems.String(), err
}

// Measure runs a command beside the server, and returns its time and the most memory that it had, in MB.
func (c *Caddy) Measure(args ...string) (took time.Duration, mostMB float64) {
	c.t.Helper()
	cmd := exec.Command(c.binary, append(append([]string{"matrix-auth"}, args...), "--config", c.File())...)
	cmd.Dir, cmd.Env = c.Dir, append(os.Environ(), c.env()...)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("caddy %v: %v\n%s", args, err, out)
	}
	return time.Since(began), float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
}
