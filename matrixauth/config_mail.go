package matrixauth

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/notify"
)

// Mail says how mails are sent. Without a From there are none, and nothing that needs one is offered.
type Mail struct {
	// From is the sender, with or without a name before the address; ReplyTo is where answers go.
	From, ReplyTo string
	// SMTP is HOST:PORT of the mail server, Security how the connection to it is secured: "tls", "starttls" or "plain".
	SMTP, Security string
	// User and Password prove us to the mail server.
	User, Password string
	// Sendmail is the path of the sendmail command, which sends in place of a mail server.
	Sendmail string
	// Notices are the topics of which the holders of accounts are told; empty means all, and NoticesOff alone none.
	Notices []string
}

// DefaultSendmail is the path of the sendmail command on most machines.
const DefaultSendmail = mail.DefaultSendmail

// NoticesOff is the value of Notices by which nobody is told of anything.
const NoticesOff = "off"

// via returns who takes the mails, for people.
func (m Mail) via() string {
	if m.Sendmail != "" {
		return m.Sendmail
	}
	return m.SMTP
}

// on reports whether mails are sent.
func (m Mail) on() bool { return m.From != "" }

// empty reports whether nothing of it is configured.
func (m Mail) empty() bool {
	return m.From == "" && m.ReplyTo == "" && m.SMTP == "" && m.Security == "" && m.User == "" && m.Password == "" && m.Sendmail == "" && len(m.Notices) == 0
}

// withDefaults fills in the security that goes with the port: 465 is the port of TLS from the first byte (RFC 8314
// section 7.3), and on all others TLS begins by STARTTLS.
func (m Mail) withDefaults() Mail {
	if m.SMTP != "" && m.Security == "" {
		m.Security = string(mail.StartTLS)
		if _, port, err := net.SplitHostPort(m.SMTP); err == nil && port == "465" {
			m.Security = string(mail.TLS)
		}
	}
	return m
}

// problems returns what is wrong with it.
func (m Mail) problems() (all []Problem) {
	if m.empty() {
		return nil
	}
	add := func(option, text string) {
		if text != "" {
			all = append(all, Problem{option, text})
		}
	}
	if m.From == "" {
		add("mail", "names no sender; write from with an address, such as from matrix@example.com")
	} else {
		add("mail from", checkMailAddress(m.From))
	}
	if m.ReplyTo != "" {
		add("mail reply_to", checkMailAddress(m.ReplyTo))
	}
	switch {
	case m.SMTP == "" && m.Sendmail == "":
		add("mail", "does not say how mails are sent; write smtp HOST:PORT, such as smtp mail.example.com:587, or sendmail")
	case m.SMTP != "" && m.Sendmail != "":
		add("mail", "smtp and sendmail are both there; one of them is enough")
	case m.Sendmail != "":
		if !filepath.IsAbs(m.Sendmail) {
			add("mail sendmail", strconv.Quote(m.Sendmail)+" must be a whole path, such as "+DefaultSendmail)
		}
		if m.User != "" || m.Password != "" {
			add("mail user", "the sendmail command takes no user and no password; they go into its own configuration")
		}
	default:
		all = append(all, m.smtpProblems()...)
	}
	for _, topic := range m.Notices {
		switch {
		case topic == NoticesOff && len(m.Notices) > 1:
			add("mail notices", NoticesOff+" and other words are both there; write one or the other")
		case topic != NoticesOff && !slices.Contains(notify.Topics, topic):
			add("mail notices", strconv.Quote(topic)+" is not something that people are told of; write some of "+strings.Join(notify.Topics, ", ")+", or "+NoticesOff)
		}
	}
	return all
}

func (m Mail) smtpProblems() (all []Problem) {
	host, port, err := net.SplitHostPort(m.SMTP)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
		all = append(all, Problem{"mail smtp", strconv.Quote(m.SMTP) + " is not HOST:PORT, such as mail.example.com:587"})
	}
	switch mail.Security(m.Security) {
	case mail.TLS, mail.StartTLS:
	case mail.Plain:
		if m.User != "" && !IsLoopback(host) {
			all = append(all, Problem{"mail smtp", "with plain, the password would travel in clear to " + host + "; write starttls or tls, or leave user and password out"})
		}
	default:
		all = append(all, Problem{"mail smtp", strconv.Quote(m.Security) + " is not known; write tls, starttls or plain behind HOST:PORT"})
	}
	return all
}

func checkMailAddress(address string) string {
	if _, err := mail.ParseAddress(address); err != nil {
		return strconv.Quote(address) + " is not a mail address; write one such as matrix@example.com or \"Example <matrix@example.com>\""
	}
	return ""
}

// notices returns the topics of notices that are sent.
func (m Mail) notices() []string {
	if len(m.Notices) == 0 {
		return notify.Topics
	}
	return m.Notices
}

// mailer returns what sends mails by the configuration; nil if none is configured. Tests bring their own.
func (s *Server) mailer() mail.Sender {
	m := s.config.Mail
	switch {
	case !m.on() || s.core.aside:
		return nil
	case s.core.mailer != nil:
		return s.core.mailer
	}
	origin := mail.Origin{From: m.From, ReplyTo: m.ReplyTo, Host: s.mailHost(), Now: s.core.store.Now}
	if m.Sendmail != "" {
		return &mail.Sendmail{Origin: origin, Path: m.Sendmail}
	}
	return &mail.SMTP{Origin: origin, Address: m.SMTP, Security: mail.Security(m.Security), User: m.User, Password: m.Password}
}

// mailHost is our name among mail servers: the issuer's host. An address stands in brackets (RFC 5321 section 4.1.3).
func (s *Server) mailHost() string {
	address, err := netip.ParseAddr(strings.Trim(s.issuer.Host, "[]"))
	switch {
	case err != nil:
		return s.issuer.Host
	case address.Is4():
		return "[" + address.String() + "]"
	}
	return "[IPv6:" + address.String() + "]"
}

// wireMail makes what sends mails.
func (s *Server) wireMail() {
	s.letters = notify.New(notify.Config{
		Store: s.core.store, Outbox: s.core.outbox, Limiter: s.core.limiter, Pages: s.pages, Sender: s.mailer(), Topics: s.config.Mail.notices(),
		ServerName: s.config.ServerName, Now: s.core.store.Now, Logger: s.deps.Logger,
		Count: s.core.metrics.CountMail,
	})
}
