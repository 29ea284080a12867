package account_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

const (
	addAddress  = "/account/addresses/add"
	addressCode = "/account/addresses/code"
	oneAddress  = "/account/address"
)

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

// codeOf returns the code of the newest mail to an address.
func codeOf(h *house.House, address string) string {
	h.T.Helper()
	code := sixDigits.FindString(h.LastMail(address).Text)
	if code == "" {
		h.T.Fatalf("the mail to %s has no code", address)
	}
	return code
}

// withAddress gives alice an address by her pages, and returns its id.
func withAddress(b *house.Browser, address string) (id string) {
	b.House.T.Helper()
	b.Get(addAddress).Shows(b.House.T, http.StatusOK, "Add an email address")
	b.Post(addAddress, "email", address).WantTo(b.House.T, addressCode)
	b.Get(addressCode).Shows(b.House.T, http.StatusOK, address)
	b.Post(addressCode, "code", codeOf(b.House, address)).WantTo(b.House.T, "/account/addresses?changed=1")
	return addressID(b, address)
}

// addressID finds the id of an address on the account page.
func addressID(b *house.Browser, address string) string {
	b.House.T.Helper()
	found := regexp.MustCompile(`<h2 id="a-([0-9A-Z]+)"><bdi dir="ltr">` + regexp.QuoteMeta(address) + `</bdi>`).FindStringSubmatch(b.Get("/account/addresses").Body)
	if found == nil {
		b.House.T.Fatalf("%s is not on the account page", address)
	}
	return found[1]
}

// loginBy signs in by an address, by the API.
func loginBy(h *house.House, address string) house.Answer {
	h.T.Helper()
	return h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody("", house.AlicesPassword, house.Object{
		"identifier": house.Object{"type": "m.id.thirdparty", "medium": "email", "address": address},
	})})
}

func aliceWithMail(t *testing.T) (*house.House, *house.Browser) {
	h := house.New(t, house.Unlimited, house.WithMail)
	h.Add("alice", "bob")
	return h, h.SignedInAs("alice")
}

// TestAddresses: people add, use and remove mail addresses by themselves, and one counts once it is proven (MAIL-8, ACCT-14).
func TestAddresses(t *testing.T) {
	t.Run("added_and_usable", func(t *testing.T) {
		h, b := aliceWithMail(t)
		b.Get("/account/addresses").Shows(t, http.StatusOK, "You have none.")
		b.Get(addAddress)
		b.Post(addAddress, "email", "Alice@example.org").WantTo(t, addressCode)
		loginBy(h, "alice@example.org").Want(t, http.StatusForbidden, "M_FORBIDDEN") // it is not proven yet
		b.Get(addressCode)
		b.Post(addressCode, "code", codeOf(h, "Alice@example.org")).WantTo(t, "/account/addresses?changed=1")
		b.Get("/account/addresses?changed=1").Shows(t, http.StatusOK, "Your email addresses were changed.")
		addressID(b, "Alice@example.org")
		loginBy(h, "alice@example.org").Want(t, http.StatusOK, "")
		h.Settle()
		if there, _ := h.Fake.User("alice"); len(there.Emails) != 1 || there.Emails[0] != "alice@example.org" {
			t.Errorf("Synapse has %q", there.Emails)
		}
		b.Post(addressCode, "code", "000000").WantTo(t, "/account/addresses") // a second click
	})
	t.Run("chosen_for_recovery_not_so_often_that_what_happened_is_pushed_out", func(t *testing.T) {
		h, b := aliceWithMail(t)
		at := []string{oneAddress + "?id=" + withAddress(b, "first@example.org"), oneAddress + "?id=" + withAddress(b, "second@example.org")}
		for i := range bound.RenamesPerAccount.Burst {
			b.Get(at[i%2])
			b.Submit(at[i%2], "what", "recovery").WantTo(t, "/account/addresses?changed=1")
		}
		b.Get(at[1])
		before := h.Rows()
		b.Submit(at[1], "what", "recovery").WantStatus(t, http.StatusTooManyRequests)
		if h.Rows() != before {
			t.Error("something was written")
		}
	})
	t.Run("chosen_for_recovery_and_removed", func(t *testing.T) {
		h, b := aliceWithMail(t)
		first := withAddress(b, "first@example.org")
		h.Clock.Move(time.Second)
		second := withAddress(b, "second@example.org")
		b.Get(oneAddress+"?id="+second).Shows(t, http.StatusOK, "Use for recovery")
		b.Post(oneAddress+"?id="+second, "what", "recovery").WantTo(t, "/account/addresses?changed=1")
		b.Get(oneAddress+"?id="+second).Shows(t, http.StatusOK, "the email goes to this address")
		b.Get(oneAddress + "?id=" + first)
		for range 2 { // a second click finds it done
			b.Submit(oneAddress+"?id="+first, "what", "remove").WantTo(t, "/account/addresses?changed=1")
		}
		if body := b.Get("/account/addresses").Body; strings.Contains(body, "first@example.org") || !strings.Contains(body, "second@example.org") {
			t.Error(body)
		}
		loginBy(h, "first@example.org").Want(t, http.StatusForbidden, "M_FORBIDDEN")
		b.Get(oneAddress+"?id="+second).Shows(t, http.StatusOK, "This is your only address")
		b.Get(oneAddress+"?id="+first).WantTo(t, "/account/addresses")
	})
	t.Run("of_another_account", func(t *testing.T) {
		h, b := aliceWithMail(t)
		id := withAddress(b, "alice@example.org")
		bob := h.SignedInAs("bob")
		bob.Get("/account/")
		bob.Get(oneAddress+"?id="+id).WantTo(t, "/account/addresses")
		for _, what := range []string{"remove", "recovery"} {
			bob.Submit(oneAddress+"?id="+id, "what", what).WantTo(t, "/account/addresses?changed=1")
		}
		addressID(b, "alice@example.org")
	})
	t.Run("needs_a_fresh_password", func(t *testing.T) {
		h, b := aliceWithMail(t)
		id := withAddress(b, "alice@example.org")
		h.Clock.Move(bound.ProofLife + time.Second)
		b.Get("/account/")
		before := h.Rows()
		for path, fields := range map[string][]string{addAddress: {"email", "thief@example.org"}, oneAddress + "?id=" + id: {"what", "remove"}} {
			b.Get(path).Shows(t, http.StatusOK, "For your safety")
			b.Post(path, fields...).Shows(t, http.StatusForbidden, "Give it again.")
			b.Post(path, append(fields, "password", "wrong password")...).Shows(t, http.StatusForbidden, "This is not your password.")
		}
		if after := h.Rows(); after != before {
			t.Errorf("something changed:\n%s\nwant\n%s", after, before)
		}
		b.Get(addAddress)
		b.Post(addAddress, "email", "second@example.org", "password", house.AlicesPassword).WantTo(t, addressCode)
	})
	t.Run("begun_before_the_password_was_changed", func(t *testing.T) {
		h, b := aliceWithMail(t)
		for name, change := range map[string]func(){
			"password": func() {
				house.Act(h, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: matrixauth.Name{User: "alice"}, Password: house.AlicesPassword})
			},
			"lock": func() {
				house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
				house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
			},
		} {
			b.Get(addAddress)
			b.Post(addAddress, "email", name+"@example.org").WantTo(t, addressCode)
			code := codeOf(h, name+"@example.org")
			change()
			if name == "password" {
				b.SignIn("alice", "")
			}
			b.Submit(addressCode, "code", code).WantTo(t, "/account/addresses")
			if h.Count("user_emails") != 0 {
				t.Errorf("%s: an address was added that a thief may have begun", name)
			}
		}
	})
	t.Run("that_cannot_be", func(t *testing.T) {
		h, b := aliceWithMail(t)
		withAddress(b, "alice@example.org")
		h.Pass() // what is told of the first one
		sent := len(h.Mails.All())
		b.Get(addAddress)
		for address, said := range map[string]string{
			"": "not an email address", "alice": "not an email address", "Alice <alice@example.org>": "not an email address", "alice@example.org\r\nBcc: bob@example.org": "not an email address",
			"ALICE@Example.org": "Your account has this address already.",
		} {
			a := b.Post(addAddress, "email", address)
			if a.Status < 400 || !strings.Contains(a.Body, said) {
				t.Errorf("%q: got %d %s", address, a.Status, a.Body)
			}
		}
		h.Pass()
		if len(h.Mails.All()) != sent {
			t.Error("a mail was sent")
		}
	})
	t.Run("without_mail_there_is_nothing_to_add", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		b := h.SignedInAs("alice")
		if text := house.Shown(b.Get("/account/addresses")); strings.Contains(text, "Add address") || !strings.Contains(text, "Whoever runs example.test adds addresses.") {
			t.Errorf("the page says %s", text)
		}
		for _, path := range []string{addAddress, addressCode} {
			b.Get(path).WantPage(t, http.StatusNotFound, "Page not found")
		}
		house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "alice@example.org"})
		b.Get(oneAddress + "?id=" + addressID(b, "alice@example.org"))
	})
	t.Run("of_a_domain_that_is_not_allowed", func(t *testing.T) {
		h := house.New(t, house.Unlimited, house.WithMail, func(c *matrixauth.Config) {
			c.Registration.EmailDomains.Banned = []string{"**.example.net", "example.net"}
		})
		h.Add("alice")
		b := h.SignedInAs("alice")
		b.Get(addAddress)
		b.Post(addAddress, "email", "alice@mail.example.net").Shows(t, http.StatusBadRequest, "Addresses of this domain are not allowed here.")
		b.Post(addAddress, "email", "alice@example.org").WantTo(t, addressCode)
	})
	t.Run("are_bounded", func(t *testing.T) {
		h, b := aliceWithMail(t)
		for i := range bound.EmailsOfUser {
			house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: fmt.Sprintf("alice%d@example.org", i)})
		}
		b.Get(addAddress)
		b.Post(addAddress, "email", "one@example.org").Shows(t, http.StatusConflict, "Remove one first.")
	})
}

// TestAddressTaken: who adds an address learns nothing of the account that has it: the pages, their cost and the rows are the
// same; only its mailbox is told (MAIL-10, ENUM-1).
func TestAddressTaken(t *testing.T) {
	h, b := aliceWithMail(t)
	house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "bob"}, Email: "bob@example.org"})
	h.Settle()
	withAddress(b, "warm@example.org")
	type seen struct {
		Cost   house.Cost
		Status int
		Body   string
	}
	walk := func(address string) (all []seen) {
		see := func(a house.Answer, before house.Cost) {
			after := house.Cost{Hashes: h.Hashes(), Statements: h.Store.Statements()}
			body := strings.ReplaceAll(strings.ReplaceAll(a.Body, address, "ADDRESS"), b.Token(), "TOKEN")
			all = append(all, seen{house.Cost{Hashes: after.Hashes - before.Hashes, Statements: after.Statements - before.Statements}, a.Status, body})
		}
		cost := func() house.Cost { return house.Cost{Hashes: h.Hashes(), Statements: h.Store.Statements()} }
		b.Get(addAddress)
		before := cost()
		see(b.Post(addAddress, "email", address), before)
		h.Pass()
		before = cost()
		see(b.Get(addressCode), before)
		for range 2 {
			before = cost()
			see(b.Post(addressCode, "code", "12x456"), before)
		}
		before = cost()
		see(b.Ask(http.MethodPost, "/account/addresses/resend", house.Form("csrf", b.Token()), house.SameOriginForm()), before)
		return all
	}
	taken, free := walk("bob@example.org"), walk("nobody@example.org")
	for i := range taken {
		if taken[i] != free[i] {
			t.Errorf("step %d differs:\n%+v\n%+v", i, taken[i], free[i])
		}
	}
	if mail := h.Mails.To("bob@example.org"); len(mail) == 0 || sixDigits.MatchString(mail[0].Text) {
		t.Errorf("%+v", mail)
	}
}

// again signs alice in again in her browser.
func again(b *house.Browser) {
	b.House.T.Helper()
	b.Get("/account/")
	b.Post("/account/logout")
	b.SignIn("alice", "")
}

// TestAddressCodePage tells what became of the mail, and lets another one be asked for.
func TestAddressCodePage(t *testing.T) {
	h, b := aliceWithMail(t)
	b.Get(addAddress)
	b.Post(addAddress, "email", "alice@example.org").WantTo(t, addressCode)
	code := codeOf(h, "alice@example.org")
	b.Get(addressCode)
	b.Post("/account/addresses/resend").WantTo(t, addressCode+"?resent=1")
	b.Get(addressCode+"?resent=1").Shows(t, http.StatusOK, "on its way once more")
	if again := codeOf(h, "alice@example.org"); again != code {
		t.Error("it is another code")
	}
	b.Get(addressCode)
	b.Post(addressCode, "code", "wrong").Shows(t, http.StatusForbidden, "This is not the code from the email.")
	h.Clock.Move(bound.EmailCodeLife)
	again(b)
	b.Get(addressCode).Shows(t, http.StatusOK, "tried too often, or it is too old")
	b.Submit(addressCode, "code", code).Shows(t, http.StatusForbidden, "tried too often, or it is too old")
	b.Submit("/account/addresses/resend").WantTo(t, addressCode+"?resent=1") // another one
	if again := codeOf(h, "alice@example.org"); again == code {
		t.Error("it is the same code")
	}
	t.Run("of_an_old_tab", func(t *testing.T) {
		old := b.Token()
		again(b)
		b.Ask(http.MethodPost, addressCode, house.Form("csrf", old, "code", code), house.SameOriginForm()).WantTo(t, addressCode+"?stale=1")
	})
}
