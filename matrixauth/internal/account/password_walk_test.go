package account_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// passwordWalk is an account whose password is changed in any order, by its holder in several browsers and tabs, by an operator,
// with crashes in between; beside it a model that knows what must be so. It holds, after each step:
//
//   - exactly one password counts, the last one that a page or a command said was set;
//   - signed in are the browsers that the model knows, each by its newest cookie alone, and the apps that were not ended;
//   - whatever comes of a form, it is a page of ours, and none says that it was done when it was not.
type passwordWalk struct {
	*house.House
	t        *testing.T
	r        *rand.Rand
	password string
	// browsers are signed in; tabs are pages that were shown to a browser, by any cookie it had.
	browsers []*walkBrowser
	apps     map[string]string // access tokens by device
	dead     []string          // cookies that must be worth nothing
	n        int
	steps    []string
}

// walkBrowser is a browser with pages of the form in its tabs.
type walkBrowser struct {
	*house.Browser
	in   bool
	tabs []tabPage
}

// tabPage is the page of a tab, and the cookie for which it was made.
type tabPage struct {
	house.Answer
	cookie string
}

func (w *passwordWalk) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\n%s", strings.Join(w.steps, "\n"), fmt.Sprintf(format, args...))
}

func (w *passwordWalk) note(format string, args ...any) {
	w.steps = append(w.steps, fmt.Sprintf(format, args...))
}

// fresh is a password that nobody had before.
func (w *passwordWalk) fresh() string {
	w.n++
	return fmt.Sprintf("teapot glacier number %d", w.n)
}

func (w *passwordWalk) pick() *walkBrowser { return w.browsers[w.r.IntN(len(w.browsers))] }

func (w *passwordWalk) signIn() {
	b := w.pick()
	if b.in {
		return
	}
	w.note("a browser signs in")
	b.Get("/account/login").WantPage(w.t, http.StatusOK, "Sign in")
	b.Post("/account/login", "username", "alice", "password", w.password).WantTo(w.t, "/account/")
	b.in = true
}

func (w *passwordWalk) signOut() {
	b := w.pick()
	if !b.in {
		return
	}
	w.note("a browser signs out")
	w.dead = append(w.dead, b.Value())
	b.Submit("/account/logout").WantTo(w.t, "/account/signed-out")
	b.in = false
}

func (w *passwordWalk) open() {
	b := w.pick()
	b.Get(passwordPath)
	if b.in != (b.At.Status == http.StatusOK) {
		w.fail("the page is answered %d, and the browser is signed in: %v", b.At.Status, b.in)
	}
	if b.in {
		b.tabs = append(b.tabs, tabPage{b.At, b.Value()})
	}
}

// submit sends the form of any tab of a browser, right or wrong, sometimes twice.
func (w *passwordWalk) submit() {
	b := w.pick()
	if len(b.tabs) == 0 {
		return
	}
	tab := b.tabs[w.r.IntN(len(b.tabs))]
	current, next, apps := w.password, w.fresh(), ""
	switch w.r.IntN(5) {
	case 0:
		current = "a wrong one"
	case 1:
		next = []string{"short", "password", "alice alice", current}[w.r.IntN(4)]
	case 2:
		apps = "1"
	}
	good := b.in && tab.cookie == b.Value() && current == w.password && strings.HasPrefix(next, "teapot") && next != current
	times := 1 + w.r.IntN(2)
	w.note("a form of a tab whose cookie is the browser's (%v) changes %q to %q, apps %q, %d times; it should work: %v", tab.cookie == b.Value(), current, next, apps, times, good)
	before, value := b.Value(), ""
	for i := range times {
		again := w.BrowserWith(before)
		again.At = tab.Answer
		again.Post(passwordPath, "current", current, "new", next, "apps", apps)
		done := again.At.Status == http.StatusSeeOther && strings.HasPrefix(again.At.Header.Get("Location"), "/account/?changed=")
		if done != good {
			w.fail("time %d it was done: %v; got %d to %q", i+1, done, again.At.Status, again.At.Header.Get("Location"))
		}
		if done && i > 0 && again.Value() != value {
			w.fail("the second answer sets another cookie")
		}
		value = again.Value()
	}
	if !good {
		return
	}
	w.dead = append(w.dead, before)
	for _, other := range w.browsers {
		if other != b && other.in {
			w.dead = append(w.dead, other.Value())
			other.in = false
		}
	}
	b.Cookies[house.CookieName] = value
	w.password = next
	if apps != "" {
		w.end()
	}
}

// end is that all apps were signed out.
func (w *passwordWalk) end() {
	for _, token := range w.apps {
		w.WantInactive(token)
	}
	clear(w.apps)
}

func (w *passwordWalk) operator() {
	w.password = w.fresh()
	w.note("an operator sets %q", w.password)
	house.Act(w.House, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: matrixauth.Name{User: "alice"}, Password: w.password})
	for _, b := range w.browsers {
		if b.in {
			w.dead = append(w.dead, b.Value())
		}
		b.in = false
	}
}

func (w *passwordWalk) app() {
	device := fmt.Sprintf("DEVICE%d", w.r.IntN(3))
	a := w.LoginFrom("", "alice", w.password, nil)
	if a.Status != http.StatusOK {
		w.fail("an app is refused: %d %s", a.Status, a.Body)
	}
	w.apps[device+fmt.Sprint(w.n, len(w.steps))] = w.SignedIn(a).AccessToken
}

// check holds the model against what is so.
func (w *passwordWalk) check() {
	w.t.Helper()
	if a := w.LoginFrom("", "alice", w.password, nil); a.Status != http.StatusOK {
		w.fail("the password %q is answered %d", w.password, a.Status)
	}
	for i, b := range w.browsers {
		if b.Get("/account/"); b.in != (b.At.Status == http.StatusOK) {
			w.fail("browser %d is answered %d, and is signed in: %v", i, b.At.Status, b.in)
		}
	}
	for _, cookie := range w.dead {
		if a := w.BrowserWith(cookie).Get("/account/"); a.Status == http.StatusOK {
			w.fail("a cookie of before is worth something")
		}
	}
	for device, token := range w.apps {
		if a := w.Introspect(token); !strings.Contains(a.Body, `"active":true`) {
			w.fail("%s is signed out: %s", device, a.Body)
		}
	}
}

// TestPasswordWalk changes passwords in any order (PW-8, SESS-2).
func TestPasswordWalk(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := house.New(t, house.Unlimited)
			h.Add("alice")
			w := &passwordWalk{House: h, t: t, r: rand.New(rand.NewPCG(seed, 12)), password: house.AlicesPassword, apps: map[string]string{}}
			for range 3 {
				w.browsers = append(w.browsers, &walkBrowser{Browser: h.Browser()})
			}
			changed := 0
			for range 60 {
				before := w.password
				switch n := w.r.IntN(20); {
				case n < 4:
					w.signIn()
				case n < 9:
					w.open()
				case n < 15:
					w.submit()
				case n < 16:
					w.signOut()
				case n < 17:
					w.operator()
				case n < 18:
					w.app()
				case n < 19:
					w.note("a crash")
					h.Crash()
				default:
					h.Clock.Move(time.Duration(w.r.IntN(60)) * time.Second)
				}
				if w.password != before {
					changed++
				}
				w.check()
			}
			if changed == 0 {
				t.Error("nothing was ever changed")
			}
		})
	}
}
