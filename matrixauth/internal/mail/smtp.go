package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// Security is how the connection to an SMTP server is kept from being read.
type Security string

// The kinds of security, by the names of the configuration.
const (
	// TLS is there from the first byte (RFC 8314 section 3.3).
	TLS Security = "tls"
	// StartTLS must be offered by the server and taken (RFC 3207); without it nothing is sent.
	StartTLS Security = "starttls"
	// Plain is none.
	Plain Security = "plain"
)

// SMTP sends by an SMTP server.
type SMTP struct {
	Origin
	// Address is HOST:PORT.
	Address  string
	Security Security
	// User and Password prove us to the server; without a User nothing is proven.
	User, Password string
	// Roots are the authorities of the server's certificate; nil means those of the machine.
	Roots *x509.CertPool
}

// stepTimeout bounds each step of a dialogue: servers make strangers wait for the greeting. ctx bounds all of it.
const stepTimeout = 40 * time.Second

// Send makes a Sender of it.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	_, err := s.SendWithReceipt(ctx, m)
	return err
}

// SendWithReceipt makes a Receipter of it.
func (s *SMTP) SendWithReceipt(ctx context.Context, m Message) (receipt string, err error) {
	msg, err := s.compose(m)
	if err != nil {
		return "", err
	}
	to, server, release, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	// Asked for without need, it has servers refuse to pass the message on to those that do not know it (RFC 6531).
	server.SkipSMTPUTF8(isASCII(m.To))
	defer release()
	err = to.SendWithSMTPClient(server, msg)
	if msg.IsDelivered() {
		// What fails after the server took the message, such as the farewell, must not have it sent again.
		return s.redacted(msg.ServerResponse()), nil
	}
	return "", s.sendError(err)
}

// isASCII reports whether an address needs nothing beyond ASCII; its host is written as DNS has it in any case.
func isASCII(address string) bool {
	local, _, _ := strings.Cut(address, "@")
	return !strings.ContainsFunc(local, func(r rune) bool { return r > unicode.MaxASCII })
}

// Check makes a Checker of it: connection, TLS and credentials.
func (s *SMTP) Check(ctx context.Context) error {
	_, _, release, err := s.connect(ctx)
	if err != nil {
		return err
	}
	release()
	return nil
}

// connect greets the server, secures the connection and proves who we are. release says farewell.
func (s *SMTP) connect(ctx context.Context) (to *gomail.Client, server *smtp.Client, release func(), err error) {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return nil, nil, nil, fail(Connecting, 0, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, nil, nil, fail(Connecting, 0, err)
	}
	trust := &tls.Config{ServerName: host, RootCAs: s.Roots, MinVersion: tls.VersionTLS12}
	d := &dialer{ctx: ctx, security: s.Security, trust: trust}
	to, err = gomail.NewClient(host, gomail.WithPort(number), gomail.WithHELO(s.Host), gomail.WithTimeout(stepTimeout),
		gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithDialContextFunc(d.dial), gomail.WithoutNoop(), gomail.WithoutRset())
	if err != nil {
		return nil, nil, nil, fail(Connecting, 0, err)
	}
	server, err = to.DialToSMTPClientWithContext(ctx)
	if err != nil {
		d.close()
		return nil, nil, nil, s.stepError(d.stage, err)
	}
	release = func() {
		// Whether the farewell was heard changes nothing.
		_ = to.CloseWithSMTPClient(server)
		d.close()
	}
	if err := s.secure(server, trust); err != nil {
		release()
		return nil, nil, nil, err
	}
	if err := s.authenticate(server, host); err != nil {
		release()
		return nil, nil, nil, err
	}
	return to, server, release, nil
}

// dialer opens one connection, which ends with ctx.
type dialer struct {
	ctx      context.Context
	security Security
	trust    *tls.Config
	// stage is how far it came.
	stage Stage
	conn  net.Conn
	stop  func() bool
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.stage = Connecting
	var err error
	if d.conn, err = new(net.Dialer).DialContext(ctx, network, address); err != nil {
		return nil, err
	}
	raw := d.conn
	d.stop = context.AfterFunc(d.ctx, func() { _ = raw.Close() })
	if d.security != TLS {
		return d.conn, nil
	}
	d.stage = Securing
	secure := tls.Client(raw, d.trust)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	d.stage = Connecting
	d.conn = secure
	return secure, nil
}

// close ends the connection, if there is one.
func (d *dialer) close() {
	if d.stop != nil {
		d.stop()
	}
	if d.conn != nil {
		_ = d.conn.Close() // it is given up, so nothing can be lost
	}
}

// secure takes the server's STARTTLS, if that is what the configuration wants. A server that does not offer it, or
// somebody between who took the offer away, gets nothing (RFC 3207 section 6).
func (s *SMTP) secure(server *smtp.Client, trust *tls.Config) error {
	if s.Security != StartTLS {
		return nil
	}
	if offered, _ := server.Extension("STARTTLS"); !offered {
		return fail(Securing, 0, errors.New("the server offers no STARTTLS"))
	}
	if err := server.UpdateDeadline(stepTimeout); err != nil {
		return s.stepError(Securing, err)
	}
	if err := server.StartTLS(trust); err != nil {
		return s.stepError(Securing, err)
	}
	return nil
}

// authenticate proves who we are, if there is a user. Passwords in clear come first, as every server has one of these two
// ways, and they go over TLS or the loopback alone.
func (s *SMTP) authenticate(server *smtp.Client, host string) error {
	if s.User == "" {
		return nil
	}
	_, offered := server.Extension("AUTH")
	ways := strings.Fields(strings.ToUpper(offered))
	has := func(name string) bool {
		for _, way := range ways {
			if way == name {
				return true
			}
		}
		return false
	}
	// In clear they are refused by the configuration, but for the loopback.
	clear := s.Security == Plain
	var by smtp.Auth
	switch {
	case has("PLAIN"):
		by = smtp.PlainAuth("", s.User, s.Password, host, clear)
	case has("LOGIN"):
		by = smtp.LoginAuth(s.User, s.Password, host, clear)
	case has("SCRAM-SHA-256"):
		by = smtp.ScramSHA256Auth(s.User, s.Password)
	case has("CRAM-MD5"):
		by = smtp.CRAMMD5Auth(s.User, s.Password)
	case len(ways) == 0:
		return fail(Authenticating, 0, errors.New("the server offers no way to log in"))
	default:
		return fail(Authenticating, 0, errors.New("the server offers no way to log in that is known here, only "+strings.Join(ways, ", ")))
	}
	if err := server.UpdateDeadline(stepTimeout); err != nil {
		return s.stepError(Authenticating, err)
	}
	if err := server.Auth(by); err != nil {
		return s.stepError(Authenticating, err)
	}
	return nil
}

// stepError is the error of a step before the message. What a server says may repeat what it was sent.
func (s *SMTP) stepError(stage Stage, err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return fail(stage, reply.Code, errors.New("the server said "+s.redacted(reply.Error())))
	}
	return fail(stage, 0, err)
}

// stages are those at which the library says that a message was not taken.
var stages = map[gomail.SendErrReason]Stage{
	gomail.ErrGetSender: Composing, gomail.ErrGetRcpts: Composing, gomail.ErrNoUnencoded: Composing,
	gomail.ErrSMTPMailFrom: Sending, gomail.ErrSMTPRcptTo: Receiving, gomail.ErrSMTPData: Data, gomail.ErrSMTPDataClose: Data,
	gomail.ErrWriteContent: Connecting, gomail.ErrConnCheck: Connecting, gomail.ErrSMTPReset: Connecting,
}

// sendError is why a message was not taken.
func (s *SMTP) sendError(err error) error {
	var e *gomail.SendError
	if !errors.As(err, &e) {
		return fail(Connecting, 0, err)
	}
	stage, ok := stages[e.Reason]
	if !ok {
		stage = Connecting
	}
	text := s.redacted(oneLine(e.Error()))
	if id := e.MessageID(); id != "" {
		text = strings.TrimSuffix(text, ", affected message ID: "+id)
	}
	return fail(stage, e.ErrorCode(), errors.New(text))
}
