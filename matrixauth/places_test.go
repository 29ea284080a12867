package matrixauth

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// leave signs the guest's browser out.
func (v *guest) leave() {
	v.h.t.Helper()
	v.get("/account/")
	v.post("/account/logout").wantTo(v.h.t, "/account/signed-out")
}

// strangers guess alice's password from so many networks, at each until they are told to wait.
func (h *house) strangers(networks int) {
	h.t.Helper()
	for i := range networks {
		ip := fmt.Sprintf("203.0.113.%d", i+1)
		for h.guess("alice", ip).status != http.StatusTooManyRequests {
		}
	}
}

// TestStrangersKeepNobodyOut has six networks guess at alice's password for two hours. She gets in all the
// time from where she is known, at both doors, and the strangers have one rate in all (PW-12, PW-13).
func TestStrangersKeepNobodyOut(t *testing.T) {
	h := newHouse(t)
	v := h.known()
	v.leave()
	if v.cookies[deviceCookie] == "" {
		t.Fatal("signing out took the device cookie away")
	}
	guesses := 0
	for minute := range 120 {
		for i := range 6 {
			ip := fmt.Sprintf("203.0.113.%d", i+1)
			for h.guess("alice", ip).status != http.StatusTooManyRequests {
				guesses++
			}
		}
		h.loginFrom(hotelIP, "alice", alicesPassword, nil).want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED") // nobody is known there
		switch minute % 4 {
		case 0: // an app at home
			h.loginFrom(homeIP, "alice", alicesPassword, nil).want(t, http.StatusOK, "")
		case 1: // another browser at home
			w := h.guest()
			w.ip = strings.Replace(homeIP, "::10", "::77", 1)
			w.signIn("alice", "")
		case 2: // the known browser at a hotel, beside others there who have no luck
			v.ip = hotelIP
			v.signIn("alice", "")
			v.leave()
			h.forgetNetwork("alice", hotelIP)
		case 3: // an app in that browser, served at the same host
			h.loginFrom(hotelIP, "alice", alicesPassword, v.cookieHeader()).want(t, http.StatusOK, "")
			h.forgetNetwork("alice", hotelIP)
		}
		h.clock.Move(time.Minute)
	}
	if most := DefaultLoginsPerAccount.Burst + 120*int(DefaultLoginsPerAccount.PerMinute); guesses > most {
		t.Errorf("%d guesses in two hours, want at most %d", guesses, most)
	}
}

// forgetNetwork has time pass for one network alone, so that it is unknown again.
func (h *house) forgetNetwork(user, ip string) {
	h.t.Helper()
	h.sql("DELETE FROM known_networks WHERE user_id = ?1 AND network = ?2", h.userID(user), model.Network(ip))
}

// TestGuesserAtKnownPlace: who guesses from alice's own network has the one rate of that place, and keeps her
// out neither in her browser nor in another network of hers.
func TestGuesserAtKnownPlace(t *testing.T) {
	h := newHouse(t, limits(many, Rate{Burst: 10, PerMinute: 2}))
	v := h.known()
	h.loginFrom(officeIP, "alice", alicesPassword, nil).want(t, http.StatusOK, "")
	guesses := 0
	for range 60 {
		for i := range 3 {
			for h.guess("alice", fmt.Sprintf("2001:db8:aaaa:1::%d", i)).status != http.StatusTooManyRequests {
				guesses++
			}
		}
		h.clock.Move(time.Minute)
	}
	if guesses != 10+2*59 {
		t.Errorf("%d guesses in an hour, want %d", guesses, 10+2*59)
	}
	for h.guess("alice", homeIP).status != http.StatusTooManyRequests {
	}
	v.leave()
	v.signIn("alice", "")
	h.loginFrom(officeIP, "alice", alicesPassword, nil).want(t, http.StatusOK, "")
	h.guess("alice", homeIP).want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED") // whose count a success elsewhere leaves alone
}

// TestKnownBrowserPassesNetworkLimit: strangers behind the same address, or all strangers where Caddy does not
// know its clients' addresses, keep nobody out of the browser in which they signed in before.
func TestKnownBrowserPassesNetworkLimit(t *testing.T) {
	h := newHouse(t)
	v := h.known()
	v.leave()
	for i := 0; h.guess(fmt.Sprint("user", i), homeIP).status != http.StatusTooManyRequests; i++ {
	}
	w := h.guest()
	w.ip = homeIP
	w.get("/account/login")
	w.post("/account/login", "username", "alice", "password", alicesPassword).wantPage(t, http.StatusTooManyRequests, "Sign in")
	v.signIn("alice", "")
	// For another account the browser is no known one.
	v.leave()
	v.get("/account/login")
	v.post("/account/login", "username", "bob", "password", alicesPassword).wantPage(t, http.StatusTooManyRequests, "Sign in")
}

// TestDeviceCookie is a place in the limits and nothing else.
func TestDeviceCookie(t *testing.T) {
	slow := Rate{Burst: 3, PerMinute: 1}
	t.Run("what the browser is told", func(t *testing.T) { // SESS-1
		h := newHouse(t)
		h.add("alice")
		v := h.guest()
		v.get("/account/login")
		if _, set := v.cookies[deviceCookie]; set {
			t.Error("a device cookie before any sign-in")
		}
		v.post("/account/login", "username", "alice", "password", "wrong")
		if _, set := v.cookies[deviceCookie]; set {
			t.Error("a device cookie after a wrong password")
		}
		v.signIn("alice", "")
		want := "; Path=/; Max-Age=7776000; HttpOnly; Secure; SameSite=Lax"
		for _, line := range v.at.header.Values("Set-Cookie") {
			if rest, found := strings.CutPrefix(line, deviceCookie+"="); found && rest == v.cookies[deviceCookie]+want {
				return
			}
		}
		t.Errorf("the cookies are %q", v.at.header.Values("Set-Cookie"))
	})
	t.Run("signs nobody in", func(t *testing.T) {
		h := newHouse(t)
		v := h.known()
		thief := h.guest()
		thief.cookies[deviceCookie] = v.cookies[deviceCookie]
		thief.get("/account/").wantTo(t, "/account/login")
		thief.cookies["__Host-matrix_auth"] = v.cookies[deviceCookie]
		thief.get("/account/").wantTo(t, "/account/login")
	})
	t.Run("a thief has one rate more", func(t *testing.T) {
		h := newHouse(t, limits(many, slow))
		v := h.known()
		h.strangers(1)
		h.loginFrom(hotelIP, "alice", "wrong", v.cookieHeader()).want(t, http.StatusForbidden, "M_FORBIDDEN")
		h.loginFrom(hotelIP, "ALICE", "wrong", v.cookieHeader()).want(t, http.StatusForbidden, "M_FORBIDDEN")
		h.loginFrom("203.0.113.9", "@alice:"+serverName, "wrong", v.cookieHeader()).want(t, http.StatusForbidden, "M_FORBIDDEN")
		for _, ip := range []string{hotelIP, "203.0.113.9", homeIP} {
			h.loginFrom(ip, "alice", alicesPassword, v.cookieHeader()).want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		}
		h.loginFrom(homeIP, "alice", alicesPassword, nil).want(t, http.StatusOK, "")
	})
	t.Run("counts for its own account alone", func(t *testing.T) {
		h := newHouse(t, limits(many, slow))
		v := h.known()
		for range 3 {
			h.loginFrom(hotelIP, "bob", "wrong", v.cookieHeader()).want(t, http.StatusForbidden, "M_FORBIDDEN")
		}
		h.loginFrom(hotelIP, "bob", "wrong", v.cookieHeader()).want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		h.guess("bob", "203.0.113.1").want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED") // all of that was the shared rate
	})
	t.Run("one that was made up counts for nothing", func(t *testing.T) {
		h := newHouse(t, limits(many, slow))
		h.known()
		h.strangers(1)
		for _, value := range []string{model.NewBrowserValue(), "x", strings.Repeat(".", 4000), ""} {
			header := http.Header{"Cookie": {deviceCookie + "=" + value}}
			h.loginFrom(hotelIP, "alice", alicesPassword, header).want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		}
	})
	t.Run("holds five accounts, the one that signed in last first", func(t *testing.T) {
		h := newHouse(t, unlimited)
		v := h.guest()
		values := map[string]string{}
		for i := range 6 {
			name := fmt.Sprint("user", i)
			h.add(name)
			v.signIn(name, "")
			values[name], _, _ = strings.Cut(v.cookies[deviceCookie], ".")
			v.leave()
		}
		v.signIn("user3", "")
		want := strings.Join([]string{values["user3"], values["user5"], values["user4"], values["user2"], values["user1"]}, ".")
		if got := v.cookies[deviceCookie]; got != want {
			t.Errorf("the cookie is %q, want %q", got, want)
		}
	})
	t.Run("is stored as a hash", func(t *testing.T) { // SESS-1
		h := newHouse(t)
		v := h.known()
		hash := model.HashToken(v.cookies[deviceCookie])
		if n := h.count("known_browsers WHERE hash = ?1", hash[:]); n != 1 {
			t.Errorf("%d rows of the hash", n)
		}
	})
}

// TestKnownPlaces: how a place comes to be known, and how long it is.
func TestKnownPlaces(t *testing.T) {
	slow := limits(many, Rate{Burst: 3, PerMinute: 0.001})
	const day = 24 * time.Hour
	// in tries whether alice gets in from an address while the shared rate is used up.
	in := func(t *testing.T, h *house, ip string, header http.Header, want bool) {
		t.Helper()
		h.strangers(1)
		if a := h.loginFrom(ip, "alice", alicesPassword, header); (a.status == http.StatusOK) != want {
			t.Errorf("from %s: got %d %s, want to get in: %v", ip, a.status, a.body, want)
		}
	}
	t.Run("a whole network is one place", func(t *testing.T) {
		h := newHouse(t, slow)
		h.known()
		in(t, h, "2001:db8:aaaa:1:ffff::1", nil, true)
		in(t, h, "2001:db8:aaaa:2::1", nil, false)
	})
	t.Run("by a refresh", func(t *testing.T) {
		h := newHouse(t, slow)
		h.add("alice")
		s := h.login("alice", object{"refresh_token": true})
		in(t, h, hotelIP, nil, false)
		h.do(call{method: http.MethodPost, path: refreshPath, ip: hotelIP, body: text(object{"refresh_token": s.RefreshToken})}).want(t, http.StatusOK, "")
		in(t, h, hotelIP, nil, true)
	})
	t.Run("by the exchange of a code, and by a page", func(t *testing.T) {
		h := newHouse(t, slow)
		h.add("alice")
		h.register("app", "")
		h.oauthSession("alice", "app", "PHONE") // from the office
		in(t, h, officeIP, nil, true)
		v := h.guest()
		v.signIn("alice", "")
		v.ip = homeIP
		h.clock.Move(time.Minute)
		v.get("/account/")
		in(t, h, homeIP, nil, true)
	})
	t.Run("not what is no address", func(t *testing.T) {
		h := newHouse(t, slow)
		h.add("alice")
		h.loginFrom("@", "alice", alicesPassword, nil).want(t, http.StatusOK, "")
		in(t, h, "@", nil, false)
		if n := h.count("known_networks"); n != 0 {
			t.Errorf("%d networks are known", n)
		}
	})
	t.Run("a network for thirty days after it was used", func(t *testing.T) {
		h := newHouse(t, slow)
		v := h.known()
		cookies := v.cookieHeader()
		h.logoutEverywhere("alice")
		h.clock.Move(30*day - time.Second)
		in(t, h, homeIP, nil, true)
		h.logoutEverywhere("alice")
		h.clock.Move(30 * day)
		in(t, h, homeIP, nil, false)
		in(t, h, hotelIP, cookies, true)
	})
	t.Run("a browser for ninety days after it signed in", func(t *testing.T) {
		h := newHouse(t, slow)
		v := h.known()
		cookies := v.cookieHeader()
		h.clock.Move(90*day - time.Second)
		v.ip = hotelIP
		h.strangers(1)
		v.signIn("alice", "") // and from then on again
		h.clock.Move(90*day - time.Second)
		in(t, h, "198.51.100.1", cookies, true)
		h.clock.Move(90 * day)
		in(t, h, "198.51.100.2", cookies, false)
	})
	t.Run("while a session goes on at an address", func(t *testing.T) {
		// A client that never refreshes tells its address at the login alone.
		h := newHouse(t, slow)
		h.add("alice")
		s := h.loginFrom(homeIP, "alice", alicesPassword, nil)
		for range 70 {
			h.clock.Move(day)
			h.wantActive(h.signedIn(s).AccessToken, h.liveDevices("alice")[0])
			h.must(h.registry.Flush(t.Context()))
			_, err := h.store.Retain(t.Context())
			h.must(err)
		}
		in(t, h, homeIP, nil, true)
		h.logoutEverywhere("alice")
		h.clock.Move(31 * day)
		_, err := h.store.Retain(t.Context())
		h.must(err)
		if n := h.count("known_networks"); n != 0 {
			t.Errorf("%d networks are kept", n)
		}
	})
	t.Run("the last of many", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		for i := range 50 {
			h.loginFrom(fmt.Sprintf("198.51.100.%d", i), "alice", alicesPassword, nil).want(t, http.StatusOK, "")
			h.guest().signIn("alice", "")
			h.clock.Move(time.Second)
		}
		if n := h.count("known_networks WHERE network = '198.51.100.0'"); n != 0 {
			t.Error("the oldest network is known")
		}
		if networks, browsers := h.count("known_networks"), h.count("known_browsers"); networks != 32 || browsers != 16 {
			t.Errorf("%d networks and %d browsers are known", networks, browsers)
		}
	})
	t.Run("still after a new password", func(t *testing.T) {
		// Else a stranger who guesses would keep the owner out just then. Whoever had the old one gains what any
		// stranger has: a rate of guesses.
		h := newHouse(t, slow)
		v := h.known()
		act(h, SetPassword, NameAndPassword{Name: Name{User: "alice"}, Password: alicesPassword})
		in(t, h, homeIP, nil, true)
		in(t, h, hotelIP, v.cookieHeader(), true)
	})
	t.Run("not after a deactivation", func(t *testing.T) {
		h := newHouse(t, slow)
		h.known()
		act(h, DeactivateUser, Deactivation{Name: Name{User: "alice"}})
		if networks, browsers := h.count("known_networks"), h.count("known_browsers"); networks+browsers != 0 {
			t.Errorf("%d networks and %d browsers are known", networks, browsers)
		}
	})
}

// logoutEverywhere ends all sessions of a user, as an operator does.
func (h *house) logoutEverywhere(user string) {
	h.t.Helper()
	act(h, EndSessions, SessionsToEnd{User: user})
	h.must(h.store.Update(h.t.Context(), func(tx *store.Tx) error {
		_, err := h.browsers.EndAll(tx, model.TheServer(), h.userID(user), model.EndKilled)
		return err
	}))
}

// TestKnownPlacesCostRefreshesNothing: a refresh from where the last one came from is as cheap as ever.
func TestKnownPlacesCostRefreshesNothing(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	s := h.login("alice", object{"refresh_token": true})
	refresh := func(ip string) (statements uint64) {
		h.clock.Move(time.Second)
		a, spent := h.measure(call{method: http.MethodPost, path: refreshPath, ip: ip, body: text(object{"refresh_token": s.RefreshToken})})
		s = h.signedIn(a)
		return spent.statements
	}
	plain := refresh("")
	if plain != 4 {
		t.Errorf("a refresh costs %d statements, want 4", plain)
	}
	if moved := refresh(homeIP); moved != plain+3 {
		t.Errorf("the first from another network costs %d statements more, want 3", moved-plain)
	}
	for range 10 {
		if again := refresh(homeIP); again != plain {
			t.Errorf("the next costs %d statements, want %d", again, plain)
		}
	}
}

// TestKnownBrowserHasRateOfNetwork: a success clears the count of failures of a known browser, so that the
// owner of an account, whose password is right each time, could have passwords hashed and devices made
// without end if nothing else counted there.
func TestKnownBrowserHasRateOfNetwork(t *testing.T) {
	h := newHouse(t, limits(Rate{Burst: 20, PerMinute: 12}, many))
	v := h.known()
	v.leave()
	successes := 0
	for i := range 100 {
		if h.loginFrom(fmt.Sprintf("198.51.100.%d", i), "alice", alicesPassword, v.cookieHeader()).status == http.StatusOK {
			successes++
		}
	}
	if successes != 20 {
		t.Errorf("%d of 100 logins in a moment succeeded, want 20", successes)
	}
	h.loginFrom(hotelIP, "alice", alicesPassword, v.cookieHeader()).want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
	v.ip = hotelIP
	h.clock.Move(time.Minute)
	v.signIn("alice", "")
}
