package caddymodule

import (
	"math"
	"reflect"
	"strconv"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// Rate is a burst, and tries per minute after it.
type Rate struct {
	Burst     int     `json:"burst,omitempty"`
	PerMinute float64 `json:"per_minute,omitempty"`
}

func (r *Rate) readArguments(args []string) string {
	if len(args) != 2 {
		return "takes a burst and tries per minute, such as 20 12"
	}
	burst, err := strconv.Atoi(args[0])
	perMinute, err2 := strconv.ParseFloat(args[1], 64)
	if err != nil || err2 != nil || burst < 1 || !(perMinute > 0) || math.IsInf(perMinute, 0) {
		return "takes a burst and tries per minute, both above zero, such as 20 12"
	}
	*r = Rate{Burst: burst, PerMinute: perMinute}
	return ""
}

// Count is how many there are of something, above zero.
type Count int

func (c *Count) readArguments(args []string) string {
	text, problem := oneValue(args)
	if problem != "" {
		return problem
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return "takes a number above zero, such as 7"
	}
	*c = Count(n)
	return ""
}

// Addresses are the addresses of listeners, or "off".
type Addresses []string

func (a *Addresses) readArguments(args []string) string {
	if len(args) == 0 {
		return "takes addresses, or off"
	}
	*a = args
	return ""
}

// Words are several values in one line.
type Words []string

func (w *Words) readArguments(args []string) string {
	if len(args) == 0 {
		return "takes a value"
	}
	*w = args
	return ""
}

// off reports whether there is to be no listener.
func (a Addresses) off() bool { return len(a) == 1 && a[0] == listenOff }

// MailServer is HOST:PORT, and perhaps how the connection is secured.
type MailServer []string

func (m *MailServer) readArguments(args []string) string {
	if len(args) != 1 && len(args) != 2 {
		return "takes HOST:PORT and, if the port does not say it, tls, starttls or plain, such as mail.example.com:587 starttls"
	}
	*m = args
	return ""
}

// parts returns the address and the security, which may be empty.
func (m MailServer) parts() (address, security string) {
	if len(m) > 1 {
		security = m[1]
	}
	if len(m) > 0 {
		address = m[0]
	}
	return address, security
}

// Sendmail is the path of the sendmail command.
type Sendmail string

func (s *Sendmail) readArguments(args []string) string {
	if len(args) == 0 {
		*s = matrixauth.DefaultSendmail
		return ""
	}
	path, problem := oneValue(args)
	*s = Sendmail(path)
	return problem
}

// Notices are what people are told of by mail, or "off".
type Notices []string

func (n *Notices) readArguments(args []string) string {
	if len(args) == 0 {
		return "takes what people are told of by mail, or off"
	}
	*n = args
	return ""
}

// oneValue returns the only argument of an option, and what is wrong if it is not the only one, or empty.
func oneValue(args []string) (value, problem string) {
	switch {
	case len(args) != 1:
		return "", "takes one value, not " + strconv.Itoa(len(args))
	case args[0] == "":
		return "", "is empty"
	}
	return args[0], ""
}

// read reads the arguments of an option that stands once. It returns what is wrong with them, to be written
// behind the option's name, or nothing.
func (o option) read(args []string, into reflect.Value) (problem string) {
	switch into := into.Addr().Interface().(type) {
	case argumentsReader:
		return into.readArguments(args)
	case *string:
		if o.tag == "colour" && len(args) == 0 {
			return "takes a colour such as " + matrixauth.DefaultAccent + "; an unquoted # begins a comment"
		}
		*into, problem = oneValue(args)
		return problem
	case *bool:
		if *into = true; len(args) > 0 {
			return "takes no value"
		}
		return ""
	case *caddy.Duration:
		return readDuration(args, into)
	}
	panic("no Caddyfile can say a " + o.Type.String() + ": " + o.name) // TestOptionTypes
}

func readDuration(args []string, into *caddy.Duration) (problem string) {
	text, problem := oneValue(args)
	if problem != "" {
		return problem
	}
	d, err := caddy.ParseDuration(text)
	if err != nil {
		return "takes a duration such as 5m, not " + strconv.Quote(text)
	}
	if d == 0 {
		return "must be above zero"
	}
	*into = caddy.Duration(d)
	return ""
}
