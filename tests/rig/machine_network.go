package rig

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// authority is where Caddy keeps the certificate of its own authority, which stands in for a public one.
const authority = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"

// TrustCaddy has the machine's own programs trust Caddy's certificates, once it has an authority.
func (m *Machine) TrustCaddy() {
	m.t.Helper()
	m.Must("root", "cp "+authority+" /usr/local/share/ca-certificates/caddy.crt && update-ca-certificates >/dev/null 2>&1")
}

// Browser returns an HTTP client on the machine's network. Every name leads to the machine itself, and Caddy's
// certificates are trusted.
func (m *Machine) Browser() *http.Client {
	m.t.Helper()
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM([]byte(m.Read(authority))) {
		m.t.Fatal("Caddy has no authority of its own")
	}
	transport := &http.Transport{DialContext: m.dial, TLSClientConfig: &tls.Config{RootCAs: trusted}, ForceAttemptHTTP2: true}
	m.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// dial connects to a port of the machine. The thread that enters its network is not used again: Go ends it with
// the goroutine that locked it.
func (m *Machine) dial(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	type dialled struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialled, 1)
	go func() {
		runtime.LockOSThread()
		namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.leader))
		if err != nil {
			done <- dialled{err: err}
			return
		}
		defer namespace.Close()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- dialled{err: err}
			return
		}
		var d net.Dialer
		// An address and not a name: a name may be dialled by another goroutine.
		conn, err := d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		done <- dialled{conn, err}
	}()
	result := <-done
	return result.conn, result.err
}

// Visit makes a command of a program of the host, such as a client on Node.js, that sees the machine's network and
// names, and trusts Caddy's certificates.
func (m *Machine) Visit(ctx context.Context, program string, args ...string) *exec.Cmd {
	m.t.Helper()
	dir := m.t.TempDir()
	hosts, certificate := filepath.Join(dir, "hosts"), filepath.Join(dir, "authority.pem")
	for file, text := range map[string]string{hosts: m.Read("/etc/hosts"), certificate: m.Read(authority)} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(m.leader), "--net", "--",
		"unshare", "--mount", "--", "sh", "-ec", `mount --make-rprivate /; mount --bind "$HOSTS" /etc/hosts; exec "$@"`, "sh", program}, args...)...)
	cmd.Env = append(os.Environ(), "HOSTS="+hosts, "NODE_EXTRA_CA_CERTS="+certificate)
	return cmd
}
