package rig

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// nobody is the user as whom PostgreSQL runs in tests that root runs, as it refuses to run as root.
const nobody = 65534

// Postgres is a running PostgreSQL of a test, with an empty database as Synapse wants one. It listens on a port of the
// loopback, where it asks for the password, and on a socket in Dir, where it asks for none.
type Postgres struct {
	// Dir holds the socket and its files.
	Dir string
	// Port is that of both.
	Port int
	// Password is that of the user "synapse", who owns the database "synapse".
	Password string
	t        testing.TB
	bin      string
	proc     *process
}

// StartPostgres makes a PostgreSQL and starts it. Nothing of it is left after the test.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	// Not the test's directory: the path of a socket is short, and only root may pass that one.
	dir, err := os.MkdirTemp("", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	p := &Postgres{Dir: dir, Port: FreePort(t), Password: rand.Text(), t: t, bin: postgresPrograms(t)}
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(p.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := errors.Join(os.Chown(dir, nobody, nobody), os.Chown(secret, nobody, nobody)); err != nil {
			t.Fatal(err)
		}
	}
	p.must(p.command("initdb", "--pgdata", p.data(), "--username", "synapse", "--pwfile", secret, "--auth-host", "scram-sha-256",
		"--auth-local", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"), "")
	showLog(t, p.logFile())
	t.Cleanup(p.Stop)
	p.Start()
	p.must(p.command("createdb", "--host", p.Dir, "--port", fmt.Sprint(p.Port), "--username", "synapse", "synapse"), "")
	return p
}

// postgresPrograms is the directory of PostgreSQL's programs: Debian has it outside of the PATH.
func postgresPrograms(t testing.TB) string {
	t.Helper()
	places, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(places) // the newest first
	for _, dir := range append(places, filepath.SplitList(os.Getenv("PATH"))...) {
		if !slices.ContainsFunc([]string{"initdb", "postgres", "psql"}, func(program string) bool {
			_, err := exec.LookPath(filepath.Join(dir, program))
			return err != nil
		}) {
			return dir
		}
	}
	t.Fatal("PostgreSQL is missing; run tests/setup.sh")
	return ""
}

func (p *Postgres) data() string    { return filepath.Join(p.Dir, "data") }
func (p *Postgres) logFile() string { return filepath.Join(p.Dir, "postgres.log") }

// user is the id of whom PostgreSQL's programs run as; zero for whoever runs the tests.
func (p *Postgres) user() int {
	if os.Geteuid() == 0 {
		return nobody
	}
	return 0
}

func (p *Postgres) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, program), args...)
	cmd.Dir = p.Dir
	if user := p.user(); user != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}}
	}
	return cmd
}

func (p *Postgres) must(cmd *exec.Cmd, input string) string {
	p.t.Helper()
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &said
	if err := cmd.Run(); err != nil {
		p.t.Fatalf("%s: %v\n%s%s", filepath.Base(cmd.Path), err, out.String(), said.String())
	}
	return out.String()
}

// Start starts one that was stopped, on the port and the data that it had.
func (p *Postgres) Start() {
	p.t.Helper()
	var err error
	// What is not written at once is lost with the machine, and a test loses its data anyway. Shared memory is in its
	// directory, so that none is left on the machine after a kill.
	p.proc, err = launchAs(p.user(), p.Dir, p.logFile(), nil, filepath.Join(p.bin, "postgres"), "-D", p.data(), "-p", fmt.Sprint(p.Port), "-h", "127.0.0.1",
		"-k", p.Dir, "-c", "fsync=off", "-c", "dynamic_shared_memory_type=mmap")
	if err != nil {
		p.t.Fatal(err)
	}
	if err := await(func() error { return p.query("postgres", "SELECT 1").Run() }, p.proc.done); err != nil {
		p.t.Fatalf("PostgreSQL: %v", err)
	}
}

// Stop ends it, whoever is connected.
func (p *Postgres) Stop() {
	p.t.Helper()
	if p.proc == nil {
		return
	}
	if err := p.proc.end(syscall.SIGINT); err != nil {
		p.t.Error(err)
	}
	p.proc = nil
}

func (p *Postgres) query(database, statement string) *exec.Cmd {
	return p.command("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", "--host", p.Dir, "--port", fmt.Sprint(p.Port),
		"--username", "synapse", "--dbname", database, "--command", statement)
}

// Query runs statements and returns the rows, each a line of columns with | between them.
func (p *Postgres) Query(statements string) string {
	p.t.Helper()
	return strings.TrimSpace(p.must(p.query("synapse", statements), ""))
}

// YAML is the setting "database" of a Synapse that uses it, over the loopback.
func (p *Postgres) YAML() string {
	return fmt.Sprintf("{name: psycopg2, args: {user: synapse, password: %q, dbname: synapse, host: 127.0.0.1, port: %d, cp_min: 1, cp_max: 5}}", p.Password, p.Port)
}

// SocketYAML is YAML for one that uses the socket.
func (p *Postgres) SocketYAML() string {
	return fmt.Sprintf("{name: psycopg2, args: {user: synapse, dbname: synapse, host: %q, port: %d, cp_min: 1, cp_max: 5}}", p.Dir, p.Port)
}
