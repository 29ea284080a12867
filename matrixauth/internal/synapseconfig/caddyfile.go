package synapseconfig

import (
	"net"
	"regexp"
	"strconv"
	"strings"
)

// The bounds of our option passwords min_length.
const (
	leastLength = 8
	mostLength  = 64
)

var (
	// plainHost is a name or an address that needs no quotes in a Caddyfile.
	plainHost = regexp.MustCompile(`^[A-Za-z0-9.:_-]+$`)
	// plainText stands in quotes in a Caddyfile and says what it says: nothing that ends the quotes or is a placeholder.
	plainText = regexp.MustCompile("^[^\"\\\\{}`\\x00-\\x1f]+$")
)

// CaddyfileLines returns the lines for the block of our directive that go on with what Synapse's settings say, inner
// ones indented by a tab. What has no counterpart is said by a comment. There is nothing to go on with once Synapse
// delegates: its settings say nothing of it then.
func (s *MoveSettings) CaddyfileLines() []string {
	if s.Delegated {
		return nil
	}
	mail := s.mailLines()
	lines := s.registrationLines(len(mail) > 0)
	lines = append(lines, s.passwordLines()...)
	return append(lines, mail...)
}

func (s *MoveSettings) registrationLines(mail bool) []string {
	r := s.Registration
	if !r.Open {
		return []string{"registration off"}
	}
	mode := "open"
	if r.Token {
		mode = "token"
	}
	var inner, remarks []string
	switch {
	case r.Email && mail:
		inner = append(inner, "\temail required")
	case r.Email:
		remarks = append(remarks, "# Synapse asks for a mail address, which needs a block mail here; then write: email required")
	}
	if r.Approval {
		inner = append(inner, "\tapproval")
	}
	if r.Consent != "" {
		remarks = append(remarks, "# Synapse asks for consent to terms. Where they can be read is to be said in registration: terms https://ADDRESS VERSION")
	}
	if r.EmailDomains {
		remarks = append(remarks, "# Synapse lets only some mail addresses register (allowed_local_3pids): look at registration { email_domains { allowed } }.")
	}
	if r.Phone {
		remarks = append(remarks, "# Synapse asks for a telephone number, which has no counterpart here.")
	}
	if r.Captcha {
		remarks = append(remarks, "# Synapse asks for a captcha, which has no counterpart here.")
	}
	return append(block("registration "+mode, inner), remarks...)
}

func (s *MoveSettings) passwordLines() []string {
	var lines []string
	switch least := s.Policy.MinLength; {
	case least > mostLength:
		lines = append(lines, "# Synapse asks for passwords of "+strconv.Itoa(least)+" characters; the most that can be asked for here are "+strconv.Itoa(mostLength)+".")
	case least > leastLength:
		lines = append(lines, block("passwords", []string{"\tmin_length " + strconv.Itoa(least)})...)
	}
	if len(s.Policy.Requires) > 0 {
		lines = append(lines, "# Synapse asks new passwords for kinds of characters ("+strings.Join(s.Policy.Requires, ", ")+"). Here a password must be hard to guess instead: passwords { min_score }.")
	}
	return lines
}

func (s *MoveSettings) mailLines() []string {
	m := s.Mail
	if m.Host == "" || !plainHost.MatchString(m.Host) || !plainHost.MatchString(m.Port) || !plainText.MatchString(m.From) || m.User != "" && !plainText.MatchString(m.User) {
		return nil
	}
	local := m.Host == "localhost" || net.ParseIP(m.Host).IsLoopback()
	security := "starttls"
	var remarks []string
	switch {
	case m.ForceTLS:
		security = "tls"
	case m.RequireTLS:
	case local:
		security = "plain"
	default:
		remarks = append(remarks, "# Synapse sends in clear to a mail server without STARTTLS. Here nothing is sent then.")
	}
	inner := []string{"\tfrom " + `"` + m.From + `"`, "\tsmtp " + net.JoinHostPort(m.Host, m.Port) + " " + security}
	if m.User != "" {
		inner = append(inner, "\tuser "+`"`+m.User+`"`, "\tpassword {env.MAIL_PASSWORD}")
		remarks = append(remarks, "# The password is smtp_pass of homeserver.yaml, as a variable of the service or in a password_file.")
	}
	return append(block("mail", inner), remarks...)
}

// block returns a line with a block behind it, or the line alone if nothing is in it.
func block(head string, inner []string) []string {
	if len(inner) == 0 {
		return []string{head}
	}
	return append(append([]string{head + " {"}, inner...), "}")
}
