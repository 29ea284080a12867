package registration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// asking is at the page that asks for an address.
func asking(h *house.House, name string) *house.Browser {
	v := h.Browser()
	v.Open(house.RegisterPath)
	v.Answer("username", name)
	v.Land().WantPage(h.T, http.StatusOK, "Your email address")
	return v
}

// TestEmail: an address is proven by its code before there is an account (CREATE-8, MAIL-7, MAIL-14).
func TestEmail(t *testing.T) {
	h := house.New(t, house.Unlimited, house.WithMail, house.Registers("open", func(r *matrixauth.Registration) {
		r.Email, r.EmailDomains.Banned = "required", []string{"**.bad.example"}
	}))
	v := asking(h, "alice")
	for address, words := range map[string]string{
		"": "This is not an email address", "nobody": "This is not an email address", "a@b.example\r\nBcc: c@d.example": "This is not an email address",
		"x@mail.bad.example": "Addresses of this provider are not taken here",
	} {
		v.Answer("email", address)
		if v.At.Status != http.StatusBadRequest || !strings.Contains(house.Shown(v.At), words) {
			t.Errorf("%q: %d %s", address, v.At.Status, house.Shown(v.At))
		}
	}
	v.Answer("email", "", "answer", "skip").WantPage(t, http.StatusBadRequest, "Your email address")
	if len(h.Mails.All()) != 0 || h.Waiting() != 0 {
		t.Error("a mail is on its way")
	}
	v.Answer("email", "Alice@Example.org")
	v.Land().WantPage(t, http.StatusOK, "Look into your mailbox")
	h.Pass()
	code := codeTo(h, "Alice@Example.org")
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	v.Answer("code", wrong)
	if !strings.Contains(house.Shown(v.At), "That was not the code.") {
		t.Errorf("the page says %s", house.Shown(v.At))
	}
	// No later page is there before the address is proven.
	v.Open(strings.Replace(v.Where, "/code", "/password", 1)).WantPage(t, http.StatusOK, "Look into your mailbox")
	// The code is of no use in another registration.
	other := asking(h, "mallory")
	other.Answer("email", "mallory@example.org")
	other.Land()
	other.Answer("code", code)
	if other.At.Status < 400 {
		t.Error("a code of another registration is taken")
	}
	v.Answer("code", code[:3]+" "+code[3:])
	v.Land().WantPage(t, http.StatusOK, "Choose a password")
	v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
	v.Land().WantPage(t, http.StatusOK, "Almost done")
	v.Answer("display_name", "")
	v.Land().WantPage(t, http.StatusOK, "Apps and devices")
	if user := house.Act(h, matrixauth.ShowUser, matrixauth.Name{User: "alice"}); len(user.Emails) != 1 || user.Emails[0] != "Alice@Example.org" {
		t.Errorf("the account has %q", user.Emails)
	}
}

// TestTakenEmail: whether an account has an address is told by mail to its owner, and costs the same hashes and statements
// (ENUM-1, MAIL-10).
func TestTakenEmail(t *testing.T) {
	h := house.New(t, house.Unlimited, house.WithMail, house.Registers("open", func(r *matrixauth.Registration) { r.Email = "required" }))
	h.Add("bob")
	house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "bob"}, Email: "bob@example.org"})
	h.Settle()
	h.Mails.Forget()
	give := func(name, address string) (page string, statements uint64) {
		v := asking(h, name)
		before := h.Store.Statements()
		hashes := h.Hashes()
		v.Answer("email", address)
		statements = h.Store.Statements() - before
		if h.Hashes() != hashes {
			t.Error("a hash was made")
		}
		return strings.ReplaceAll(house.Shown(v.Land()), address, "ADDRESS"), statements
	}
	give("warm", "warm@example.org") // the first seal notes its purpose
	free, cost := give("carol", "carol@example.org")
	taken, other := give("david", "bob@example.org")
	if free != taken || cost != other {
		t.Errorf("%d and %d statements, and the pages\n%s\n%s", cost, other, free, taken)
	}
	h.Pass()
	if mails := h.Mails.To("bob@example.org"); len(mails) != 1 || sixDigits.MatchString(mails[0].Text) || !strings.Contains(mails[0].Text, "@bob:"+house.ServerName) {
		t.Errorf("the owner was told %+v", mails)
	}
}

// TestOptionalEmail: who need not give an address can go on without, and can think again.
func TestOptionalEmail(t *testing.T) {
	h := house.New(t, house.WithMail, house.Registers("open"))
	v := asking(h, "alice")
	v.Answer("email", "alice@example.org")
	v.Land().WantPage(t, http.StatusOK, "Look into your mailbox")
	v.Open(strings.Replace(v.Where, "/code", "/email", 1)).WantPage(t, http.StatusOK, "Your email address")
	v.Answer("email", "", "answer", "skip")
	v.Land().WantPage(t, http.StatusOK, "Choose a password")
	v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
	v.Land().WantPage(t, http.StatusOK, "Almost done")
	v.Answer("display_name", "")
	v.Land().WantPage(t, http.StatusOK, "Apps and devices")
	if h.Count("user_emails") != 0 || h.Count("verifications") != 0 {
		t.Error("an address that was not proven is kept")
	}
}

// TestFixedEmail: the address of an invitation is proven all the same, and cannot be another.
func TestFixedEmail(t *testing.T) {
	for name, mail := range map[string]bool{"with mail": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			changes := []house.Change{house.Registers("token")}
			if mail {
				changes = append(changes, house.WithMail)
			}
			h := house.New(t, changes...)
			made := house.Act(h, matrixauth.CreateInvitation, matrixauth.NewInvitation{Uses: 1, Email: "alice@example.org"})
			v := h.Browser()
			v.Open(made.Link)
			v.Answer("token", made.Token)
			v.Land()
			v.Answer("username", "alice")
			if mail {
				v.Land().WantPage(t, http.StatusOK, "Your email address")
				v.Answer("email", "mallory@example.org")
				v.Land().WantPage(t, http.StatusOK, "Look into your mailbox")
				h.Pass()
				v.Answer("code", codeTo(h, "alice@example.org"))
			}
			v.Land().WantPage(t, http.StatusOK, "Choose a password")
			v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
			v.Land()
			v.Answer("display_name", "")
			v.Land().WantPage(t, http.StatusOK, "Apps and devices")
			if user := house.Act(h, matrixauth.ShowUser, matrixauth.Name{User: "alice"}); len(user.Emails) != 1 || user.Emails[0] != "alice@example.org" {
				t.Errorf("the account has %q", user.Emails)
			}
		})
	}
}

// TestCodeOver: after five wrong codes none counts any more, and another one can be had at once (MAIL-7).
func TestCodeOver(t *testing.T) {
	h := house.New(t, house.Unlimited, house.WithMail, house.Registers("open"))
	v := asking(h, "alice")
	v.Answer("email", "alice@example.org")
	v.Land().WantPage(t, http.StatusOK, "Look into your mailbox")
	h.Pass()
	first := codeTo(h, "alice@example.org")
	for range 5 {
		v.Answer("code", "12345")
	}
	if text := house.Shown(v.At); !strings.Contains(text, "This code is over.") {
		t.Errorf("the page says %s", text)
	}
	v.Answer("code", first)
	if v.At.Status < 400 {
		t.Fatal("a code that is over is taken")
	}
	v.Answer("answer", "again", "code", "")
	v.Land().WantPage(t, http.StatusOK, "Look into your mailbox")
	h.Pass()
	if len(h.Mails.To("alice@example.org")) != 2 {
		t.Fatal("no other code was sent")
	}
	v.Answer("code", codeTo(h, "alice@example.org"))
	v.Land().WantPage(t, http.StatusOK, "Choose a password")
}
