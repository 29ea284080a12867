package house

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// Registers has people register, in a mode, with changes to what they are asked for.
func Registers(mode string, changes ...func(*matrixauth.Registration)) Change {
	return func(c *matrixauth.Config) {
		c.Registration.Mode = mode
		for _, change := range changes {
			change(&c.Registration)
		}
	}
}

// RegisterPath is the first page of a registration.
const RegisterPath = "/account/register"

// Answer sends the form of the page that the browser is at, with what a person typed, to where the page says.
func (b *Browser) Answer(fields ...string) Answer {
	b.House.T.Helper()
	action := strings.ReplaceAll(FormAction(b.At.Body), "&amp;", "&")
	if action == "" {
		b.House.T.Fatalf("there is no form: %d %s", b.At.Status, b.At.Body)
	}
	return b.Post(action, fields...)
}

// Open opens an address, and follows wherever it leads until there is a page.
func (b *Browser) Open(target string) Answer {
	b.House.T.Helper()
	b.Get(target)
	return b.Land()
}

// Land follows redirects of ours until there is a page, or the way leads elsewhere.
func (b *Browser) Land() Answer {
	b.House.T.Helper()
	for range 10 {
		to := b.At.Header.Get("Location")
		if b.At.Status != http.StatusSeeOther || !strings.HasPrefix(to, "/") {
			return b.At
		}
		b.Get(to)
	}
	b.House.T.Fatalf("the way goes in a circle at %s", b.At.Header.Get("Location"))
	return b.At
}

// NewPassword is the one that people choose in the tests of registration.
const NewPassword = "four unrelated words here"

// Register makes an account in the browser, at the pages from a query of the first one on, and goes where that leads.
func (b *Browser) Register(name, query string) Answer {
	b.House.T.Helper()
	b.Open(RegisterPath+query).WantPage(b.House.T, http.StatusOK, "Create an account")
	b.Answer("username", name)
	b.Land().WantPage(b.House.T, http.StatusOK, "Choose a password")
	b.Answer("password", NewPassword, "repeat", NewPassword)
	b.Land().WantPage(b.House.T, http.StatusOK, "Almost done")
	b.Answer("display_name", "")
	return b.Land()
}

// WantHeading checks which page the browser is at.
func (b *Browser) WantHeading(t testing.TB, want string) {
	t.Helper()
	if got := b.At.Heading(); got != want {
		t.Fatalf("got %d %q, want %q:\n%s", b.At.Status, got, want, b.At.Body)
	}
}
