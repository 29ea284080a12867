package signin_test

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

func newWalkHouse(t *testing.T) *house.House {
	h := house.WithApp(t)
	h.Register("other", "")
	h.Settle()
	return h
}

// TestEveryOrder walks a person with one tab whose app wants a fresh password and another that does not, in every order of a
// few things that they may do (OIDC-11, SESS-2, SESS-7, AUTHZ-16, AUTHZ-20).
func TestEveryOrder(t *testing.T) {
	h := newWalkHouse(t)
	first := func(n int) func(w *walker) *tab { return func(w *walker) *tab { return w.tabs[n] } }
	press := func(of func(w *walker) *tab, who string, form, times int) func(w *walker) {
		return func(w *walker) {
			b := of(w)
			forms := formsOf(b.show().Body)
			if len(forms) == 0 {
				w.reload(b)
				return
			}
			f := forms[min(form, len(forms)-1)]
			w.submit(b, f, f.buttons[0], who, house.AlicesPassword, times)
		}
	}
	moves := []func(w *walker){
		press(first(0), "alice", 0, 1), // sign in, or consent
		press(first(1), "bob", 0, 2),   // the same as somebody else, by a double click
		press(first(1), "bob", 1, 1),   // cancel, or not you
		func(w *walker) { w.back(w.tabs[0]) },
		func(w *walker) { w.back(w.tabs[1]) },
	}
	length := 4
	if testing.Short() {
		length = 3
	}
	walked := 0
	for _, signedIn := range []bool{false, true} {
		for order := range orders(length, len(moves)) {
			// Each order begins with people who never said yes, and whose account page is short.
			h.SQL("DELETE FROM consents; DELETE FROM browser_sessions")
			w := newWalker(t, h)
			if signedIn {
				w.openAccount("/account/login")
				f := formsOf(w.tabs[0].show().Body)[0]
				w.submit(w.tabs[0], f, f.buttons[0], "alice", house.AlicesPassword, 1)
				w.tabs = nil
				h.Clock.Move(time.Second)
			}
			w.open("app", "prompt", "login")
			h.Clock.Move(time.Second)
			w.open("other")
			for _, move := range order {
				moves[move](w)
				h.Clock.Move(time.Second)
			}
			for n, who := range []string{"alice", "bob"} {
				w.finish(w.tabs[n], who)
			}
			walked++
		}
	}
	if length == 4 && walked != 2*281 {
		t.Errorf("%d orders were walked", walked)
	}
}

// orders yields each order of moves, of which the last two go back in a tab. One in which somebody goes back from the first
// screen of a tab, where nothing happens, and moves on is left out: what it comes to is a shorter order, which is there as
// the beginning of one that ends with such a step.
func orders(length, moves int) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		order := make([]int, length)
		for {
			if !movesOnFromNothing(order, moves) && !yield(order) {
				return
			}
			n := 0
			for ; n < length && order[n] == moves-1; n++ {
				order[n] = 0
			}
			if n == length {
				return
			}
			order[n]++
		}
	}
}

// movesOnFromNothing reports whether a move follows one that did nothing. Tab 0 is moved on by the first move, tab 1 by the
// others before the last two. A move on may lead nowhere new, so a tab may have fewer screens than are counted here, not more.
func movesOnFromNothing(order []int, moves int) bool {
	screens, nothing := [2]int{}, false
	for _, move := range order {
		switch back := move - (moves - 2); {
		case back >= 0 && screens[back] == 0:
			nothing = true
			continue
		case back >= 0:
			screens[back]--
		default:
			screens[min(move, 1)]++
		}
		if nothing {
			return true
		}
	}
	return false
}

// TestSignInWalks walks long ways, with an account that is locked, requests that expire, and clients that ask
// without a page (OIDC-10, OIDC-13, MOD-5, AUTHZ-18, AUTHZ-23).
func TestSignInWalks(t *testing.T) {
	walks := 30
	if testing.Short() {
		walks = 5
	}
	for seed := range uint64(walks) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			h := newWalkHouse(t)
			w, random := newWalker(t, h), rand.New(rand.NewPCG(seed, 7))
			for range 80 {
				w.step(random)
			}
			house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
			for _, b := range w.tabs {
				w.finish(b, "alice")
			}
		})
	}
}

func (w *walker) step(random *rand.Rand) {
	w.t.Helper()
	anyOf := func(names ...string) string { return names[random.IntN(len(names))] }
	if len(w.tabs) == 0 || random.IntN(6) == 0 {
		switch random.IntN(7) {
		case 0:
			w.open(anyOf("app", "other"), "prompt", "login")
		case 1:
			w.open(anyOf("app", "other"), "max_age", anyOf("0", "60", "3600"))
		case 2:
			w.open(anyOf("app", "other"), "prompt", "none")
		case 3:
			w.open(anyOf("app", "other"), "prompt", anyOf("consent", "select_account", "login consent"))
		case 4:
			w.openAccount("/account/" + anyOf("", house.Query("action", "org.matrix.cross_signing_reset"), house.Query("action", "session_end", "device_id", "DEVICE1")))
		default:
			w.open(anyOf("app", "other"))
		}
		return
	}
	b := w.tabs[max(0, len(w.tabs)-1-random.IntN(4))]
	forms := formsOf(b.show().Body)
	switch n := random.IntN(20); {
	case n < 9 && len(forms) > 0:
		f := forms[max(0, random.IntN(2+len(forms))-2)] // mostly the first
		pressed := url.Values{}
		if len(f.buttons) > 0 {
			pressed = f.buttons[max(0, random.IntN(3)-1)%len(f.buttons)]
		}
		w.submit(b, f, pressed, anyOf("alice", "alice", "bob"), anyOf(house.AlicesPassword, house.AlicesPassword, house.AlicesPassword, "wrong"), 1+random.IntN(4)/3)
	case n < 12:
		w.back(b)
	case n < 14:
		w.reload(b)
	case n < 17:
		d := []time.Duration{time.Second, time.Minute, 6 * time.Minute, 61 * time.Minute}[min(random.IntN(4), random.IntN(4))]
		w.note("%v pass", d)
		w.House.Clock.Move(d)
	case n == 17 && random.IntN(3) == 0:
		w.note("the operator ends the sessions of %q", w.current.who)
		if w.current.who != "" {
			house.Act(w.House, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: w.current.who})
			w.current = login{}
		}
	case n == 17:
		if w.House.Count("users WHERE locked_at IS NOT NULL") == 0 {
			w.note("alice is locked")
			house.Act(w.House, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		} else {
			w.note("alice is unlocked")
			house.Act(w.House, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
		}
	default:
		if r := w.asked[b.state]; r != nil && r.code != "" {
			w.note("%s redeems its code: %d", r.client, w.House.Exchange(r.client, r.code).Status)
		}
	}
}
