package doctor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/notify"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// mailFindings are what the doctor finds of mails.
func mailFindings(t *testing.T, h *house.House) (ids []string, all []doctor.Finding) {
	t.Helper()
	d, err := h.Wiring.Doctor.Begin(doctor.Examination{})
	h.Must(err)
	defer d.End()
	d.Mail(t.Context())
	for _, f := range d.Findings {
		ids = append(ids, f.ID)
	}
	return ids, d.Findings
}

// checked is a mailbox that can be looked at.
type checked struct {
	*house.Mailbox
	err error
}

func (c checked) Check(context.Context) error { return c.err }

// TestMail: what keeps mails from being sent is found, by how far one comes, and strangers' wrong addresses are no fault.
func TestMail(t *testing.T) {
	h := house.New(t)
	if ids, all := mailFindings(t, h); !slices.Equal(ids, []string{"mail"}) || !all[0].OK {
		t.Errorf("without mail: %+v", all)
	}
	h = house.New(t, house.WithMail)
	for want, err := range map[string]error{
		"mail/unreachable": failure(t, &mail.SMTP{Address: "127.0.0.1:1", Security: mail.Plain}),
		"mail/no-command":  failure(t, &mail.Sendmail{Path: "/nowhere/sendmail"}),
		"mail":             nil,
	} {
		h.Wiring.Doctor.Letters = notify.New(notify.Config{Sender: checked{h.Mails, err}})
		if ids, all := mailFindings(t, h); !slices.Equal(ids, []string{want}) {
			t.Errorf("%v: %+v", err, all)
		}
	}
	h.Wiring.Doctor.Letters = notify.New(notify.Config{Sender: h.Mails})
	h.Add("alice")
	house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "alice@example.org"})
	h.Mails.Failing(func(mail.Message) error { return outbox.Permanent(errors.New("no such mailbox")) })
	h.Pass()
	if _, all := mailFindings(t, h); !all[0].OK || !strings.Contains(all[0].What, "1 were refused") {
		t.Errorf("%+v", all)
	}
	h.Mails.Failing(func(mail.Message) error { return errors.New("come back later") })
	house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "alice@example.com"})
	h.Pass()
	h.Clock.Move(2 * time.Hour)
	if ids, all := mailFindings(t, h); !slices.Equal(ids, []string{"mail/late"}) || !strings.Contains(all[0].What, "come back later") {
		t.Errorf("%+v", all)
	}
}

// failure is what a look at a mail server says that is not there.
func failure(t *testing.T, c mail.Checker) error {
	t.Helper()
	err := c.Check(t.Context())
	if err == nil {
		t.Fatal("it is there")
	}
	return err
}
