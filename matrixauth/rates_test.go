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

func wrongSecret(h *house.House, ip string) house.Answer {
	return h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", IP: ip, Header: house.FormType, Bearer: "wrong", Body: house.Form("token", "x")})
}

func authorize(h *house.House, ip string) house.Answer {
	return h.Do(house.Call{Path: house.AuthorizePath + "?" + house.Params("app").Encode(), IP: ip})
}

func register(h *house.House, ip string) house.Answer {
	return h.Do(house.Call{Method: http.MethodPost, Path: house.RegistrationPath, IP: ip, Body: house.WebClient(nil), Header: http.Header{"Content-Type": {"application/json"}}})
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

// TestEveryRate meets each limit where strangers do, with the rates that an unconfigured server has: as many tries as
// docs/limits.md says are answered, the next one is told how long to wait, that is true, and others are not concerned. What
// was refused is in the metrics (ENUM-4, ENUM-5, LEG-31).
func TestEveryRate(t *testing.T) {
	known := house.New(t).Metrics()
	for name := range known {
		class, ok := strings.CutPrefix(name, "limited_total ")
		if _, tested := limits[class]; ok && !tested && !strings.HasPrefix(class, "log_lines") { // TestLinesAreBounded
			t.Errorf("nobody meets the limit %s", class)
		}
	}
	for class, l := range limits {
		t.Run(class, func(t *testing.T) {
			h := house.New(t)
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
			if a := l.elsewhere(h); a.Status != l.passes {
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
