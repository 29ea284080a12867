package verification_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/verification"
)

// desk is a server that people prove addresses to.
type desk struct {
	*house.House
	t *testing.T
}

func newDesk(t *testing.T) desk { return desk{house.New(t, house.Unlimited, house.WithMail), t} }

func (d desk) verifications() *verification.Verifications { return d.Wiring.Verifications }

var (
	one = model.Subject{Kind: model.ForRegistration, ID: "1"}
	two = model.Subject{Kind: model.ForAccount, ID: "1"}
)

func (d desk) start(of model.Subject, address string) model.Verification {
	d.t.Helper()
	email, err := model.ParseEmail(address)
	d.Must(err)
	var started model.Verification
	d.Must(d.Store.Update(d.t.Context(), func(tx *store.Tx) (err error) {
		started, err = d.verifications().Start(tx, verification.Start{Subject: of, Email: email, Language: "en"})
		return err
	}))
	return started
}

func (d desk) resend(of model.Subject) error {
	return d.Store.Update(d.t.Context(), func(tx *store.Tx) error { return d.verifications().Resend(tx, of) })
}

func (d desk) check(of model.Subject, code string, want error) {
	d.t.Helper()
	err := d.verifications().Check(d.t.Context(), of, code)
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		d.t.Errorf("the code %q: got %v, want %v", code, err, want)
	}
}

func (d desk) proven(of model.Subject) (address string) {
	d.t.Helper()
	d.Must(d.Store.View(d.t.Context(), func(tx *store.Tx) error {
		email, ok, err := d.verifications().Proven(tx, of)
		if ok {
			address = email.Address
		}
		return err
	}))
	return address
}

// failing has the mail server take nothing.
func (d desk) failing(err error) { d.Mails.Failing(func(mail.Message) error { return err }) }

var digits = regexp.MustCompile(`\b\d{6}\b`)

// mailed sends what waits, and returns the code of the only mail that came of it.
func (d desk) mailed(to string) string {
	d.t.Helper()
	before := len(d.Mails.All())
	d.Pass()
	sent := d.Mails.All()[before:]
	if len(sent) != 1 || sent[0].To != to {
		d.t.Fatalf("got %+v, want one mail to %s", sent, to)
	}
	code := digits.FindString(sent[0].Text)
	if code == "" || !strings.Contains(sent[0].HTML, code) || strings.Contains(sent[0].Subject, code) { // filters hold back what has a code in its subject
		d.t.Fatalf("no code in %+v", sent[0])
	}
	return code
}

// other returns codes that are not the right one.
func other(code string, n int) (all []string) {
	for i := range n {
		wrong := []byte(code)
		wrong[i] = '0' + (wrong[i]-'0'+1)%10
		all = append(all, string(wrong))
	}
	return all
}

// TestCode: a code of six digits proves an address, for what asked for it alone (MAIL-7).
func TestCode(t *testing.T) {
	t.Run("proves_the_address", func(t *testing.T) {
		d := newDesk(t)
		d.start(one, "Alice@Example.com")
		code := d.mailed("Alice@Example.com")
		d.check(one, " "+code[:3]+"-"+code[3:]+"\n", nil)
		if got := d.proven(one); got != "Alice@Example.com" {
			t.Errorf("got %q", got)
		}
		d.check(one, code, nil) // a second click
	})
	t.Run("of_another_subject", func(t *testing.T) {
		d := newDesk(t)
		d.start(one, "alice@example.com")
		code := d.mailed("alice@example.com")
		d.start(two, "alice@example.com")
		d.check(two, code, model.CodeWrong)
		d.check(model.Subject{Kind: model.ForAccount, ID: "2"}, code, model.CodeOver)
		if d.proven(two) != "" {
			t.Error("it proved the address for another subject")
		}
	})
	t.Run("is_good_for_five_tries", func(t *testing.T) {
		d := newDesk(t)
		d.start(one, "alice@example.com")
		code := d.mailed("alice@example.com")
		for i, wrong := range other(code, bound.CodeTries) {
			want := error(model.CodeWrong)
			if i == bound.CodeTries-1 {
				want = model.CodeOver
			}
			d.check(one, wrong, want)
		}
		d.check(one, code, model.CodeOver)
		d.Must(d.resend(one))
		next := d.mailed("alice@example.com")
		d.check(one, next, nil)
		if next == code {
			t.Error("it is the same code")
		}
	})
	t.Run("tries_outlive_a_crash", func(t *testing.T) {
		d := newDesk(t)
		d.start(one, "alice@example.com")
		code := d.mailed("alice@example.com")
		for _, wrong := range other(code, bound.CodeTries) {
			_ = d.verifications().Check(t.Context(), one, wrong)
			d.Crash()
		}
		d.check(one, code, model.CodeOver)
	})
	t.Run("counts_from_when_the_mail_was_taken", func(t *testing.T) {
		d := newDesk(t)
		d.start(one, "alice@example.com")
		d.failing(errors.New("greylisted"))
		for range 20 {
			d.Pass()
			d.Clock.Move(10 * time.Minute)
		}
		d.Mails.Failing(nil)
		d.Clock.Move(bound.MailDelay)
		code := d.mailed("alice@example.com")
		d.Clock.Move(bound.EmailCodeLife - time.Second)
		d.check(one, other(code, 1)[0], model.CodeWrong)
		d.Clock.Move(time.Second)
		d.check(one, code, model.CodeOver)
	})
	t.Run("is_not_mailed_for_ever", func(t *testing.T) {
		d := newDesk(t)
		d.start(one, "alice@example.com")
		d.failing(errors.New("down"))
		d.Pass()
		d.Mails.Failing(nil)
		d.Clock.Move(bound.VerificationLife)
		d.Settle()
		if len(d.Mails.All()) != 0 {
			t.Errorf("%+v", d.Mails.All())
		}
	})
	t.Run("stands_in_no_row", func(t *testing.T) {
		d := newDesk(t)
		d.start(one, "alice@example.com")
		rows := d.Rows()
		if code := d.mailed("alice@example.com"); strings.Contains(rows, code) || strings.Contains(d.Rows(), code) {
			t.Error("a copy of the database gives the code away")
		}
	})
}

// TestResend: the same code is mailed again, a bounded number of times, and only once the mail before has gone.
func TestResend(t *testing.T) {
	d := newDesk(t)
	d.start(one, "alice@example.com")
	d.Must(d.resend(one))
	code := d.mailed("alice@example.com")
	for range bound.CodeMails - 1 {
		d.Clock.Move(bound.EmailCodeLife - time.Minute)
		d.Must(d.resend(one))
		if again := d.mailed("alice@example.com"); again != code {
			t.Fatalf("another code: a mail that was only late would have the wrong one")
		}
	}
	d.Must(d.resend(one))
	next := d.mailed("alice@example.com")
	if next == code {
		t.Error("one code was mailed too often")
	}
	d.check(one, code, model.CodeWrong)
	d.check(one, next, nil)
	d.Must(d.resend(one))
	d.Pass()
	if n := len(d.Mails.All()); n != bound.CodeMails+1 {
		t.Errorf("%d mails", n)
	}
	if err := d.resend(two); !errors.Is(err, model.CodeOver) {
		t.Errorf("without anything to prove: %v", err)
	}
}

// TestStart: a second click changes nothing; another address takes the place of the first.
func TestStart(t *testing.T) {
	d := newDesk(t)
	first := d.start(one, "alice@example.com")
	if again := d.start(one, "ALICE@example.com"); again.ID != first.ID {
		t.Error("a second click began anew")
	}
	code := d.mailed("alice@example.com")
	d.start(one, "other@example.com")
	d.check(one, code, model.CodeWrong)
	d.check(one, d.mailed("other@example.com"), nil)
	if got := d.proven(one); got != "other@example.com" {
		t.Errorf("got %q", got)
	}
	t.Run("after_the_mail_was_refused", func(t *testing.T) {
		d.failing(refused{})
		typo := d.start(two, "typo@example.com")
		d.Pass()
		d.Must(d.Store.View(t.Context(), func(tx *store.Tx) error {
			found, err := d.verifications().Find(tx, two)
			if found.RefusedAt.IsZero() {
				t.Error("nobody is told")
			}
			return err
		}))
		d.Mails.Failing(nil)
		if again := d.start(two, "typo@example.com"); again.ID == typo.ID {
			t.Error("it waits for a mail that does not come")
		}
	})
}

// refused is what a mail server says for good.
type refused struct{}

func (refused) Error() string   { return "550 no such mailbox" }
func (refused) Retryable() bool { return false }

// TestTaken: only the owner of an address learns that an account has it; whoever asks sees no difference, by the rows, the
// statements or the answers to codes (MAIL-10, ENUM-1).
func TestTaken(t *testing.T) {
	d := newDesk(t)
	d.Add("alice")
	house.Act(d.House, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "strauß@example.com"})
	d.Settle()
	spent := func(f func()) uint64 {
		before := d.Store.Statements()
		f()
		return d.Store.Statements() - before
	}
	d.start(model.Subject{Kind: model.ForRegistration, ID: "first"}, "first@example.com") // the first of all notes for what is sealed
	d.mailed("first@example.com")
	taken := spent(func() { d.start(one, "STRAUSS@example.com") })
	free := spent(func() { d.start(two, "nobody@example.com") })
	if taken != free {
		t.Errorf("%d statements for a taken address, %d for a free one", taken, free)
	}
	before := len(d.Mails.All())
	d.Pass()
	sent := d.Mails.All()[before:]
	slices.SortFunc(sent, func(a, b mail.Message) int { return strings.Compare(a.To, b.To) })
	if len(sent) != 2 || sent[0].To != "nobody@example.com" || digits.FindString(sent[0].Text) == "" {
		t.Fatalf("%+v", sent)
	}
	// What an account has is told to the mailbox that was proven, and not to one that only compares as the same.
	if m := sent[1]; m.To != "strauß@example.com" || digits.MatchString(m.Text+m.Subject) || !strings.Contains(m.Text, "@alice:example.test") {
		t.Errorf("%+v", m)
	}
	wrong := "000000"
	takenCost := spent(func() { d.check(one, wrong, model.CodeWrong) })
	if freeCost := spent(func() { d.check(two, wrong, model.CodeWrong) }); takenCost != freeCost {
		t.Errorf("%d statements for a code of a taken address, %d for one of a free", takenCost, freeCost)
	}
	t.Run("meanwhile", func(t *testing.T) {
		d.start(one, "late@example.com")
		code := d.mailed("late@example.com")
		house.Act(d.House, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "late@example.com"})
		d.check(one, other(code, 1)[0], model.CodeWrong)
		d.check(one, code, model.EmailInUse)
		if d.proven(one) != "" {
			t.Error("it is proven")
		}
	})
}
