package operate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestMailTest: an operator's trial is sent at once, in the language that was asked for, and what came of it is told and
// logged. Nothing of it waits.
func TestMailTest(t *testing.T) {
	h := house.New(t, house.WithMail)
	tried := house.Act(h, matrixauth.TestMail, matrixauth.MailTest{Address: "owner@example.org", Language: "de"})
	if sent := h.Mails.To("owner@example.org"); !tried.Accepted || len(sent) != 1 || sent[0].Language != "de" {
		t.Errorf("%+v %+v", tried, sent)
	}
	for _, test := range []struct {
		err     error
		retried bool
	}{
		{errors.New("the server is away"), true},
		{outbox.Permanent(errors.New("no such mailbox")), false},
	} {
		h.Mails.Failing(func(mail.Message) error { return test.err })
		tried = house.Act(h, matrixauth.TestMail, matrixauth.MailTest{Address: "owner@example.org"})
		if tried.Accepted || tried.Retried != test.retried || tried.Said != test.err.Error() {
			t.Errorf("%v: %+v", test.err, tried)
		}
	}
	if h.Waiting() != 0 {
		t.Errorf("%d jobs wait", h.Waiting())
	}
	if line := h.Log.String(); !strings.Contains(line, `"action":"mail.test"`) || !strings.Contains(line, `"accepted":true`) || strings.Contains(line, "owner@example.org") {
		t.Errorf("the log is\n%s", line)
	}
	if _, err := matrixauth.TestMail.Do(t.Context(), h.Ops, matrixauth.MailTest{Address: "owner@example.org\r\nBcc: other@example.org"}); !house.IsRefused(err) {
		t.Errorf("an address with a line break: %v", err)
	}
	without := house.New(t)
	_, err := matrixauth.TestMail.Do(t.Context(), without.Ops, matrixauth.MailTest{Address: "owner@example.org"})
	without.WantSentence(err, "no mail block")
}
