package matrixauth_test

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// limited is a way to meet a limit.
type limited struct {
	rate bound.Rate
	// ready prepares a house and returns one try; n counts them. A try that is not refused by the limit has the
	// status passes, and one that is the status refused, which is 429 by default.
	ready   func(h *house.House) (try func(n int) house.Answer)
	passes  int
	refused int
	// elsewhere is a try from another network, account or session, which the limit leaves alone.
	elsewhere func(h *house.House) house.Answer
}

const otherIP = "198.51.100.77"

func loginFrom(h *house.House, ip, user, password string, header http.Header) house.Answer {
	return h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, IP: ip, Header: header, Body: house.LoginBody(user, password, nil)})
}

func exchange(h *house.House, ip string) house.Answer {
	return h.Do(house.Call{Method: http.MethodPost, Path: house.TokenPath, IP: ip, Header: house.FormType, Body: house.Form(
		"grant_type", "authorization_code", "client_id", "app", "code", "nothing", "redirect_uri", house.WebCallback, "code_verifier", house.Verifier)})
}

// openTicket opens a link for recovery that is none.
func openTicket(h *house.House, ip string) house.Answer {
	return h.Do(house.Call{Method: http.MethodGet, Path: "/account/recover/password?ticket=" + strings.Repeat("a", 32), IP: ip})
}

func wrongSecret(h *house.House, ip string) house.Answer {
	return h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", IP: ip, Header: house.FormType, Bearer: "wrong", Body: house.Form("token", "x")})
}

func authorize(h *house.House, ip string) house.Answer {
	return h.Do(house.Call{Path: house.AuthorizePath + "?" + house.Params("app").Encode(), IP: ip})
}

func register(h *house.House, ip string) house.Answer {
	return h.Do(house.Call{Method: http.MethodPost, Path: house.RegistrationPath, IP: ip, Body: house.WebClient(nil), Header: http.Header{"Content-Type": {"application/json"}}})
}

// named begins a registration with a name, and is where that leads.
func named(h *house.House, ip, name string) *house.Browser {
	v := h.Browser()
	v.IP = ip
	v.Get(house.RegisterPath)
	v.Submit(house.RegisterPath+"/name", "username", name)
	return v
}

// newPassword chooses a password for a registration that began at an answer.
func newPassword(v *house.Browser, began house.Answer, ip string) house.Answer {
	v.IP = ip
	v.Submit(began.Header.Get("Location"), "password", house.NewPassword, "repeat", house.NewPassword)
	a := v.At
	v.At = began
	return a
}

func guessInvitation(h *house.House, ip string) house.Answer {
	v := h.Browser()
	v.IP = ip
	v.Get(house.RegisterPath + "/invitation")
	return v.Submit(house.RegisterPath+"/invitation", "token", "wrong")
}

// newAccount registers, with the last page from a network and those before from elsewhere.
func newAccount(h *house.House, n int, ip string) house.Answer {
	elsewhere := fmt.Sprint("203.0.113.", n)
	v := named(h, elsewhere, fmt.Sprint("user", n, "-", h.Count("registrations")))
	a := newPassword(v, v.At, elsewhere)
	v.IP = ip
	return v.Submit(a.Header.Get("Location"), "display_name", "")
}

// nameDevice has somebody give their only device a name. They stay signed in, as sign-ins have limits of their own.
func nameDevice(b *house.Browser, id string, n int) house.Answer {
	return b.Submit("/account/sessions/name", "session", id, "name", fmt.Sprint("Phone ", n))
}

// namer is somebody with a device who is signed in in a browser.
func namer(h *house.House, name string) (b *house.Browser, id string) {
	h.Add(name)
	h.LoginOn(name, "PHONE")
	b = h.SignedInAs(name)
	return b, house.Hidden(b.Get("/account/?action=org.matrix.device_delete&device_id=PHONE").Body, "session")
}

// limits are the ways to meet each limit by its class.
var limits = map[string]limited{
	"authorizations": {
		rate: bound.AuthorizationsPerNetwork, passes: http.StatusSeeOther,
		ready: func(h *house.House) func(int) house.Answer {
			h.Register("app", "")
			return func(int) house.Answer { return authorize(h, "") }
		},
		elsewhere: func(h *house.House) house.Answer { return authorize(h, otherIP) },
	},
	"exchanges": {
		rate: bound.ExchangesPerNetwork, passes: http.StatusBadRequest,
		ready: func(h *house.House) func(int) house.Answer {
			h.Register("app", "")
			return func(int) house.Answer { return exchange(h, "") }
		},
		elsewhere: func(h *house.House) house.Answer { return exchange(h, otherIP) },
	},
	"registrations": {
		rate: bound.RegistrationsPerNetwork, passes: http.StatusCreated,
		ready: func(h *house.House) func(int) house.Answer {
			return func(int) house.Answer { return register(h, "") }
		},
		elsewhere: func(h *house.House) house.Answer { return register(h, otherIP) },
	},
	"recovery_tickets": {
		rate: bound.TicketsPerNetwork, passes: http.StatusNotFound,
		ready: func(h *house.House) func(int) house.Answer {
			return func(int) house.Answer { return openTicket(h, "") }
		},
		elsewhere: func(h *house.House) house.Answer { return openTicket(h, otherIP) },
	},
	"wrong_secrets": {
		rate: bound.WrongSecretsPerNetwork, passes: http.StatusUnauthorized,
		ready: func(h *house.House) func(int) house.Answer {
			return func(int) house.Answer { return wrongSecret(h, "") }
		},
		elsewhere: func(h *house.House) house.Answer { return wrongSecret(h, otherIP) },
	},
	"logins_by_network": {
		rate: bound.LoginsPerNetwork, passes: http.StatusForbidden,
		ready: func(h *house.House) func(int) house.Answer {
			return func(n int) house.Answer { return h.Guess(fmt.Sprint("user", n), "") }
		},
		elsewhere: func(h *house.House) house.Answer { return h.Guess("somebody", otherIP) },
	},
	"logins_by_account": {
		rate: bound.LoginsPerAccount, passes: http.StatusForbidden,
		ready: func(h *house.House) func(int) house.Answer {
			return func(n int) house.Answer { return h.Guess("alice", fmt.Sprint("203.0.113.", n)) }
		},
		elsewhere: func(h *house.House) house.Answer { return h.Guess("somebody", otherIP) },
	},
	"logins_by_place": {
		rate: bound.LoginsPerAccount, passes: http.StatusForbidden,
		ready: func(h *house.House) func(int) house.Answer {
			h.AliceAtHome()
			return func(int) house.Answer { return h.Guess("alice", house.HomeIP) }
		},
		elsewhere: func(h *house.House) house.Answer { return h.Guess("alice", otherIP) },
	},
	"logins_by_browser": {
		rate: bound.LoginsPerAccount, passes: http.StatusForbidden,
		ready: func(h *house.House) func(int) house.Answer {
			v := h.AliceAtHome()
			return func(int) house.Answer { return loginFrom(h, house.HotelIP, "alice", "wrong", v.CookieHeader()) }
		},
		elsewhere: func(h *house.House) house.Answer { return h.Guess("alice", house.HotelIP) },
	},
	"logins_in_browser": {
		rate: bound.LoginsPerNetwork, passes: http.StatusOK, // a success clears the count of the account, and not this
		ready: func(h *house.House) func(int) house.Answer {
			v := h.AliceAtHome()
			return func(int) house.Answer {
				return loginFrom(h, house.HotelIP, "alice", house.AlicesPassword, v.CookieHeader())
			}
		},
		elsewhere: func(h *house.House) house.Answer {
			return loginFrom(h, house.HotelIP, "alice", house.AlicesPassword, nil)
		},
	},
	"names": { // ENUM-2
		rate: bound.NamesPerNetwork, passes: http.StatusSeeOther,
		ready: func(h *house.House) func(int) house.Answer {
			return func(n int) house.Answer { return named(h, "", fmt.Sprint("user", n)).At }
		},
		elsewhere: func(h *house.House) house.Answer { return named(h, otherIP, "somebody").At },
	},
	"new_passwords_by_network": {
		rate: bound.NewPasswordsPerNetwork, passes: http.StatusSeeOther,
		ready: func(h *house.House) func(int) house.Answer {
			v := named(h, "", "alice")
			return func(int) house.Answer { return newPassword(v, v.At, "") }
		},
		elsewhere: func(h *house.House) house.Answer {
			v := named(h, otherIP, "bob")
			return newPassword(v, v.At, otherIP)
		},
	},
	"new_passwords": {
		rate: bound.NewPasswords, passes: http.StatusSeeOther,
		ready: func(h *house.House) func(int) house.Answer {
			v := named(h, "", "alice")
			at := v.At
			return func(n int) house.Answer { return newPassword(v, at, fmt.Sprint("203.0.113.", n)) }
		},
		elsewhere: func(h *house.House) house.Answer { return named(h, otherIP, "bob").At },
	},
	"invitations_by_network": { // CREATE-7
		rate: bound.InvitationsPerNetwork, passes: http.StatusForbidden,
		ready: func(h *house.House) func(int) house.Answer {
			return func(int) house.Answer { return guessInvitation(h, "") }
		},
		elsewhere: func(h *house.House) house.Answer { return guessInvitation(h, otherIP) },
	},
	"invitations": {
		rate: bound.Invitations, passes: http.StatusForbidden,
		ready: func(h *house.House) func(int) house.Answer {
			return func(n int) house.Answer { return guessInvitation(h, fmt.Sprint("203.0.113.", n)) }
		},
		elsewhere: func(h *house.House) house.Answer { return h.Guess("somebody", otherIP) },
	},
	"new_accounts": {
		rate: bound.AccountsPerNetwork, passes: http.StatusSeeOther,
		ready: func(h *house.House) func(int) house.Answer {
			return func(n int) house.Answer { return newAccount(h, n, "") }
		},
		elsewhere: func(h *house.House) house.Answer { return newAccount(h, 200, otherIP) },
	},
	"mails_by_network": {
		rate: bound.MailsPerNetwork, passes: http.StatusSeeOther,
		ready: func(h *house.House) func(int) house.Answer {
			all := adders(h, 6)
			return func(n int) house.Answer { return all[n%len(all)].add(n, "") }
		},
		elsewhere: func(h *house.House) house.Answer { return adders(h, 1)[0].add(0, otherIP) },
	},
	"mails_by_account": {
		rate: bound.MailsPerAccount, passes: http.StatusSeeOther,
		ready: func(h *house.House) func(int) house.Answer {
			alice := adders(h, 1)[0]
			return func(n int) house.Answer { return alice.add(n, "") }
		},
		elsewhere: func(h *house.House) house.Answer { h.Add("bob"); return adder{h.SignedInAs("bob")}.add(100, "") },
	},
	"mails_by_address": {
		rate: bound.MailsPerAddress, passes: http.StatusSeeOther,
		ready: func(h *house.House) func(int) house.Answer {
			alice := adders(h, 1)[0]
			return func(int) house.Answer { return alice.add(0, "") }
		},
		elsewhere: func(h *house.House) house.Answer { return adders(h, 1)[0].add(1, "") },
	},
	"mails_in_all": {
		rate: bound.MailsInAll, passes: http.StatusSeeOther,
		ready: func(h *house.House) func(int) house.Answer {
			all := adders(h, 60)
			return func(n int) house.Answer { return all[n%len(all)].add(n, fmt.Sprint("203.0.113.", n%60)) }
		},
	},
	"renames": {
		rate: bound.RenamesPerAccount, passes: http.StatusSeeOther,
		ready: func(h *house.House) func(int) house.Answer {
			b, id := namer(h, "alice")
			return func(n int) house.Answer { return nameDevice(b, id, n) }
		},
		elsewhere: func(h *house.House) house.Answer {
			b, id := namer(h, "bob")
			return nameDevice(b, id, 0)
		},
	},
	"refreshes": {
		rate: bound.RefreshesPerSession, passes: http.StatusOK, refused: http.StatusServiceUnavailable, // REF-8
		ready: func(h *house.House) func(int) house.Answer {
			h.Add("alice")
			s := h.Login("alice", house.Object{"refresh_token": true})
			return func(int) house.Answer { return h.Refresh(s.RefreshToken) }
		},
		elsewhere: func(h *house.House) house.Answer {
			return h.Refresh(h.Login("alice", house.Object{"refresh_token": true}).RefreshToken)
		},
	},
}

// adder is the browser of somebody who adds mail addresses to their account.
type adder struct{ *house.Browser }

// adders returns that many of them, each with an account of their own.
func adders(h *house.House, n int) (all []adder) {
	h.T.Helper()
	for i := range n {
		name := fmt.Sprint("adder", i)
		if h.Count("users WHERE localpart = ?1", name) == 0 {
			h.Add(name)
		}
		b := h.Browser()
		b.IP = fmt.Sprint("198.51.100.", i)
		b.SignIn(name, "")
		all = append(all, adder{b})
	}
	return all
}

// add asks for a code for the address of a number.
func (a adder) add(n int, ip string) house.Answer {
	a.House.T.Helper()
	a.IP = ip
	return a.Submit("/account/addresses/add", "email", fmt.Sprintf("address%d@example.org", n), "password", house.AlicesPassword)
}

// TestEveryRate meets each limit where strangers do, with the rates that an unconfigured server has: as many tries as
// docs/limits.md says are answered, the next one is told how long to wait, that is true, and others are not concerned. What
// was refused is in the metrics (ENUM-4, ENUM-5, ENUM-7, LEG-31).
func TestEveryRate(t *testing.T) {
	known := house.New(t).Metrics()
	for name := range known {
		class, ok := strings.CutPrefix(name, "limited_total ")
		if _, tested := limits[class]; ok && !tested && !strings.HasPrefix(class, "log_lines") && class != "notices_by_account" { // TestLinesAreBounded; nobody waits for a notice
			t.Errorf("nobody meets the limit %s", class)
		}
	}
	for class, l := range limits {
		t.Run(class, func(t *testing.T) {
			changes := []house.Change{house.Registers("open")}
			if strings.HasPrefix(class, "mails_") {
				changes = append(changes, house.WithMail)
			}
			h := house.New(t, changes...)
			try := l.ready(h)
			refused := cmp.Or(l.refused, http.StatusTooManyRequests)
			before := h.Metrics()
			for n := range l.rate.Burst {
				if a := try(n); a.Status != l.passes {
					t.Fatalf("try %d: got %d %s, want %d", n, a.Status, a.Body, l.passes)
				}
			}
			wantWait := func(n int, want time.Duration) {
				t.Helper()
				a := try(n)
				seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
				if a.Status != refused || err != nil || time.Duration(seconds)*time.Second != want {
					t.Fatalf("try %d: got %d, wait %q, want %d and %s", n, a.Status, a.Header.Get("Retry-After"), refused, want)
				}
			}
			apart := time.Duration(float64(time.Minute) / l.rate.PerMinute)
			wait := time.Duration(math.Ceil(apart.Seconds())) * time.Second
			wantWait(l.rate.Burst, wait)
			wantWait(l.rate.Burst+1, wait)
			if l.elsewhere == nil {
				// It is everybody's.
			} else if a := l.elsewhere(h); a.Status != l.passes {
				t.Errorf("elsewhere: got %d %s, want %d", a.Status, a.Body, l.passes)
			}
			h.Clock.Move(apart)
			if a := try(l.rate.Burst + 2); a.Status != l.passes {
				t.Errorf("after the wait: got %d %s, want %d", a.Status, a.Body, l.passes)
			}
			wantWait(l.rate.Burst+3, wait)
			after := h.Metrics()
			for name, value := range after {
				if other, ok := strings.CutPrefix(name, "limited_total "); ok && !strings.HasPrefix(other, "log_lines") {
					want := 0.0
					if other == class {
						want = 3
					}
					if value-before[name] != want {
						t.Errorf("%s rose by %v, want %v", name, value-before[name], want)
					}
				}
			}
		})
	}
}

// TestRatesOfEveryDoor: what counts the same tries counts them together, whichever way they come (PW-13).
func TestRatesOfEveryDoor(t *testing.T) {
	t.Run("passwords", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		page := func(n int) house.Answer {
			v := h.Browser()
			v.Get("/account/login")
			return v.Post("/account/login", "username", fmt.Sprint("user", n), "password", "wrong")
		}
		for n := range bound.LoginsPerNetwork.Burst / 2 {
			h.Guess(fmt.Sprint("user", n), "").Want(t, http.StatusForbidden, "M_FORBIDDEN")
			if a := page(1000 + n); a.Status != http.StatusForbidden {
				t.Fatalf("got %d %s", a.Status, a.Body)
			}
		}
		h.Guess("alice", "").Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		if a := page(0); a.Status != http.StatusTooManyRequests {
			t.Errorf("got %d", a.Status)
		}
	})
	t.Run("requests for authorization", func(t *testing.T) { // AUTHZ-1: by GET and by POST
		h := house.New(t)
		h.Register("app", "")
		for n := range bound.AuthorizationsPerNetwork.Burst {
			c := house.Call{Path: house.AuthorizePath + "?" + house.Params("app").Encode()}
			if n%2 == 1 {
				c = house.Call{Method: http.MethodPost, Path: house.AuthorizePath, Header: house.FormType, Body: house.Params("app").Encode()}
			}
			if a := h.Do(c); a.Status != http.StatusSeeOther {
				t.Fatalf("try %d: got %d %s", n, a.Status, a.Body)
			}
		}
		rows := h.Count("authorizations")
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			a := h.Do(house.Call{Method: method, Path: house.AuthorizePath + "?" + house.Params("app").Encode(), Header: house.FormType, Body: house.Params("app").Encode()})
			a.WantPage(t, http.StatusTooManyRequests, a.Heading())
		}
		if h.Count("authorizations") != rows {
			t.Error("a request that was refused is kept")
		}
	})
	t.Run("secrets, at the listener for the homeserver", func(t *testing.T) {
		h := house.New(t)
		guess := func() int {
			return h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", Inside: true, Header: house.FormType, Bearer: "wrong", Body: house.Form("token", "x")}).Status
		}
		for n := range bound.WrongSecretsPerNetwork.Burst {
			if got := guess(); got != http.StatusUnauthorized {
				t.Fatalf("try %d: got %d", n, got)
			}
		}
		if got := guess(); got != http.StatusTooManyRequests {
			t.Errorf("got %d", got)
		}
	})
	t.Run("refreshes", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		h.Register("app", "")
		s := h.OauthSession("alice", "app", "PHONE")
		for range bound.RefreshesPerSession.Burst {
			s = h.Tokens(h.Renew("app", s.RefreshToken))
		}
		a := h.Renew("app", s.RefreshToken)
		if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") != "1" {
			t.Errorf("got %d, wait %q", a.Status, a.Header.Get("Retry-After"))
		}
		h.Clock.Move(time.Second)
		h.Tokens(h.Renew("app", s.RefreshToken)) // the same token works then
	})
}
