package registration_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// show shows another invitation in the middle of a registration.
func show(v *house.Browser, token string) house.Answer {
	_, query, _ := strings.Cut(v.Where, "?")
	v.Get(house.RegisterPath + "/invitation?" + query)
	v.Answer("token", token)
	return v.Land()
}

// TestAnotherInvitation: what an invitation fixes counts with that invitation, whatever was answered before it was shown or
// under another one (CREATE-7).
func TestAnotherInvitation(t *testing.T) {
	open := func(t *testing.T) (h *house.House, create func(matrixauth.NewInvitation) string) {
		h = house.New(t, house.Unlimited, house.WithMail, house.Registers("token", func(r *matrixauth.Registration) {
			r.Email, r.Names.Banned, r.EmailDomains.Banned = "required", []string{"admin"}, []string{"bad.example"}
		}))
		return h, func(n matrixauth.NewInvitation) string {
			n.Uses = 1
			return house.Act(h, matrixauth.CreateInvitation, n).Token
		}
	}
	begin := func(h *house.House, token string) *house.Browser {
		v := h.Browser()
		v.Open(house.RegisterPath)
		v.Answer("token", token)
		v.Land()
		return v
	}
	prove := func(v *house.Browser, address string) {
		v.WantHeading(v.House.T, "Your email address")
		v.Answer("email", address)
		v.Land().WantPage(v.House.T, http.StatusOK, "Look into your mailbox")
		v.House.Pass()
		v.Answer("code", codeTo(v.House, address))
		v.Land()
	}
	end := func(v *house.Browser) {
		v.WantHeading(v.House.T, "Choose a password")
		v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
		v.Land().WantPage(v.House.T, http.StatusOK, "Almost done")
		v.Answer("display_name", "")
		v.Land().WantPage(v.House.T, http.StatusOK, "Apps and devices")
	}
	t.Run("an address that was proven before is not the one that is fixed", func(t *testing.T) {
		h, create := open(t)
		v := begin(h, create(matrixauth.NewInvitation{}))
		v.Answer("username", "alice")
		v.Land()
		prove(v, "mallory@example.org")
		show(v, create(matrixauth.NewInvitation{Email: "alice@example.org"}))
		prove(v, "alice@example.org")
		end(v)
		if user := house.Act(h, matrixauth.ShowUser, matrixauth.Name{User: "alice"}); len(user.Emails) != 1 || user.Emails[0] != "alice@example.org" {
			t.Errorf("the account has %q", user.Emails)
		}
	})
	t.Run("a name and an address that only another one allows", func(t *testing.T) {
		h, create := open(t)
		v := begin(h, create(matrixauth.NewInvitation{Localpart: "admin", Email: "admin@bad.example"}))
		prove(v, "admin@bad.example")
		v.WantHeading(t, "Choose a password")
		show(v, create(matrixauth.NewInvitation{})).WantPage(t, http.StatusOK, "Create an account")
		v.Answer("username", "admin")
		if v.At.Status != http.StatusBadRequest {
			t.Fatalf("the name is taken: %d", v.At.Status)
		}
		v.Answer("username", "alice")
		v.Land()
		prove(v, "alice@example.org")
		end(v)
		if h.Count("users WHERE localpart = 'admin'") != 0 || h.Count("users WHERE localpart = 'alice'") != 1 {
			t.Error("the account has the name of the other invitation")
		}
	})
}

// TestRulesChange: an answer from before the operator changed the rules is asked for again.
func TestRulesChange(t *testing.T) {
	h := house.New(t, house.Unlimited, house.Registers("open"))
	v := h.Browser()
	upTo(v, "admin")
	h.Config.Registration.Names.Banned = []string{"admin"}
	h.Crash()
	v.Answer("display_name", "")
	v.Land().WantPage(t, http.StatusOK, "Create an account")
	if h.Count("users") != 0 {
		t.Error("an account was made")
	}
}

// TestApprovalInTime: who was invited and complete in time gets the account, however long the operator takes; and who waits
// has a name and an address that they can have.
func TestApprovalInTime(t *testing.T) {
	t.Run("an invitation that has expired since", func(t *testing.T) {
		h := house.New(t, house.Registers("token", func(r *matrixauth.Registration) { r.Approval = true }))
		made := house.Act(h, matrixauth.CreateInvitation, matrixauth.NewInvitation{Uses: 1, Life: time.Hour})
		v := h.Browser()
		v.Open(made.Link)
		v.Answer("token", made.Token)
		v.Land()
		v.Answer("username", "alice")
		v.Land()
		v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
		v.Land()
		v.Answer("display_name", "")
		v.Land().WantPage(t, http.StatusOK, "Your account waits")
		h.Clock.Move(2 * time.Hour)
		house.Act(h, matrixauth.ApproveRegistration, matrixauth.Name{User: "alice"})
		if shown := house.Act(h, matrixauth.ShowInvitation, matrixauth.InvitationRef{Token: made.ID}); shown.Used != 1 {
			t.Errorf("it is shown as %+v", shown)
		}
	})
	t.Run("an address that an account has got since", func(t *testing.T) { // MAIL-10
		h := house.New(t, house.Unlimited, house.WithMail, house.Registers("open", func(r *matrixauth.Registration) { r.Approval, r.Email = true, "required" }))
		h.Add("bob")
		v := asking(h, "alice")
		v.Answer("email", "alice@example.org")
		v.Land()
		h.Pass()
		v.Answer("code", codeTo(h, "alice@example.org"))
		v.Land()
		v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
		v.Land().WantPage(t, http.StatusOK, "Almost done")
		house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "bob"}, Email: "alice@example.org"})
		v.Answer("display_name", "")
		v.Land().WantPage(t, http.StatusOK, "Your email address")
		if h.Count("registrations WHERE state = 'waiting'") != 0 {
			t.Error("somebody waits who cannot be let in")
		}
	})
	t.Run("a name that looks like the id of another registration", func(t *testing.T) {
		h := house.New(t, house.Unlimited, house.Registers("open", func(r *matrixauth.Registration) { r.Approval = true }))
		for _, name := range []string{"alice", "mallory"} {
			v := h.Browser()
			upTo(v, name)
			v.Answer("display_name", "")
			v.Land().WantPage(t, http.StatusOK, "Your account waits")
		}
		h.SQL("UPDATE registrations SET localpart = (SELECT lower(id) FROM registrations WHERE localpart = 'alice') WHERE localpart = 'mallory'")
		if made := house.Act(h, matrixauth.ApproveRegistration, matrixauth.Name{User: "alice"}); made.Localpart != "alice" {
			t.Errorf("the account %s was made", made.Localpart)
		}
	})
}

// TestLanguage: notices to who has registered are in the language in which they did.
func TestLanguage(t *testing.T) {
	h := house.New(t, house.Unlimited, house.Registers("open"))
	v := h.Browser()
	v.Language = "de"
	v.Open(house.RegisterPath)
	v.Answer("username", "alice")
	v.Land()
	v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
	v.Land()
	v.Answer("display_name", "")
	v.Land()
	if h.Count("users WHERE language = 'de'") != 1 {
		t.Error("the language is not kept")
	}
}

// TestPasswordOfAddress: a password must not be made of the address that was proven (PW-5).
func TestPasswordOfAddress(t *testing.T) {
	h := house.New(t, house.Unlimited, house.WithMail, house.Registers("open", func(r *matrixauth.Registration) { r.Email = "required" }))
	v := asking(h, "alice")
	v.Answer("email", "wonderland.gardens@example.org")
	v.Land()
	h.Pass()
	v.Answer("code", codeTo(h, "wonderland.gardens@example.org"))
	v.Land().WantPage(t, http.StatusOK, "Choose a password")
	v.Answer("password", "wonderland.gardens", "repeat", "wonderland.gardens").WantPage(t, http.StatusBadRequest, "Choose a password")
}

// TestDeactivation: no address remains of an account that is deactivated, nor in what is kept of its registration.
func TestDeactivation(t *testing.T) {
	h := house.New(t, house.Unlimited, house.WithMail, house.Registers("open", func(r *matrixauth.Registration) { r.Approval, r.Email = true, "required" }))
	v := asking(h, "alice")
	v.Answer("email", "alice@example.org")
	v.Land()
	h.Pass()
	v.Answer("code", codeTo(h, "alice@example.org"))
	v.Land()
	v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
	v.Land()
	v.Answer("display_name", "")
	v.Land().WantPage(t, http.StatusOK, "Your account waits")
	house.Act(h, matrixauth.ApproveRegistration, matrixauth.Name{User: "alice"})
	h.Settle()
	v.Get("/account/login")
	v.Post("/account/login", "username", "alice", "password", house.NewPassword).WantTo(t, "/account/")
	v.Get("/account/addresses/add")
	v.Post("/account/addresses/add", "email", "alice@work.example").WantTo(t, "/account/addresses/code")
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}})
	h.Settle()
	for _, table := range []string{"registrations", "verifications", "user_emails"} {
		if n := h.Count(table); n != 0 {
			t.Errorf("%d of %s remain", n, table)
		}
	}
}
