package registration_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// person is one of those who walk in TestWalks, with the tabs that their browser shows.
type person struct {
	cookies map[string]string
	tabs    []*house.Browser
}

// use has a tab take the cookies of its browser along, and leave what it got.
func (p *person) use(tab *house.Browser, f func()) {
	tab.Cookies = p.cookies
	f()
	p.cookies = tab.Cookies
}

// TestWalks walks through registrations in any order: two people with several tabs each want one of two names, go back, send
// forms twice and late, while the server crashes and the homeserver goes. Whatever happens no name has two accounts, no
// account is without a password, nobody is signed in who made none, the homeserver has what we have, and every page is one
// of ours.
func TestWalks(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { walk(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func walk(t *testing.T, chance *rand.Rand) {
	h := house.New(t, house.Unlimited, house.Registers("open", func(r *matrixauth.Registration) { r.Terms = []string{"https://example.test/terms", "1"} }))
	people := []*person{{cookies: map[string]string{}}, {cookies: map[string]string{}}}
	for _, p := range people {
		for range 3 {
			p.tabs = append(p.tabs, h.Browser())
		}
	}
	for range 50 {
		p := people[chance.IntN(len(people))]
		tab := p.tabs[chance.IntN(len(p.tabs))]
		p.use(tab, func() { step(h, tab, p, chance) })
		if tab.At.Status >= 500 && tab.At.Status != http.StatusServiceUnavailable {
			t.Fatalf("got %d %s", tab.At.Status, tab.At.Body)
		}
		lawful(t, h)
	}
	// Whoever is left in the middle can finish, or is told to begin again.
	h.Fake.Resume()
	for i, p := range people {
		tab := h.Browser()
		p.use(tab, func() {
			name := fmt.Sprint("last", i)
			tab.Open(house.RegisterPath)
			for range 6 {
				if tab.At.Heading() == "Apps and devices" {
					break
				}
				fill(tab, name, chance, true)
				tab.Land()
			}
			tab.WantHeading(t, "Apps and devices")
		})
	}
	h.Settle()
	lawful(t, h)
	for _, localpart := range []string{"alice", "bob", "last0", "last1"} {
		_, there := h.Fake.User(localpart)
		if here := h.Count("users WHERE localpart = ?1", localpart) == 1; here != there {
			t.Errorf("%s: here %v, at the homeserver %v", localpart, here, there)
		}
	}
}

// step does something that may happen.
func step(h *house.House, tab *house.Browser, p *person, chance *rand.Rand) {
	switch n := chance.IntN(20); {
	case n == 0:
		h.Crash()
	case n == 1:
		h.Fake.Stop()
	case n == 2:
		h.Fake.Resume()
	case n == 3:
		h.Clock.Move(time.Duration(chance.Int64N(int64(bound.RegistrationLife / 2))))
	case n == 4 || tab.Where == "":
		tab.Open(house.RegisterPath)
	case n == 5: // another tab at the same address
		p.tabs[chance.IntN(len(p.tabs))].Where = tab.Where
	case n == 6: // a reload
		tab.Open(tab.Where)
	case n == 7: // the way back, to any step
		_, query, _ := strings.Cut(tab.Where, "?")
		tab.Open(house.RegisterPath + "/" + []string{"name", "password", "terms", "profile", "waiting"}[chance.IntN(5)] + "?" + query)
	case n == 8 && strings.Contains(tab.At.Body, "<form"): // twice
		form := tab.At
		fill(tab, []string{"alice", "bob"}[chance.IntN(2)], chance, false)
		tab.At = form
		fill(tab, []string{"alice", "bob"}[chance.IntN(2)], chance, false)
		tab.Land()
	default:
		if strings.Contains(tab.At.Body, "<form") {
			fill(tab, []string{"alice", "bob"}[chance.IntN(2)], chance, false)
			tab.Land()
		}
	}
}

// fill fills the form of a page in, with a mistake now and then unless it is to be right.
func fill(tab *house.Browser, name string, chance *rand.Rand, right bool) {
	wrong := !right && chance.IntN(6) == 0
	pick := func(good, bad string) string {
		if wrong {
			return bad
		}
		return good
	}
	switch heading := tab.At.Heading(); heading {
	case "Create an account":
		tab.Answer("username", pick(name, "_"+name))
	case "Choose a password":
		tab.Answer("password", house.NewPassword, "repeat", pick(house.NewPassword, "another"))
	case "Terms of service":
		tab.Answer("terms", pick("1", ""))
	case "Almost done":
		tab.Answer("display_name", pick("", strings.Repeat("x", 300)))
	}
}

// lawful checks what is always so.
func lawful(t *testing.T, h *house.House) {
	t.Helper()
	for what, where := range map[string]string{
		"a name that two accounts have":           "(SELECT localpart FROM users GROUP BY localpart HAVING COUNT(*) > 1)",
		"an account without a password":           "users WHERE id NOT IN (SELECT user_id FROM passwords)",
		"an account without its terms":            "users WHERE id NOT IN (SELECT user_id FROM accepted_terms)",
		"an account that nobody registered":       "users WHERE id NOT IN (SELECT user_id FROM events WHERE action = 'user.register')",
		"a password of a registration that ended": "registrations WHERE state <> 'open' AND password <> ''",
		"a registration that made no account":     "registrations WHERE state = 'done' AND user_id NOT IN (SELECT id FROM users)",
		"an account of two registrations":         "(SELECT user_id FROM registrations WHERE state = 'done' GROUP BY user_id HAVING COUNT(*) > 1)",
	} {
		if n := h.Count(where); n != 0 {
			t.Fatalf("there is %s (%d)", what, n)
		}
	}
}

// TestFlood: however many begin to register, what is kept is bounded, of a network and in all, and who has typed a password
// is not pushed out by those who only ask for names.
func TestFlood(t *testing.T) {
	h := house.New(t, house.Registers("open"))
	v := h.Browser()
	upTo(v, "alice")
	flood := h.Browser()
	flood.Get(house.RegisterPath)
	for n := range bound.OpenRegistrationsOfNetwork + 40 {
		h.Clock.Move(10 * time.Second)
		flood.Submit(house.RegisterPath+"/name", "username", fmt.Sprint("bot", n))
		if flood.At.Status != http.StatusSeeOther {
			t.Fatalf("try %d: %d", n, flood.At.Status)
		}
	}
	if n := h.Count("registrations"); n != bound.OpenRegistrationsOfNetwork {
		t.Errorf("%d are kept", n)
	}
	v.Answer("display_name", "")
	v.Land().WantPage(t, http.StatusOK, "Apps and devices")
	h.Clock.Move(bound.RegistrationLife + time.Second)
	_, err := h.Store.Retain(t.Context())
	h.Must(err)
	if n := h.Count("registrations"); n != 0 {
		t.Errorf("%d are kept after an hour", n)
	}
}
