package recovery_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

const (
	ofAlice = "alice@example.org"
	usePath = "/account/recover/password"
)

var alice = matrixauth.Name{User: "alice"}

var mailedLink = regexp.MustCompile(`ticket=([0-9A-Za-z]+)`)

// ticket is a ticket that somebody has, as the walk knows it.
type ticket struct {
	value string
	over  bool
	// operators: an operator gave it.
	operators bool
	expires   time.Time
}

// walk goes through recoveries of one account in any order, beside a model of what must follow.
type walk struct {
	*house.House
	random *rand.Rand
	steps  []string

	tickets  []*ticket
	password string
	locked   bool
	// waiting is when the request was made whose mail is not out yet; zero if there is none.
	waiting time.Time
	// issued are the times of the requests that became tickets, and changed is when the password was set last.
	issued  []time.Time
	changed time.Time
	mails   int
	visits  int
}

// TestRecoveryWalk: whatever happens in whatever order, at most the newest ticket works, and that of an operator beside it, once and in its time, and the
// password is the one that was set last (MAIL-2, MAIL-3, MAIL-6).
func TestRecoveryWalk(t *testing.T) {
	seeds := 12
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := &walk{House: house.New(t, house.Unlimited, house.WithMail), random: rand.New(rand.NewPCG(uint64(seed), 7)), password: house.AlicesPassword}
			w.Add("alice")
			house.Act(w.House, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: alice, Email: ofAlice})
			w.Settle()
			w.mails = len(w.Mails.All())
			w.changed = w.Clock.Now()
			for range 60 {
				w.step()
				w.look()
				if t.Failed() {
					t.Fatalf("after %s", strings.Join(w.steps, ", "))
				}
			}
		})
	}
}

// step does one thing.
func (w *walk) step() {
	w.Clock.Move(time.Duration(1+w.random.IntN(400)) * time.Second)
	steps := []struct {
		name string
		do   func()
	}{
		{"request", w.request}, {"request", w.request}, {"request and crash", func() { w.ask(); w.Crash(); w.pass() }},
		{"use", w.use}, {"use", w.use}, {"use twice", w.useTwice}, {"scan", w.scan}, {"crash", w.Crash},
		{"change", w.change}, {"lock", w.lock}, {"operator", w.operator}, {"wait", w.wait},
		{"mail fails", func() { w.Mails.Failing(func(mail.Message) error { return errors.New("down") }) }},
		{"mail works", func() { w.Mails.Failing(nil); w.pass() }},
	}
	chosen := steps[w.random.IntN(len(steps))]
	w.steps = append(w.steps, chosen.name)
	chosen.do()
}

// stranger is a browser that comes from where nobody else does.
func (w *walk) stranger() *house.Browser {
	b := w.Browser()
	w.visits++
	b.IP = fmt.Sprintf("2001:db8:%x:%x::1", w.visits>>12, w.visits)
	return b
}

// now ends all that is known and what waits.
func (w *walk) endAll() {
	for _, t := range w.tickets {
		t.over = true
	}
	w.waiting = time.Time{}
}

func (w *walk) ask() {
	b := w.stranger()
	b.Get("/account/recover")
	b.Post("/account/recover", "username", []string{"alice", ofAlice, "@alice:" + house.ServerName}[w.random.IntN(3)])
	if b.At.Status == http.StatusTooManyRequests {
		return
	}
	if b.At.Status != http.StatusSeeOther {
		w.T.Fatalf("a request gave %d", b.At.Status)
	}
	lately := 0
	for _, at := range w.issued {
		if w.Clock.Now().Sub(at) < time.Hour {
			lately++
		}
	}
	if w.locked || lately >= bound.RecoveriesPerHour {
		return
	}
	for _, t := range w.tickets { // what an operator gave stays
		t.over = t.over || !t.operators
	}
	w.waiting = w.Clock.Now()
	w.issued = append(w.issued, w.waiting)
}

func (w *walk) request() { w.ask(); w.pass() }

// pass does the jobs that are due, and learns of the link that was mailed.
func (w *walk) pass() {
	w.Pass()
	all := w.Mails.All()
	for _, m := range all[w.mails:] {
		found := mailedLink.FindStringSubmatch(m.Text)
		if found == nil {
			continue // a notice
		}
		w.KeepSecret(found[1])
		if w.waiting.IsZero() || w.Clock.Now().Sub(w.waiting) >= bound.RecoveryWait || m.To != ofAlice {
			w.T.Errorf("a mail to %s that nobody waits for", m.To)
		}
		w.waiting = time.Time{}
		w.tickets = append(w.tickets, &ticket{value: found[1], expires: w.Clock.Now().Add(bound.RecoveryLife)})
	}
	w.mails = len(all)
}

// wait lets the mail server work until nothing waits: then every link is out that was not too old.
func (w *walk) wait() {
	w.Mails.Failing(nil)
	for range 12 {
		w.pass()
		if w.Waiting() == 0 {
			break
		}
		w.Clock.Move(10 * time.Minute)
	}
	if !w.waiting.IsZero() && w.Clock.Now().Sub(w.waiting) < bound.RecoveryWait {
		w.T.Error("a link was never sent")
	}
	w.waiting = time.Time{}
}

// any is one of the tickets that are known, or none.
func (w *walk) any() *ticket {
	if len(w.tickets) == 0 {
		return &ticket{value: strings.Repeat("a", 32), over: true}
	}
	if w.random.IntN(2) == 0 {
		return w.tickets[len(w.tickets)-1]
	}
	return w.tickets[w.random.IntN(len(w.tickets))]
}

func (w *walk) works(t *ticket) bool { return !t.over && !w.locked && w.Clock.Now().Before(t.expires) }

func (w *walk) newPassword() string {
	return fmt.Sprintf("staple-gun-orbit-%d-fjord", w.random.IntN(1<<30))
}

func (w *walk) use() {
	t, clear := w.any(), w.newPassword()
	b := w.stranger()
	b.Get(usePath + "?ticket=" + t.value)
	b.Submit(usePath, "ticket", t.value, "password", clear)
	if done := b.At.Status == http.StatusSeeOther; done != w.works(t) {
		w.T.Errorf("a ticket that works: %v; its use gave %d", w.works(t), b.At.Status)
	}
	if b.At.Status == http.StatusSeeOther {
		w.endAll()
		w.password, w.changed = clear, w.Clock.Now()
	}
}

// useTwice has two use one ticket at once, from two browsers.
func (w *walk) useTwice() {
	t := w.any()
	works := w.works(t)
	browsers, clear := [2]*house.Browser{w.stranger(), w.stranger()}, [2]string{w.newPassword(), w.newPassword()}
	for _, b := range browsers {
		b.Get(usePath + "?ticket=" + t.value)
		b.Get("/account/login")
	}
	var both sync.WaitGroup
	for i, b := range browsers {
		both.Go(func() { b.Submit(usePath, "ticket", t.value, "password", clear[i]) })
	}
	both.Wait()
	done := 0
	for i, b := range browsers {
		if b.At.Status == http.StatusSeeOther {
			done++
			w.endAll()
			w.password, w.changed = clear[i], w.Clock.Now()
		}
	}
	if want := map[bool]int{true: 1}[works]; done != want {
		w.T.Errorf("%d uses at once were done, want %d", done, want)
	}
}

// scan opens a link as a program does that looks at mail, and changes nothing.
func (w *walk) scan() {
	t, before := w.any(), w.Count("recoveries WHERE ended_at IS NULL")
	for range 5 {
		w.stranger().Get(usePath + "?ticket=" + t.value)
		w.stranger().Ask(http.MethodHead, usePath+"?ticket="+t.value, "", nil)
	}
	if w.Count("recoveries WHERE ended_at IS NULL") != before {
		w.T.Error("a look changed something")
	}
}

// change has the password set elsewhere.
func (w *walk) change() {
	w.password = w.newPassword()
	house.Act(w.House, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: alice, Password: w.password})
	w.endAll()
	w.changed = w.Clock.Now()
}

func (w *walk) lock() {
	if w.locked = !w.locked; w.locked {
		house.Act(w.House, matrixauth.LockUser, alice)
		w.endAll()
		return
	}
	house.Act(w.House, matrixauth.UnlockUser, alice)
}

// operator has an operator make a link.
func (w *walk) operator() {
	made, err := matrixauth.IssueRecoveryLink.Do(w.T.Context(), w.Ops, matrixauth.NewRecoveryLink{Name: alice})
	if (err != nil) != w.locked {
		w.T.Errorf("locked %v: %v", w.locked, err)
	}
	if err != nil {
		return
	}
	u, err := url.Parse(made.URL)
	w.Must(err)
	w.endAll()
	w.KeepSecret(u.Query().Get("ticket"))
	w.tickets = append(w.tickets, &ticket{value: u.Query().Get("ticket"), expires: made.ExpiresAt, operators: true})
}

// look compares all that is known with the model.
func (w *walk) look() {
	for _, t := range w.tickets {
		want := http.StatusNotFound
		if w.works(t) {
			want = http.StatusOK
		}
		if a := w.stranger().Get(usePath + "?ticket=" + t.value); a.Status != want {
			w.T.Errorf("opening a ticket gave %d, want %d", a.Status, want)
		}
	}
	want := http.StatusOK
	if w.locked {
		want = http.StatusUnauthorized
	}
	w.visits++
	a := w.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody("alice", w.password, map[string]any{"device_id": "PHONE"}), IP: fmt.Sprintf("2001:db8:%x:%x::1", w.visits>>12, w.visits)})
	if a.Status != want {
		w.T.Errorf("a login gave %d %s, want %d", a.Status, a.Body, want)
	}
	if a.Status == http.StatusOK {
		w.SignedIn(a)
	}
}
