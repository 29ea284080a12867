package limit

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

func TestLimiter(t *testing.T) {
	clock := testkit.NewClock()
	l := New(clock.Now)
	rate := Rate{Burst: 3, PerMinute: 6}
	take := func(key string, allowed bool) {
		t.Helper()
		err := l.Take(Exchanges, key, rate)
		if (err == nil) != allowed {
			t.Fatalf("%s: %v", key, err)
		}
		var e *model.Error
		if !allowed && (!errors.As(err, &e) || e.Code != model.RateLimited || e.Retry <= 0 || e.Retry > 10*time.Second) {
			t.Fatalf("the refusal is %+v", e)
		}
	}
	for range 3 {
		take("a", true)
	}
	take("a", false)
	take("a", false) // a refused try costs nothing
	take("b", true)  // others are not concerned
	clock.Move(10 * time.Second)
	take("a", true)
	take("a", false)
	l.Forget(Exchanges, "a")
	for range 3 {
		take("a", true)
	}
	take("a", false)
}

// TestLimiterIsBounded has more keys come than are kept: those that have recovered go first, and one
// that is used up stays as long as there is another to go.
func TestLimiterIsBounded(t *testing.T) { // ENUM-4
	clock := testkit.NewClock()
	l := New(clock.Now)
	rate := Rate{Burst: 1, PerMinute: 1}
	for i := range bound.RateKeys - 1 {
		if err := l.Take(Exchanges, fmt.Sprint(i), rate); err != nil {
			t.Fatal(err)
		}
	}
	clock.Move(time.Minute)
	if err := l.Take(Exchanges, "busy", rate); err != nil {
		t.Fatal(err)
	}
	if err := l.Take(Exchanges, "one more", rate); err != nil {
		t.Fatal(err)
	}
	if len(l.fine[Exchanges].keys) > 3 {
		t.Errorf("%d keys are kept", len(l.fine[Exchanges].keys))
	}
	if l.Take(Exchanges, "busy", rate) == nil {
		t.Error("a key that was used up was forgotten")
	}
	for i := range 2 * bound.RateKeys {
		if err := l.Take(Exchanges, fmt.Sprint("flood", i), rate); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.fine[Exchanges].keys) > bound.RateKeys {
		t.Errorf("%d keys are kept", len(l.fine[Exchanges].keys))
	}
}

// TestClassesAreApart: a flood of keys of one class leaves those of another as they are (ENUM-5).
func TestClassesAreApart(t *testing.T) {
	clock := testkit.NewClock()
	l := New(clock.Now)
	once := Rate{Burst: 1, PerMinute: 0.001}
	if err := l.Take(LoginsByAccount, "alice", once); err != nil {
		t.Fatal(err)
	}
	clock.Move(time.Second)
	for class := range classes {
		for i := range bound.RateKeys + 1 {
			if err := l.Take(class, fmt.Sprint("flood", i), once); class != LoginsByAccount && err != nil {
				t.Fatal(err)
			}
			if class == LoginsByAccount {
				break
			}
		}
	}
	if l.Take(LoginsByAccount, "alice", once) == nil {
		t.Error("a flood of keys of other classes made one forgotten")
	}
}

// TestLongKeys are kept as hashes, and told from one another all the same.
func TestLongKeys(t *testing.T) {
	l := New(func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) })
	once := Rate{Burst: 1, PerMinute: 1}
	long := strings.Repeat("x", 5000)
	for _, key := range []string{long + "a", long + "b"} {
		if err := l.Take(LoginsByAccount, key, once); err != nil {
			t.Fatal(err)
		}
		if l.Take(LoginsByAccount, key, once) == nil {
			t.Error("a long key is not counted")
		}
	}
	for key := range l.fine[LoginsByAccount].keys {
		if len(key) > maxKey {
			t.Errorf("a key of %d bytes is kept", len(key))
		}
	}
	l.Forget(LoginsByAccount, long+"a")
	if err := l.Take(LoginsByAccount, long+"a", once); err != nil {
		t.Error(err)
	}
}

// TestTakeNetwork counts an IPv6 address for its /64 and, at ten times the rate, for its /48: who has a
// whole /48 gets no further by going through its networks (ENUM-4).
func TestTakeNetwork(t *testing.T) {
	rate := Rate{Burst: 2, PerMinute: 1}
	try := func(l *Limiter, ip string) bool {
		t.Helper()
		err := l.TakeNetwork(Registrations, ip, rate)
		var e *model.Error
		if err != nil && (!errors.As(err, &e) || e.Kind() != model.Limited || e.Retry <= 0) {
			t.Fatalf("the refusal is %v", err)
		}
		return err == nil
	}
	clock := testkit.NewClock()
	l := New(clock.Now)
	passed := 0
	for i := range 1000 {
		if try(l, fmt.Sprintf("2001:db8:1:%x::1", i)) {
			passed++
		}
	}
	if want := rate.Burst * siteFactor; passed != want {
		t.Errorf("%d tries of one /48 passed, want %d", passed, want)
	}
	if !try(l, "2001:db8:2::1") || !try(l, "192.0.2.1") {
		t.Error("others are concerned")
	}
	// What the site refused is not counted for the network.
	clock.Move(time.Minute)
	for range rate.Burst {
		if !try(l, "2001:db8:1:3e7::1") {
			t.Error("a network that never got anything has used something up")
		}
	}

	// And the other way round: one network that is refused uses up nothing of its neighbours' share.
	l = New(clock.Now)
	for range 1000 {
		try(l, "2001:db8:1:1::1")
	}
	for i := range siteFactor - 1 {
		if ip := fmt.Sprintf("2001:db8:1:%x::1", i+2); !try(l, ip) || !try(l, ip) {
			t.Errorf("a neighbour used up the share of %s", ip)
		}
	}
}

// TestRefused counts what each class refused, under names that are all there and all different.
func TestRefused(t *testing.T) {
	clock := testkit.NewClock()
	l := New(clock.Now)
	rate := Rate{Burst: 1, PerMinute: 1}
	for range 3 {
		_ = l.Take(Refreshes, "a", rate) // two of them are refused
		_ = l.TakeNetwork(Registrations, "192.0.2.1", rate)
	}
	names := map[string]bool{"": true}
	for class, n := range l.Refused() {
		if names[class.String()] {
			t.Errorf("class %d is called %q", class, class)
		}
		names[class.String()] = true
		want := uint64(0)
		if class == Refreshes || class == Registrations {
			want = 2
		}
		if n != want {
			t.Errorf("%s: %d", class, n)
		}
	}
	if len(names) != int(classes)+1 {
		t.Errorf("%d classes are counted", len(names)-1)
	}
}
