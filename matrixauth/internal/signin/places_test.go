package signin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// leave signs the guest's browser out.
func leave(v *house.Browser) {
	v.House.T.Helper()
	v.Get("/account/")
	v.Post("/account/logout").WantTo(v.House.T, "/account/signed-out")
}

// strangers guess alice's password from so many networks, at each until they are told to wait.
func strangers(h *house.House, networks int) {
	h.T.Helper()
	for i := range networks {
		ip := fmt.Sprintf("203.0.113.%d", i+1)
		for h.Guess("alice", ip).Status != http.StatusTooManyRequests {
		}
	}
}

// TestStrangersKeepNobodyOut has six networks guess at alice's password for two hours. She gets in all the
// time from where she is known, at both doors, and the strangers have one rate in all (PW-12, PW-13).
func TestStrangersKeepNobodyOut(t *testing.T) {
	h := house.New(t)
	v := h.AliceAtHome()
	leave(v)
	if v.Cookies[house.DeviceCookie] == "" {
		t.Fatal("signing out took the device cookie away")
	}
	guesses := 0
	for minute := range 120 {
		for i := range 6 {
			ip := fmt.Sprintf("203.0.113.%d", i+1)
			for h.Guess("alice", ip).Status != http.StatusTooManyRequests {
				guesses++
			}
		}
		h.LoginFrom(house.HotelIP, "alice", house.AlicesPassword, nil).Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED") // nobody is known there
		switch minute % 4 {
		case 0: // an app at home
			h.LoginFrom(house.HomeIP, "alice", house.AlicesPassword, nil).Want(t, http.StatusOK, "")
		case 1: // another browser at home
			w := h.Browser()
			w.IP = strings.Replace(house.HomeIP, "::10", "::77", 1)
			w.SignIn("alice", "")
		case 2: // the known browser at a hotel, beside others there who have no luck
			v.IP = house.HotelIP
			v.SignIn("alice", "")
			leave(v)
			forgetNetwork(h, "alice", house.HotelIP)
		case 3: // an app in that browser, served at the same host
			h.LoginFrom(house.HotelIP, "alice", house.AlicesPassword, v.CookieHeader()).Want(t, http.StatusOK, "")
			forgetNetwork(h, "alice", house.HotelIP)
		}
		h.Clock.Move(time.Minute)
	}
	if most := matrixauth.DefaultLoginsPerAccount.Burst + 120*int(matrixauth.DefaultLoginsPerAccount.PerMinute); guesses > most {
		t.Errorf("%d guesses in two hours, want at most %d", guesses, most)
	}
}

// forgetNetwork has time pass for one network alone, so that it is unknown again.
func forgetNetwork(h *house.House, user, ip string) {
	h.T.Helper()
	h.SQL("DELETE FROM known_networks WHERE user_id = ?1 AND network = ?2", h.UserID(user), model.Network(ip))
}

// TestGuesserAtKnownPlace: who guesses from alice's own network has the one rate of that place, and keeps her
// out neither in her browser nor in another network of hers.
func TestGuesserAtKnownPlace(t *testing.T) {
	h := house.New(t, house.Limits(house.NoLimit, matrixauth.Rate{Burst: 10, PerMinute: 2}))
	v := h.AliceAtHome()
	h.LoginFrom(house.OfficeIP, "alice", house.AlicesPassword, nil).Want(t, http.StatusOK, "")
	guesses := 0
	for range 60 {
		for i := range 3 {
			for h.Guess("alice", fmt.Sprintf("2001:db8:aaaa:1::%d", i)).Status != http.StatusTooManyRequests {
				guesses++
			}
		}
		h.Clock.Move(time.Minute)
	}
	if guesses != 10+2*59 {
		t.Errorf("%d guesses in an hour, want %d", guesses, 10+2*59)
	}
	for h.Guess("alice", house.HomeIP).Status != http.StatusTooManyRequests {
	}
	leave(v)
	v.SignIn("alice", "")
	h.LoginFrom(house.OfficeIP, "alice", house.AlicesPassword, nil).Want(t, http.StatusOK, "")
	h.Guess("alice", house.HomeIP).Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED") // whose count a success elsewhere leaves alone
}

// TestKnownBrowserPassesNetworkLimit: strangers behind the same address, or all strangers where Caddy does not
// know its clients' addresses, keep nobody out of the browser in which they signed in before.
func TestKnownBrowserPassesNetworkLimit(t *testing.T) {
	h := house.New(t)
	v := h.AliceAtHome()
	leave(v)
	for i := 0; h.Guess(fmt.Sprint("user", i), house.HomeIP).Status != http.StatusTooManyRequests; i++ {
	}
	w := h.Browser()
	w.IP = house.HomeIP
	w.Get("/account/login")
	w.Post("/account/login", "username", "alice", "password", house.AlicesPassword).WantPage(t, http.StatusTooManyRequests, "Sign in")
	v.SignIn("alice", "")
	// For another account the browser is no known one.
	leave(v)
	v.Get("/account/login")
	v.Post("/account/login", "username", "bob", "password", house.AlicesPassword).WantPage(t, http.StatusTooManyRequests, "Sign in")
}

// TestDeviceCookie is a place in the limits and nothing else.
func TestDeviceCookie(t *testing.T) {
	slow := matrixauth.Rate{Burst: 3, PerMinute: 1}
	t.Run("what the browser is told", func(t *testing.T) { // SESS-1
		h := house.New(t)
		h.Add("alice")
		v := h.Browser()
		v.Get("/account/login")
		if _, set := v.Cookies[house.DeviceCookie]; set {
			t.Error("a device cookie before any sign-in")
		}
		v.Post("/account/login", "username", "alice", "password", "wrong")
		if _, set := v.Cookies[house.DeviceCookie]; set {
			t.Error("a device cookie after a wrong password")
		}
		v.SignIn("alice", "")
		want := "; Path=/; Max-Age=7776000; HttpOnly; Secure; SameSite=Lax"
		for _, line := range v.At.Header.Values("Set-Cookie") {
			if rest, found := strings.CutPrefix(line, house.DeviceCookie+"="); found && rest == v.Cookies[house.DeviceCookie]+want {
				return
			}
		}
		t.Errorf("the cookies are %q", v.At.Header.Values("Set-Cookie"))
	})
	t.Run("signs nobody in", func(t *testing.T) {
		h := house.New(t)
		v := h.AliceAtHome()
		thief := h.Browser()
		thief.Cookies[house.DeviceCookie] = v.Cookies[house.DeviceCookie]
		thief.Get("/account/").WantTo(t, "/account/login")
		thief.Cookies["__Host-matrix_auth"] = v.Cookies[house.DeviceCookie]
		thief.Get("/account/").WantTo(t, "/account/login")
	})
	t.Run("a thief has one rate more", func(t *testing.T) {
		h := house.New(t, house.Limits(house.NoLimit, slow))
		v := h.AliceAtHome()
		strangers(h, 1)
		h.LoginFrom(house.HotelIP, "alice", "wrong", v.CookieHeader()).Want(t, http.StatusForbidden, "M_FORBIDDEN")
		h.LoginFrom(house.HotelIP, "ALICE", "wrong", v.CookieHeader()).Want(t, http.StatusForbidden, "M_FORBIDDEN")
		h.LoginFrom("203.0.113.9", "@alice:"+house.ServerName, "wrong", v.CookieHeader()).Want(t, http.StatusForbidden, "M_FORBIDDEN")
		for _, ip := range []string{house.HotelIP, "203.0.113.9", house.HomeIP} {
			h.LoginFrom(ip, "alice", house.AlicesPassword, v.CookieHeader()).Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		}
		h.LoginFrom(house.HomeIP, "alice", house.AlicesPassword, nil).Want(t, http.StatusOK, "")
	})
	t.Run("counts for its own account alone", func(t *testing.T) {
		h := house.New(t, house.Limits(house.NoLimit, slow))
		v := h.AliceAtHome()
		for range 3 {
			h.LoginFrom(house.HotelIP, "bob", "wrong", v.CookieHeader()).Want(t, http.StatusForbidden, "M_FORBIDDEN")
		}
		h.LoginFrom(house.HotelIP, "bob", "wrong", v.CookieHeader()).Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		h.Guess("bob", "203.0.113.1").Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED") // all of that was the shared rate
	})
	t.Run("one that was made up counts for nothing", func(t *testing.T) {
		h := house.New(t, house.Limits(house.NoLimit, slow))
		h.AliceAtHome()
		strangers(h, 1)
		for _, value := range []string{model.NewBrowserValue(), "x", strings.Repeat(".", 4000), ""} {
			header := http.Header{"Cookie": {house.DeviceCookie + "=" + value}}
			h.LoginFrom(house.HotelIP, "alice", house.AlicesPassword, header).Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		}
	})
	t.Run("holds five accounts, the one that signed in last first", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		v := h.Browser()
		values := map[string]string{}
		for i := range 6 {
			name := fmt.Sprint("user", i)
			h.Add(name)
			v.SignIn(name, "")
			values[name], _, _ = strings.Cut(v.Cookies[house.DeviceCookie], ".")
			leave(v)
		}
		v.SignIn("user3", "")
		want := strings.Join([]string{values["user3"], values["user5"], values["user4"], values["user2"], values["user1"]}, ".")
		if got := v.Cookies[house.DeviceCookie]; got != want {
			t.Errorf("the cookie is %q, want %q", got, want)
		}
	})
	t.Run("is stored as a hash", func(t *testing.T) { // SESS-1
		h := house.New(t)
		v := h.AliceAtHome()
		hash := model.HashToken(v.Cookies[house.DeviceCookie])
		if n := h.Count("known_browsers WHERE hash = ?1", hash[:]); n != 1 {
			t.Errorf("%d rows of the hash", n)
		}
	})
}

// TestKnownPlaces: how a place comes to be known, and how long it is.
func TestKnownPlaces(t *testing.T) {
	slow := house.Limits(house.NoLimit, matrixauth.Rate{Burst: 3, PerMinute: 0.001})
	const day = 24 * time.Hour
	// in tries whether alice gets in from an address while the shared rate is used up.
	in := func(t *testing.T, h *house.House, ip string, header http.Header, want bool) {
		t.Helper()
		strangers(h, 1)
		if a := h.LoginFrom(ip, "alice", house.AlicesPassword, header); (a.Status == http.StatusOK) != want {
			t.Errorf("from %s: got %d %s, want to get in: %v", ip, a.Status, a.Body, want)
		}
	}
	t.Run("a whole network is one place", func(t *testing.T) {
		h := house.New(t, slow)
		h.AliceAtHome()
		in(t, h, "2001:db8:aaaa:1:ffff::1", nil, true)
		in(t, h, "2001:db8:aaaa:2::1", nil, false)
	})
	t.Run("by a refresh", func(t *testing.T) {
		h := house.New(t, slow)
		h.Add("alice")
		s := h.Login("alice", house.Object{"refresh_token": true})
		in(t, h, house.HotelIP, nil, false)
		h.Do(house.Call{Method: http.MethodPost, Path: house.RefreshPath, IP: house.HotelIP, Body: house.JSON(house.Object{"refresh_token": s.RefreshToken})}).Want(t, http.StatusOK, "")
		in(t, h, house.HotelIP, nil, true)
	})
	t.Run("by the exchange of a code, and by a page", func(t *testing.T) {
		h := house.New(t, slow)
		h.Add("alice")
		h.Register("app", "")
		h.OauthSession("alice", "app", "PHONE") // from the office
		in(t, h, house.OfficeIP, nil, true)
		v := h.Browser()
		v.SignIn("alice", "")
		v.IP = house.HomeIP
		h.Clock.Move(time.Minute)
		v.Get("/account/")
		in(t, h, house.HomeIP, nil, true)
	})
	t.Run("not what is not an address", func(t *testing.T) {
		h := house.New(t, slow)
		h.Add("alice")
		h.LoginFrom("@", "alice", house.AlicesPassword, nil).Want(t, http.StatusOK, "")
		in(t, h, "@", nil, false)
		if n := h.Count("known_networks"); n != 0 {
			t.Errorf("%d networks are known", n)
		}
	})
	t.Run("a network for thirty days after it was used", func(t *testing.T) {
		h := house.New(t, slow)
		v := h.AliceAtHome()
		cookies := v.CookieHeader()
		logoutEverywhere(h, "alice")
		h.Clock.Move(30*day - time.Second)
		in(t, h, house.HomeIP, nil, true)
		logoutEverywhere(h, "alice")
		h.Clock.Move(30 * day)
		in(t, h, house.HomeIP, nil, false)
		in(t, h, house.HotelIP, cookies, true)
	})
	t.Run("a browser for ninety days after it signed in", func(t *testing.T) {
		h := house.New(t, slow)
		v := h.AliceAtHome()
		cookies := v.CookieHeader()
		h.Clock.Move(90*day - time.Second)
		v.IP = house.HotelIP
		strangers(h, 1)
		v.SignIn("alice", "") // and from then on again
		h.Clock.Move(90*day - time.Second)
		in(t, h, "198.51.100.1", cookies, true)
		h.Clock.Move(90 * day)
		in(t, h, "198.51.100.2", cookies, false)
	})
	t.Run("while a session goes on at an address", func(t *testing.T) {
		// A client that never refreshes tells its address at the login alone.
		h := house.New(t, slow)
		h.Add("alice")
		s := h.LoginFrom(house.HomeIP, "alice", house.AlicesPassword, nil)
		for range 70 {
			h.Clock.Move(day)
			h.WantActive(h.SignedIn(s).AccessToken, h.LiveDevices("alice")[0])
			h.Must(h.Registry.Flush(t.Context()))
			_, err := h.Store.Retain(t.Context())
			h.Must(err)
		}
		in(t, h, house.HomeIP, nil, true)
		logoutEverywhere(h, "alice")
		h.Clock.Move(31 * day)
		_, err := h.Store.Retain(t.Context())
		h.Must(err)
		if n := h.Count("known_networks"); n != 0 {
			t.Errorf("%d networks are kept", n)
		}
	})
	t.Run("the last of many", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		for i := range 50 {
			h.LoginFrom(fmt.Sprintf("198.51.100.%d", i), "alice", house.AlicesPassword, nil).Want(t, http.StatusOK, "")
			h.Browser().SignIn("alice", "")
			h.Clock.Move(time.Second)
		}
		if n := h.Count("known_networks WHERE network = '198.51.100.0'"); n != 0 {
			t.Error("the oldest network is known")
		}
		if networks, browsers := h.Count("known_networks"), h.Count("known_browsers"); networks != 32 || browsers != 16 {
			t.Errorf("%d networks and %d browsers are known", networks, browsers)
		}
	})
	t.Run("still after a new password", func(t *testing.T) {
		// Else a stranger who guesses would keep the owner out just then. Whoever had the old one gains what any
		// stranger has: a rate of guesses.
		h := house.New(t, slow)
		v := h.AliceAtHome()
		house.Act(h, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: matrixauth.Name{User: "alice"}, Password: house.AlicesPassword})
		in(t, h, house.HomeIP, nil, true)
		in(t, h, house.HotelIP, v.CookieHeader(), true)
	})
	t.Run("not after a deactivation", func(t *testing.T) {
		h := house.New(t, slow)
		h.AliceAtHome()
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}})
		if networks, browsers := h.Count("known_networks"), h.Count("known_browsers"); networks+browsers != 0 {
			t.Errorf("%d networks and %d browsers are known", networks, browsers)
		}
	})
}

// logoutEverywhere ends all sessions of a user, as an operator does.
func logoutEverywhere(h *house.House, user string) {
	h.T.Helper()
	house.Act(h, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: user})
	h.Must(h.Store.Update(h.T.Context(), func(tx *store.Tx) error {
		_, err := h.Browsers.EndAll(tx, model.TheServer(), h.UserID(user), model.EndByOperator)
		return err
	}))
}

// TestKnownPlacesCostRefreshesNothing: a refresh from where the last one came from is as cheap as ever.
func TestKnownPlacesCostRefreshesNothing(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	s := h.Login("alice", house.Object{"refresh_token": true})
	refresh := func(ip string) (statements uint64) {
		h.Clock.Move(time.Second)
		a, spent := h.Measure(house.Call{Method: http.MethodPost, Path: house.RefreshPath, IP: ip, Body: house.JSON(house.Object{"refresh_token": s.RefreshToken})})
		s = h.SignedIn(a)
		return spent.Statements
	}
	plain := refresh("")
	if plain != 4 {
		t.Errorf("a refresh costs %d statements, want 4", plain)
	}
	if moved := refresh(house.HomeIP); moved != plain+3 {
		t.Errorf("the first from another network costs %d statements more, want 3", moved-plain)
	}
	for range 10 {
		if again := refresh(house.HomeIP); again != plain {
			t.Errorf("the next costs %d statements, want %d", again, plain)
		}
	}
}

// TestKnownBrowserHasRateOfNetwork: a success clears the count of failures of a known browser, so that the
// owner of an account, whose password is right each time, could have passwords hashed and devices made
// without end if nothing else counted there.
func TestKnownBrowserHasRateOfNetwork(t *testing.T) {
	h := house.New(t, house.Limits(matrixauth.Rate{Burst: 20, PerMinute: 12}, house.NoLimit))
	v := h.AliceAtHome()
	leave(v)
	successes := 0
	for i := range 100 {
		if h.LoginFrom(fmt.Sprintf("198.51.100.%d", i), "alice", house.AlicesPassword, v.CookieHeader()).Status == http.StatusOK {
			successes++
		}
	}
	if successes != 20 {
		t.Errorf("%d of 100 logins in a moment succeeded, want 20", successes)
	}
	h.LoginFrom(house.HotelIP, "alice", house.AlicesPassword, v.CookieHeader()).Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
	v.IP = house.HotelIP
	h.Clock.Move(time.Minute)
	v.SignIn("alice", "")
}
