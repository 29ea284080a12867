package registration_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestBadInput: whatever stands in the forms and addresses of a registration, the answer is a page that says what is wrong,
// which repeats nothing that would run, and no account is made.
func TestBadInput(t *testing.T) {
	h := house.New(t, house.Unlimited, house.WithMail, house.Registers("open", func(r *matrixauth.Registration) {
		r.Email, r.Terms = "required", []string{"https://example.test/terms", "1"}
	}))
	v := asking(h, "alice")
	_, query, _ := strings.Cut(v.Where, "?")
	paths := []string{"invitation", "name", "email", "code", "password", "terms", "profile", "waiting"}
	texts := []string{
		"", " ", "\x00", "\xff\xfe", strings.Repeat("x", 60_000), "<script>alert(1)</script>", "' OR 1=1 --", "{{.Token}}", "a\r\nBcc: b@example.org",
		"\u202eevil", "../../etc/passwd", "@a:b", strings.Repeat("@", 300),
	}
	for _, path := range paths {
		for _, text := range texts {
			h.Clock.Move(10 * time.Minute / 60)
			for _, q := range []string{query, "registration=" + url.QueryEscape(text), "registration=" + url.QueryEscape(text) + "&request=" + url.QueryEscape(text), ""} {
				form := []string{"csrf", ""}
				for _, name := range []string{"token", "username", "email", "code", "password", "repeat", "terms", "display_name", "answer"} {
					form = append(form, name, text)
				}
				for _, a := range []house.Answer{v.Get(house.RegisterPath + "/" + path + "?" + q), v.Submit(house.RegisterPath+"/"+path+"?"+q, form[2:]...)} {
					if a.Status >= 500 {
						t.Fatalf("%s?%.40s with %.20q: %d", path, q, text, a.Status)
					}
					if strings.Contains(a.Body, "<script>") || strings.Contains(a.Header.Get("Location"), "\n") {
						t.Errorf("%s repeats %q", path, text)
					}
				}
			}
		}
	}
	v.Get(house.RegisterPath+"?token="+url.QueryEscape(`"><script>`)).WantPage(t, http.StatusOK, "Create an account")
	if strings.Contains(v.At.Body, "<script>") {
		t.Error("the page repeats a token as it came")
	}
	if h.Count("users") != 0 {
		t.Error("an account was made")
	}
}

// TestWaitingList: what waits is bounded of a network; others can still ask.
func TestWaitingList(t *testing.T) {
	h := house.New(t, house.Unlimited, house.Registers("open", func(r *matrixauth.Registration) { r.Approval = true }))
	ask := func(n int, ip string) *house.Browser {
		h.Clock.Move(time.Minute)
		v := h.Browser()
		v.IP = ip
		upTo(v, fmt.Sprint("bot", n))
		v.Answer("display_name", "")
		return v
	}
	for n := range bound.WaitingRegistrationsOfNetwork {
		ask(n, "").Land().WantPage(t, http.StatusOK, "Your account waits")
	}
	last := ask(bound.WaitingRegistrationsOfNetwork, "")
	if last.At.Status != http.StatusTooManyRequests || last.At.Heading() != "Almost done" {
		t.Errorf("got %d %q", last.At.Status, last.At.Heading())
	}
	ask(1000, "203.0.113.9").Land().WantPage(t, http.StatusOK, "Your account waits")
	house.Act(h, matrixauth.RejectRegistration, matrixauth.Name{User: "bot0"})
	last.Answer("display_name", "")
	last.Land().WantPage(t, http.StatusOK, "Your account waits")
	// Who is not decided about is forgotten, and the name is free again.
	h.Clock.Move(bound.ApprovalLife + time.Minute)
	_, err := h.Store.Retain(t.Context())
	h.Must(err)
	if n := h.Count("registrations"); n != 0 {
		t.Errorf("%d still wait", n)
	}
}

// TestOneUseOneApproval: an invitation for one account lets one wait, and is used up by the account.
func TestOneUseOneApproval(t *testing.T) { // CREATE-7
	h := house.New(t, house.Registers("token", func(r *matrixauth.Registration) { r.Approval = true }))
	made := house.Act(h, matrixauth.CreateInvitation, matrixauth.NewInvitation{Uses: 1})
	var people []*house.Browser
	for _, name := range []string{"alice", "bob"} {
		v := h.Browser()
		v.Open(made.Link)
		v.Answer("token", made.Token)
		v.Land()
		v.Answer("username", name)
		v.Land()
		v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
		v.Land().WantPage(t, http.StatusOK, "Almost done")
		people = append(people, v)
	}
	for _, v := range people {
		v.Answer("display_name", "")
		v.Land()
	}
	people[0].WantHeading(t, "Your account waits")
	people[1].WantHeading(t, "Create an account")
	house.Act(h, matrixauth.ApproveRegistration, matrixauth.Name{User: "alice"})
	if shown := house.Act(h, matrixauth.ShowInvitation, matrixauth.InvitationRef{Token: made.ID}); shown.Used != 1 || shown.State != "used" {
		t.Errorf("it is shown as %+v", shown)
	}
}

// TestInvitationOfThree lets three people in, whoever they are, and no fourth (CREATE-7).
func TestInvitationOfThree(t *testing.T) {
	h := house.New(t, house.Unlimited, house.Registers("token"))
	made := house.Act(h, matrixauth.CreateInvitation, matrixauth.NewInvitation{Uses: 3})
	for i, name := range []string{"alice", "bob", "carol"} {
		v := h.Browser()
		v.Open(made.Link)
		v.Answer("token", made.Token)
		v.Land()
		v.Answer("username", name)
		v.Land()
		v.Answer("password", house.NewPassword, "repeat", house.NewPassword)
		v.Land()
		v.Answer("display_name", "")
		v.Land().WantPage(t, http.StatusOK, "Apps and devices")
		if shown := house.Act(h, matrixauth.ShowInvitation, matrixauth.InvitationRef{Token: made.ID}); shown.Used != int64(i+1) {
			t.Fatalf("after %d accounts it is shown as %+v", i+1, shown)
		}
	}
	v := h.Browser()
	v.Open(made.Link)
	v.Answer("token", made.Token)
	v.WantHeading(t, "Create an account")
	if h.Count("users") != 3 {
		t.Errorf("there are %d accounts", h.Count("users"))
	}
}
