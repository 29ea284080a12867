package grant

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// walk is a random walk of many requests of one user through all that may happen to them, beside a model
// that knows from a few plain facts what must come of each step.
type walk struct {
	*house
	random   *rand.Rand
	requests []*known
	// live are the sessions that must live, by their ids, with their devices.
	live     map[string]string
	browsers int
	thrown   map[string]bool // browser sessions that were ended from outside
	steps    []string
}

// known is what the model knows of a request.
type known struct {
	id, code, device, browser   string
	admin                       bool
	closes, codeEnds, usedAt    time.Time
	approved, declined, spoiled bool
	session                     string // of the exchange that worked
}

// TestWalks: whatever happens in whatever order, a request starts one session at most, a code works once,
// and nothing starts for who may not (TOK-9, TOK-12, TOK-13, SCOPE-13, AUTHZ-14, AUTHZ-30).
func TestWalks(t *testing.T) {
	walks := 20
	if testing.Short() {
		walks = 5
	}
	for seed := range uint64(walks) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			w := &walk{house: newHouse(t), random: rand.New(rand.NewPCG(seed, 2)), live: map[string]string{}, thrown: map[string]bool{}}
			defer func() {
				if t.Failed() {
					t.Log(strings.Join(w.steps, "\n"))
				}
			}()
			for range 200 {
				w.step()
				w.check()
			}
		})
	}
}

func (w *walk) note(format string, args ...any) {
	w.steps = append(w.steps, fmt.Sprintf(format, args...))
}

func (w *walk) step() {
	w.t.Helper()
	if len(w.requests) == 0 {
		w.ask()
		return
	}
	if (w.alice.Locked() || w.alice.Deactivated() || !w.alice.Admin) && w.random.IntN(3) == 0 {
		w.changeUser()
		return
	}
	// Mostly go on with what is new.
	r := w.requests[max(0, len(w.requests)-1-w.random.IntN(3))]
	if w.random.IntN(10) == 0 {
		r = w.requests[w.random.IntN(len(w.requests))]
	}
	switch n := w.random.IntN(30); {
	case n < 3:
		w.ask()
	case n < 8:
		w.answer(r, true)
	case n < 9:
		w.answer(r, false)
	case n < 20:
		w.redeem(r, "")
	case n < 22:
		w.redeem(r, []string{"redirect", "verifier", "client"}[w.random.IntN(3)])
	case n < 25:
		d := []time.Duration{time.Second, doubleSubmit - time.Second, doubleSubmit, time.Minute, codeLife, requestLife}[min(w.random.IntN(6), w.random.IntN(6))]
		w.note("%v pass", d)
		w.clock.move(d)
	case n < 29:
		w.changeUser()
	default:
		w.disturb()
	}
}

// ask begins a request.
func (w *walk) ask() {
	w.t.Helper()
	r := &known{device: fmt.Sprintf("DEVICE%d", w.random.IntN(3)), admin: w.random.IntN(3) == 0, closes: w.clock.Now().Add(requestLife)}
	text := api + " " + device + r.device
	if r.admin {
		text += " " + admin
	}
	r.id = w.begin("client", scope(text))
	w.requests = append(w.requests, r)
	w.note("request %d begins: %s", len(w.requests)-1, text)
}

// barred is why the user may not have what a request asks for; empty if they may.
func (w *walk) barred(r *known) model.Code {
	switch {
	case w.alice.Deactivated():
		return model.UserDeactivated
	case w.alice.Locked():
		return model.UserLocked
	case r.admin && !w.alice.Admin:
		return model.AccessDenied
	}
	return ""
}

// answer approves a request after a look at it, or declines it.
func (w *walk) answer(r *known, yes bool) {
	w.t.Helper()
	want := model.Code("")
	switch {
	case r.approved, r.declined, !w.clock.Now().Before(r.closes):
		want = model.RequestExpired
	case yes:
		want = w.barred(r)
	}
	var err error
	if yes {
		var code string
		_, looked := w.grants.Review(w.t.Context(), r.id, w.browser)
		w.expect(looked, want)
		if _, code, err = w.grants.Approve(w.t.Context(), r.id, w.browser); err == nil {
			r.code = code
		}
	} else {
		_, err = w.grants.Decline(w.t.Context(), r.id)
	}
	w.note("request %d is answered %v: %v", slices.Index(w.requests, r), yes, err)
	w.expect(err, want)
	switch {
	case err != nil:
	case yes:
		r.approved, r.browser, r.codeEnds = true, w.browser.ID, w.clock.Now().Add(codeLife)
	default:
		r.declined = true
	}
}

// redeem presents a code, with something wrong about it or not.
func (w *walk) redeem(r *known, wrong string) {
	w.t.Helper()
	if r.code == "" {
		return
	}
	now, want := w.clock.Now(), model.InvalidGrant
	switch {
	case r.session != "":
		if now.Sub(r.usedAt) >= doubleSubmit {
			delete(w.live, r.session)
		}
	case r.spoiled, !now.Before(r.codeEnds):
	case wrong != "":
		r.spoiled = true
	default:
		switch barred := w.barred(r); {
		case barred == model.UserLocked:
			want = model.UserLocked
		case barred == "" && !w.thrown[r.browser]:
			want = ""
		}
	}
	begun, _, err := w.exchange(r.code, func(e *Exchange) {
		switch wrong {
		case "redirect":
			e.RedirectURI += "/"
		case "verifier":
			e.Verifier = strings.Repeat("v", 43)
		case "client":
			e.Client.ID = "other"
		}
	})
	w.note("request %d is exchanged, wrong %q: %v", slices.Index(w.requests, r), wrong, err)
	w.expect(err, want)
	if err != nil {
		return
	}
	if r.session != "" || begun.DeviceID != r.device || begun.UserID != w.alice.ID {
		w.t.Fatalf("a session of the wrong kind began: %+v", begun)
	}
	r.session, r.usedAt = begun.ID, now
	maps.DeleteFunc(w.live, func(_, device string) bool { return device == r.device }) // SCOPE-9
	w.live[begun.ID] = r.device
}

// changeUser locks, unlocks, deactivates, reactivates, promotes or demotes.
func (w *walk) changeUser() {
	w.t.Helper()
	flip := func(at time.Time) time.Time {
		if at.IsZero() {
			return w.clock.Now()
		}
		return time.Time{}
	}
	switch n := w.random.IntN(6); {
	case n == 0 && w.alice.Admin || w.alice.Deactivated():
		w.alice.DeactivatedAt = flip(w.alice.DeactivatedAt)
	case n == 1 && w.alice.Admin || w.alice.Locked():
		w.alice.LockedAt = flip(w.alice.LockedAt)
	default:
		w.alice.Admin = !w.alice.Admin
	}
	w.update(func(tx *store.Tx) error { return tx.UpdateUser(w.alice) })
	w.note("alice is locked %v, deactivated %v, administrator %v", w.alice.Locked(), w.alice.Deactivated(), w.alice.Admin)
}

// disturb crashes the server, or ends the browser session and begins another.
func (w *walk) disturb() {
	w.t.Helper()
	if w.random.IntN(2) == 0 {
		w.note("crash")
		w.crash()
		return
	}
	reasons := []model.EndReason{model.EndSignedOut, model.EndPassword, model.EndKilled, model.EndDeactivated, model.EndReplaced}
	reason := reasons[w.random.IntN(len(reasons))]
	w.thrown[w.browser.ID] = reason != model.EndReplaced
	w.browsers++
	next := model.BrowserSession{ID: fmt.Sprintf("browser %d", w.browsers), UserID: w.alice.ID, CreatedAt: w.clock.Now(), AuthenticatedAt: w.clock.Now()}
	w.update(func(tx *store.Tx) error {
		if err := tx.EndBrowserSession(w.browser.ID, reason); err != nil {
			return err
		}
		return tx.InsertBrowserSession(next, model.HashToken(next.ID))
	})
	w.browser = next
	w.note("the browser session ended, %s; another begins", reason)
}

// expect compares an error with the code that the model foresees; empty for none.
func (w *walk) expect(err error, want model.Code) {
	w.t.Helper()
	if err == nil && want == "" || err != nil && model.AsError(err).Code == want {
		return
	}
	w.t.Fatalf("got %v, want %q", err, want)
}

// check compares the live sessions with those that must live.
func (w *walk) check() {
	w.t.Helper()
	got := map[string]string{}
	for _, s := range w.house.live() {
		got[s.ID] = s.DeviceID
	}
	if !maps.Equal(got, w.live) {
		w.t.Fatalf("%v live, want %v", got, w.live)
	}
}
