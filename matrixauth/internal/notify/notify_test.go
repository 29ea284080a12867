package notify_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/notify"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// addEmail gives an account an address.
func addEmail(h *house.House, localpart, address string) model.User {
	h.T.Helper()
	var who model.User
	h.Must(h.Store.Update(h.T.Context(), func(tx *store.Tx) (err error) {
		if who, err = tx.UserByLocalpart(localpart); err != nil {
			return err
		}
		return tx.InsertEmail(model.Email{ID: model.NewID(tx.Now) + address, UserID: who.ID, Address: address, Key: strings.ToLower(address), CreatedAt: tx.Now})
	}))
	return who
}

func tell(h *house.House, n notify.Notice) {
	h.T.Helper()
	h.Must(h.Store.Update(h.T.Context(), func(tx *store.Tx) error { return h.Wiring.Letters.Notify(tx, n) }))
}

// TestNotices: what happened to an account is told at each of its addresses once, and to nobody else.
// An address that was removed hears of that too (MAIL-8).
func TestNotices(t *testing.T) {
	h := house.New(t, house.WithMail)
	h.Add("alice", "bob")
	alice := addEmail(h, "alice", "alice@example.org")
	addEmail(h, "alice", "alice@work.example")
	addEmail(h, "bob", "bob@example.org")
	for _, kind := range model.NoticeKinds {
		h.Mails.Forget()
		tell(h, notify.Notice{Kind: kind, UserID: alice.ID, Language: "de"})
		h.Pass()
		var to []string
		for _, m := range h.Mails.All() {
			to = append(to, m.To)
			if m.Language != "de" || !strings.Contains(m.Text, "@alice:example.test") || !strings.Contains(m.HTML, "@alice:example.test") {
				t.Errorf("%s: %+v", kind, m)
			}
		}
		slices.Sort(to)
		if !slices.Equal(to, []string{"alice@example.org", "alice@work.example"}) {
			t.Errorf("%s was told to %v", kind, to)
		}
		h.Clock.Move(time.Hour)
	}
	h.Mails.Forget()
	tell(h, notify.Notice{Kind: notify.AddressRemoved, UserID: alice.ID, Addresses: []string{"old@example.org"}})
	h.Pass()
	if all := h.Mails.All(); len(all) != 1 || all[0].To != "old@example.org" {
		t.Errorf("%+v", all)
	}
}

// TestNoticesAreSwitched: the owner says what people are told of, and without mail nothing is even written down.
func TestNoticesAreSwitched(t *testing.T) {
	for name, test := range map[string]struct {
		mail matrixauth.Mail
		want []notify.Kind
	}{
		"without_mail": {matrixauth.Mail{}, nil},
		"all":          {matrixauth.Mail{From: house.MailFrom, SMTP: "mail.example.test:587"}, model.NoticeKinds},
		"some":         {matrixauth.Mail{From: house.MailFrom, SMTP: "mail.example.test:587", Notices: []string{"password", "addresses"}}, []notify.Kind{notify.Password, notify.AddressAdded, notify.AddressRemoved}},
		"off":          {matrixauth.Mail{From: house.MailFrom, SMTP: "mail.example.test:587", Notices: []string{matrixauth.NoticesOff}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := house.New(t, func(c *matrixauth.Config) { c.Mail = test.mail })
			h.Add("alice")
			alice := addEmail(h, "alice", "alice@example.org")
			if on := h.Wiring.Letters.On(); on != (test.mail.From != "") {
				t.Errorf("mail is on: %v", on)
			}
			for _, kind := range model.NoticeKinds {
				tell(h, notify.Notice{Kind: kind, UserID: alice.ID})
			}
			if waits := h.Waiting(); waits != int64(len(test.want)) {
				t.Errorf("%d mails wait, want %d", waits, len(test.want))
			}
		})
	}
}

// TestNoticesAreTried: a server that does not take a mail gets it later, and no other address waits for that. What is
// refused for good is set aside, and what is too old is dropped.
func TestNoticesAreTried(t *testing.T) {
	h := house.New(t, house.WithMail)
	h.Add("alice")
	alice := addEmail(h, "alice", "alice@example.org")
	addEmail(h, "alice", "alice@work.example")
	slow := errors.New("come back later")
	h.Mails.Failing(func(m mail.Message) error {
		if m.To == "alice@example.org" {
			return slow
		}
		return nil
	})
	tell(h, notify.Notice{Kind: notify.Password, UserID: alice.ID})
	tell(h, notify.Notice{Kind: notify.Deactivated, UserID: alice.ID})
	h.Pass()
	if got := len(h.Mails.To("alice@work.example")); got != 2 || h.Waiting() != 2 {
		t.Fatalf("%d were sent, %d wait", got, h.Waiting())
	}
	h.Mails.Failing(nil)
	h.Clock.Move(time.Minute)
	h.Pass()
	if got := len(h.Mails.To("alice@example.org")); got != 2 || h.Waiting() != 0 {
		t.Fatalf("%d were sent, %d wait", got, h.Waiting())
	}
	h.Mails.Failing(func(mail.Message) error { return slow })
	tell(h, notify.Notice{Kind: notify.Password, UserID: alice.ID})
	h.Pass()
	h.Clock.Move(bound.NoticeLife + time.Second)
	h.Pass()
	if h.Waiting() != 0 {
		t.Errorf("%d wait", h.Waiting())
	}
}

// TestNoticesWithoutMail: what waits when the owner takes mail out of the configuration is dropped in its time.
func TestNoticesWithoutMail(t *testing.T) {
	h := house.New(t, house.WithMail)
	h.Add("alice")
	alice := addEmail(h, "alice", "alice@example.org")
	h.Mails.Failing(func(mail.Message) error { return errors.New("the server is away") })
	tell(h, notify.Notice{Kind: notify.Password, UserID: alice.ID})
	h.Pass()
	h.Config.Mail = matrixauth.Mail{}
	h.Crash()
	h.Clock.Move(time.Hour)
	h.Pass()
	if h.Waiting() != 1 || len(h.Mails.All()) != 0 {
		t.Errorf("%d wait, %d were sent", h.Waiting(), len(h.Mails.All()))
	}
	h.Clock.Move(bound.NoticeLife)
	h.Pass()
	if h.Waiting() != 0 {
		t.Errorf("%d wait", h.Waiting())
	}
}

// TestNoticesAreBounded: no account gets a flood of mails about itself.
func TestNoticesAreBounded(t *testing.T) {
	h := house.New(t, house.WithMail)
	h.Add("alice")
	alice := addEmail(h, "alice", "alice@example.org")
	for range 3 * bound.NoticesPerAccount.Burst {
		tell(h, notify.Notice{Kind: notify.SignIn, UserID: alice.ID})
	}
	h.Pass()
	if got := len(h.Mails.All()); got != bound.NoticesPerAccount.Burst {
		t.Errorf("%d were sent", got)
	}
}

// TestAdmit: mails that strangers ask for are limited by network, address, account and in all (MAIL-12), whether or not an
// address is somebody's (MAIL-1).
func TestAdmit(t *testing.T) {
	network := func(i int) string { return fmt.Sprintf("10.%d.%d.1", i/250, i%250) }
	address := func(i int) string { return fmt.Sprintf("person%d@example.org", i) }
	for name, test := range map[string]struct {
		admit func(l *notify.Letters, i int) error
		want  int
	}{
		"by_network": {func(l *notify.Letters, i int) error { return l.Admit("192.0.2.9", address(i), "") }, bound.MailsPerNetwork.Burst},
		"by_address": {func(l *notify.Letters, i int) error { return l.Admit(network(i), "a@example.org", "") }, bound.MailsPerAddress.Burst},
		"by_account": {func(l *notify.Letters, i int) error { return l.Admit(network(i), address(i), "user") }, bound.MailsPerAccount.Burst},
		"in_all":     {func(l *notify.Letters, i int) error { return l.Admit(network(i), address(i), "") }, bound.MailsInAll.Burst},
	} {
		t.Run(name, func(t *testing.T) {
			h := house.New(t, house.WithMail)
			admitted := 0
			for i := range test.want + 20 {
				err := test.admit(h.Wiring.Letters, i)
				if e := model.AsError(err); err != nil && (e.Code != model.RateLimited || e.Retry <= 0) {
					t.Fatal(err)
				}
				if err == nil {
					admitted++
				}
			}
			if admitted != test.want {
				t.Errorf("%d were admitted, want %d", admitted, test.want)
			}
		})
	}
}
