package mail

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const (
	testUser     = "matrix@example.test"
	testPassword = "a password of the mail server"
)

// received is a message that the server of the tests took.
type received struct{ from, to, content string }

// server is a real SMTP server in this process, which can be told to be difficult.
type server struct {
	address string
	roots   *x509.CertPool

	mu   sync.Mutex
	took []received
	// the answers at the steps of a dialogue; nil means that they succeed.
	mailFails, rcptFails, dataFails error
	// ways are the ways to log in; nil means PLAIN.
	ways []string
	// needsLogin has the server refuse mails of strangers.
	needsLogin bool
}

// certificate makes one for the loopback, and the authority that proves it.
func certificate(t testing.TB, host string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// kind says how a server of the tests listens.
type kind struct {
	implicit bool
	noTLS    bool
	certHost string
}

func startServer(t testing.TB, k kind) *server {
	t.Helper()
	if k.certHost == "" {
		k.certHost = "127.0.0.1"
	}
	s := &server{}
	cert, roots := certificate(t, k.certHost)
	s.roots = roots
	engine := smtp.NewServer(s)
	engine.Domain, engine.AllowInsecureAuth, engine.ErrorLog = "mail.example.test", true, silent{}
	engine.EnableSMTPUTF8 = true
	trust := &tls.Config{Certificates: []tls.Certificate{cert}}
	if !k.noTLS && !k.implicit {
		engine.TLSConfig = trust
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	if k.implicit {
		listener = tls.NewListener(listener, trust)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = engine.Serve(listener) // ends with Close
	}()
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
		// The engine does not know it yet if the test was quicker than Serve.
		_ = listener.Close()
		<-done
	})
	return s
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// NewSession makes it a backend.
func (s *server) NewSession(*smtp.Conn) (smtp.Session, error) { return &dialogue{server: s}, nil }

// messages are those that were taken.
func (s *server) messages() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.took...)
}

type dialogue struct {
	server   *server
	loggedIn bool
	now      received
}

func (d *dialogue) AuthMechanisms() []string {
	if d.server.ways != nil {
		return d.server.ways
	}
	return []string{sasl.Plain}
}

func (d *dialogue) Auth(mechanism string) (sasl.Server, error) {
	check := func(user, password string) error {
		if user != testUser || password != testPassword {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "the credentials of " + user + " are wrong: " + password}
		}
		d.loggedIn = true
		return nil
	}
	if mechanism == sasl.Login {
		return &loginServer{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
}

// loginServer is the server's side of LOGIN, which the library has no more.
type loginServer struct {
	check func(user, password string) error
	user  string
	step  int
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

func (d *dialogue) Mail(from string, _ *smtp.MailOptions) error {
	if d.server.needsLogin && !d.loggedIn {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "log in first"}
	}
	d.now.from = from
	return d.server.mailFails
}

func (d *dialogue) Rcpt(to string, _ *smtp.RcptOptions) error {
	d.now.to = to
	return d.server.rcptFails
}

func (d *dialogue) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if d.server.dataFails != nil {
		return d.server.dataFails
	}
	d.now.content = string(content)
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	d.server.took = append(d.server.took, d.now)
	return nil
}

func (d *dialogue) Reset()        { d.now = received{} }
func (d *dialogue) Logout() error { return nil }

// reply is an answer of a server.
func reply(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text}
}

// at is the stage of an error.
func at(t testing.TB, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no error of ours", err)
	}
	return e
}
