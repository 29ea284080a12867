package mail

import (
	"bufio"
	"context"
	"fmt"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

var testOrigin = Origin{From: "Exämple <matrix@example.test>", ReplyTo: "help@example.test", Host: "matrix.example.test", Now: func() time.Time { return testNow }}

var testMessage = Message{To: "alice@example.org", Subject: "Grüße", Text: "Hello,\n.\nthis is text.\n", HTML: "<p>Hello</p>", Language: "de"}

// sender makes one that trusts the server of the tests.
func (s *server) sender(security Security) *SMTP {
	return &SMTP{Origin: testOrigin, Address: s.address, Security: security, User: testUser, Password: testPassword, Roots: s.roots}
}

// TestSMTP: a message goes by each kind of connection and each way to log in (MAIL-13).
func TestSMTP(t *testing.T) {
	for name, test := range map[string]struct {
		kind     kind
		security Security
		ways     []string
	}{
		"starttls":                       {kind{}, StartTLS, nil},
		"tls":                            {kind{implicit: true}, TLS, nil},
		"plain":                          {kind{noTLS: true}, Plain, nil},
		"login":                          {kind{}, StartTLS, []string{"LOGIN"}},
		"login_in_clear_on_the_loopback": {kind{noTLS: true}, Plain, []string{"XOAUTH2", "LOGIN"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, test.kind)
			s.ways, s.needsLogin = test.ways, true
			sender := s.sender(test.security)
			if err := sender.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			receipt, err := sender.SendWithReceipt(t.Context(), testMessage)
			if err != nil || receipt == "" {
				t.Fatalf("%q %v", receipt, err)
			}
			took := s.messages()
			if len(took) != 1 || took[0].from != "matrix@example.test" || took[0].to != "alice@example.org" {
				t.Fatalf("%+v", took)
			}
			read, err := netmail.ReadMessage(strings.NewReader(took[0].content))
			if err != nil {
				t.Fatal(err)
			}
			for header, want := range map[string]string{
				"To": "<alice@example.org>", "Reply-To": "<help@example.test>", "Date": "Wed, 04 Mar 2026 05:06:07 +0000", "Auto-Submitted": "auto-generated", "Content-Language": "de", "Mime-Version": "1.0",
			} {
				if got := read.Header.Get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
			if from, err := read.Header.AddressList("From"); err != nil || from[0].Name != "Exämple" || from[0].Address != "matrix@example.test" {
				t.Errorf("From is %v, %v", from, err)
			}
			if id := read.Header.Get("Message-Id"); !strings.HasSuffix(id, "@matrix.example.test>") || !strings.HasPrefix(id, "<") {
				t.Errorf("Message-Id is %q", id)
			}
			if kind := read.Header.Get("Content-Type"); !strings.HasPrefix(kind, "multipart/alternative") {
				t.Errorf("Content-Type is %q", kind)
			}
			if read.Header.Get("User-Agent") != "" || read.Header.Get("X-Mailer") != "" {
				t.Error("the library names itself")
			}
		})
	}
}

// TestSMTPFailures: which failures pass. What the owner can mend is tried again, and what a server says of the reader or of
// the content is final (MAIL-13).
func TestSMTPFailures(t *testing.T) {
	for name, test := range map[string]struct {
		kind   kind
		set    func(*server, *SMTP)
		stage  Stage
		code   int
		passes bool
	}{
		"no_starttls":              {kind{noTLS: true}, nil, Securing, 0, true},
		"a_certificate_of_another": {kind{certHost: "other.example.test"}, nil, Securing, 0, true},
		"a_certificate_of_nobody":  {kind{}, func(_ *server, c *SMTP) { c.Roots = nil }, Securing, 0, true},
		"tls_where_there_is_none":  {kind{}, func(_ *server, c *SMTP) { c.Security = TLS }, Securing, 0, true},
		"a_wrong_password":         {kind{}, func(_ *server, c *SMTP) { c.Password = "wrong-and-secret" }, Authenticating, 535, true},
		"no_way_to_log_in":         {kind{}, func(s *server, _ *SMTP) { s.ways = []string{} }, Authenticating, 0, true},
		"no_way_that_is_known":     {kind{}, func(s *server, _ *SMTP) { s.ways = []string{"XOAUTH2", "GSSAPI"} }, Authenticating, 0, true},
		"no_credentials":           {kind{}, func(s *server, c *SMTP) { s.needsLogin, c.User = true, "" }, Sending, 530, true},
		"a_sender_that_is_refused": {kind{}, func(s *server, _ *SMTP) { s.mailFails = reply(553, "not yours") }, Sending, 553, true},
		"a_sender_for_now":         {kind{}, func(s *server, _ *SMTP) { s.mailFails = reply(451, "later") }, Sending, 451, true},
		"a_greylist":               {kind{}, func(s *server, _ *SMTP) { s.rcptFails = reply(450, "greylisted") }, Receiving, 450, true},
		"nobody_there":             {kind{}, func(s *server, _ *SMTP) { s.rcptFails = reply(550, "no such mailbox") }, Receiving, 550, false},
		"credentials_for_readers":  {kind{}, func(s *server, _ *SMTP) { s.rcptFails = reply(530, "log in first") }, Receiving, 530, true},
		"a_full_mailbox":           {kind{}, func(s *server, _ *SMTP) { s.rcptFails = reply(452, "full") }, Receiving, 452, true},
		"spam":                     {kind{}, func(s *server, _ *SMTP) { s.dataFails = reply(554, "spam") }, Data, 554, false},
		"trouble_with_the_content": {kind{}, func(s *server, _ *SMTP) { s.dataFails = reply(451, "the scanner is away") }, Data, 451, true},
		"nobody_listens":           {kind{}, func(_ *server, c *SMTP) { c.Address = free(c) }, Connecting, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, test.kind)
			c := s.sender(StartTLS)
			if test.set != nil {
				test.set(s, c)
			}
			err := c.Send(t.Context(), testMessage)
			if err == nil {
				t.Fatal("it was sent")
			}
			e := at(t, err)
			if e.Stage != test.stage || e.Code != test.code || e.Retryable() != test.passes {
				t.Errorf("%s %d, passes: %v (%v)", e.Stage, e.Code, e.Retryable(), err)
			}
			if took := s.messages(); len(took) > 0 {
				t.Errorf("it was taken: %+v", took)
			}
			if strings.Contains(err.Error(), c.Password) {
				t.Errorf("the error holds the password: %v", err)
			}
			if test.code != 0 && !strings.Contains(err.Error(), fmt.Sprint(test.code)) {
				t.Errorf("the error does not say what the server did: %v", err)
			}
		})
	}
}

// free is an address at which nobody listens.
func free(c *SMTP) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:1"
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// script is a server that says what it is told to, line by line of what it hears.
func script(t *testing.T, answer func(line string) string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		say := func(text string) bool {
			if text == "" {
				return false
			}
			_, err := fmt.Fprint(conn, text+"\r\n")
			return err == nil
		}
		if !say(answer("")) {
			// It is silent until the other side goes.
			_, _ = conn.Read(make([]byte, 1))
			return
		}
		content := false
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			line := lines.Text()
			if content && line != "." {
				continue
			}
			content = line == "DATA"
			if !say(answer(line)) {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

// TestSMTPHangs: a server that is silent holds nobody longer than the caller allows.
func TestSMTPHangs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address := script(t, func(string) string { cancel(); return "" })
	c := &SMTP{Origin: testOrigin, Address: address, Security: Plain}
	err := c.Send(ctx, testMessage)
	if e := at(t, err); e.Stage != Connecting || !e.Retryable() {
		t.Errorf("%v", err)
	}
}

// TestSMTPFarewell: a server that takes the message and then goes has taken it, and gets it once.
func TestSMTPFarewell(t *testing.T) {
	for name, farewell := range map[string]string{"silence": "", "an_error": "421 going down"} {
		t.Run(name, func(t *testing.T) {
			sent := 0
			address := script(t, func(line string) string {
				verb, _, _ := strings.Cut(line, " ")
				switch verb {
				case "":
					return "220 hello"
				case "EHLO":
					return "250 hello"
				case "DATA":
					return "354 go on"
				case ".":
					sent++
					return "250 taken as 17"
				case "QUIT":
					return farewell
				}
				return "250 fine"
			})
			c := &SMTP{Origin: testOrigin, Address: address, Security: Plain}
			receipt, err := c.SendWithReceipt(t.Context(), testMessage)
			if err != nil || !strings.Contains(receipt, "taken as 17") {
				t.Errorf("%q %v", receipt, err)
			}
		})
	}
}

// TestSMTPIsToldNothingInClear: without the STARTTLS that was asked for neither a password nor a message leaves us.
func TestSMTPIsToldNothingInClear(t *testing.T) {
	heard := make(chan string, 16)
	address := script(t, func(line string) string {
		verb, _, _ := strings.Cut(line, " ")
		if line != "" {
			heard <- verb
		}
		switch verb {
		case "":
			return "220 hello"
		case "EHLO":
			return "250-hello\r\n250 AUTH PLAIN"
		}
		return "250 fine"
	})
	c := &SMTP{Origin: testOrigin, Address: address, Security: StartTLS, User: testUser, Password: testPassword}
	if e := at(t, c.Send(t.Context(), testMessage)); e.Stage != Securing {
		t.Errorf("%v", e)
	}
	close(heard)
	var verbs []string
	for verb := range heard {
		verbs = append(verbs, verb)
	}
	if slices.Contains(verbs, "AUTH") || slices.Contains(verbs, "MAIL") {
		t.Errorf("it heard %v", verbs)
	}
}

// TestSMTPRepeats: a server that repeats what it was sent gets no password into an error.
func TestSMTPRepeats(t *testing.T) {
	address := script(t, func(line string) string {
		verb, _, _ := strings.Cut(line, " ")
		switch verb {
		case "":
			return "220 hello"
		case "EHLO":
			return "250-hello\r\n250 AUTH PLAIN"
		case "AUTH":
			return "535 not by " + line
		}
		return "250 fine"
	})
	c := &SMTP{Origin: testOrigin, Address: address, Security: Plain, User: testUser, Password: testPassword}
	err := c.Send(t.Context(), testMessage)
	if e := at(t, err); e.Stage != Authenticating || e.Code != 535 || !strings.Contains(err.Error(), "[redacted]") {
		t.Errorf("%v", err)
	}
}

// TestMessageID: a message that is sent again is known again, another one is not, and nothing of it can be read from its id.
func TestMessageID(t *testing.T) {
	other := testMessage
	other.Text += "x"
	if testMessage.id() != testMessage.id() || testMessage.id() == other.id() {
		t.Error("ids do not follow from the content")
	}
}
