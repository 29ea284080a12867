package rig

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Mail is a running mail server, which keeps what it gets: aiosmtpd, on three ports of the loopback.
type Mail struct {
	// Dir holds its files. Each message is one in Dir/messages, which mail.py describes.
	Dir string
	// STARTTLS and TLS are where it wants encryption and the credentials, Plain is where it wants neither; each
	// is HOST:PORT.
	STARTTLS, TLS, Plain string
	User, Password       string
	// Authority is a file of the authority that made its certificate.
	Authority string

	t    testing.TB
	proc *process
}

// Message is a mail as the server understood it.
type Message struct {
	Subject, Text, HTML, Raw string
	Headers                  map[string][]string
	// Sender and Recipients are those of the envelope; for sendmail the recipients are its arguments.
	Sender     string
	Recipients []string
	// Transport is starttls, tls, plain or sendmail, and User who proved to be it.
	Transport, User string
	Encrypted       bool
	// Defects is what Python finds wrong with its form.
	Defects []string
}

// StartMail starts a mail server.
func StartMail(t testing.TB) *Mail {
	t.Helper()
	m := &Mail{Dir: t.TempDir(), User: "matrix@example.test", Password: rand.Text(), t: t}
	// By the name, as certificates of mail servers have it.
	for _, address := range []*string{&m.STARTTLS, &m.TLS, &m.Plain} {
		*address = "localhost:" + strconv.Itoa(FreePort(t))
	}
	m.Authority = filepath.Join(m.Dir, "authority.pem")
	if err := errors.Join(os.Mkdir(filepath.Join(m.Dir, "messages"), 0o777), certify(m.Dir)); err != nil {
		t.Fatal(err)
	}
	showLog(t, m.logFile())
	t.Cleanup(m.Stop)
	m.Start()
	return m
}

// certify writes an authority and a certificate of it for the loopback: authority.pem, certificate.pem and key.pem.
func certify(dir string) error {
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority of a test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	authority, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		return err
	}
	certificate, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	write := func(name, kind string, bytes []byte) error {
		return os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600)
	}
	return errors.Join(err, write("authority.pem", "CERTIFICATE", authority), write("certificate.pem", "CERTIFICATE", certificate), write("key.pem", "PRIVATE KEY", private))
}

func (m *Mail) logFile() string { return filepath.Join(m.Dir, "mail.log") }

// Start starts one that is not running, on the ports that it had.
func (m *Mail) Start() {
	m.t.Helper()
	args := []string{mailProgram(), "serve", m.Dir, filepath.Join(m.Dir, "certificate.pem"), filepath.Join(m.Dir, "key.pem")}
	for _, address := range []string{m.STARTTLS, m.TLS, m.Plain} {
		args = append(args, address[strings.LastIndexByte(address, ':')+1:])
	}
	var err error
	m.proc, err = launch(m.Dir, m.logFile(), []string{"MAIL_USER=" + m.User, "MAIL_PASSWORD=" + m.Password}, Cache(m.t, "mail", "bin", "python"), args...)
	if err != nil {
		m.t.Fatal(err)
	}
	// The last of its ports is opened last.
	err = await(func() error {
		conn, err := net.Dial("tcp", m.Plain)
		if err != nil {
			return err
		}
		return conn.Close()
	}, m.proc.done)
	if err != nil {
		m.t.Fatalf("the mail server: %v", err)
	}
}

func mailProgram() string { return filepath.Join(Tests(), "rig", "mail.py") }

// Stop ends it; what it got stays.
func (m *Mail) Stop() {
	m.t.Helper()
	if m.proc == nil {
		return
	}
	if err := m.proc.end(syscall.SIGTERM); err != nil {
		m.t.Error(err)
	}
	m.proc = nil
}

// Sendmail writes a program that keeps messages where the server does, as the local sendmail of a machine would take
// them, and returns its path.
func (m *Mail) Sendmail() string {
	m.t.Helper()
	path := filepath.Join(m.Dir, "sendmail")
	script := fmt.Sprintf("#!/bin/sh\nexec %s %s sendmail %s \"$@\"\n", Cache(m.t, "mail", "bin", "python"), mailProgram(), m.Dir)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// Option is the block of the Caddyfile that sends by it, with STARTTLS and the credentials; more stands in it.
func (m *Mail) Option(more string) string {
	return fmt.Sprintf("\nmail {\n\tfrom \"Example <%s>\"\n\tsmtp %s starttls\n\tuser %[1]s\n\tpassword %[3]s\n\t%[4]s\n}\n", m.User, m.STARTTLS, m.Password, more)
}

// Env has a program trust the authority of the certificate.
func (m *Mail) Env() []string { return []string{"SSL_CERT_FILE=" + m.Authority} }

// Behave has it meet recipients in another way from now on: "" takes them, "greylist" refuses the first attempt for
// each, "refuse" refuses for good, "hang" does not answer until that changes.
func (m *Mail) Behave(how string) {
	m.t.Helper()
	fresh := filepath.Join(m.Dir, "behaviour.fresh")
	if err := errors.Join(os.WriteFile(fresh, []byte(how), 0o600), os.Rename(fresh, filepath.Join(m.Dir, "behaviour"))); err != nil {
		m.t.Fatal(err)
	}
}

// Messages returns what has come so far to a recipient, empty for all, the oldest first.
func (m *Mail) Messages(recipient string) (all []Message) {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.Dir, "messages", "*.json"))
	if err != nil {
		m.t.Fatal(err)
	}
	slices.Sort(files)
	for _, file := range files {
		var one Message
		text, err := os.ReadFile(file)
		if err := cmp.Or(err, json.Unmarshal(text, &one)); err != nil {
			m.t.Fatalf("%s: %v", file, err)
		}
		if recipient == "" || slices.ContainsFunc(one.Recipients, func(to string) bool { return strings.Contains(to, recipient) }) {
			all = append(all, one)
		}
	}
	return all
}

// Await waits until more than some messages have come to a recipient, and returns the first after those. Only messages
// count whose subject or text holds about, if that is not empty.
func (m *Mail) Await(recipient, about string, after int) (message Message) {
	m.t.Helper()
	Await(m.t, fmt.Sprintf("mail to %s about %q", recipient, about), func() error {
		all := slices.DeleteFunc(m.Messages(recipient), func(one Message) bool { return !strings.Contains(one.Subject+"\n"+one.Text, about) })
		if len(all) <= after {
			return fmt.Errorf("%d have come", len(all))
		}
		message = all[after]
		return nil
	})
	if len(message.Defects) != 0 {
		m.t.Errorf("the mail %q has faults of form: %q", message.Subject, message.Defects)
	}
	return message
}
