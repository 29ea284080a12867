package web

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

func TestLimiter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := NewLimiter(func() time.Time { return now })
	rate := Rate{Burst: 3, PerMinute: 6}
	take := func(key string, allowed bool) {
		t.Helper()
		err := l.Take(key, rate)
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
	now = now.Add(10 * time.Second)
	take("a", true)
	take("a", false)
	l.Forgive("a")
	for range 3 {
		take("a", true)
	}
	take("a", false)
}

// TestLimiterIsBounded has more keys come than are kept: those that have recovered go first, and one
// that is used up stays as long as there is another to go.
func TestLimiterIsBounded(t *testing.T) { // ENUM-4
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := NewLimiter(func() time.Time { return now })
	rate := Rate{Burst: 1, PerMinute: 1}
	for i := range maxKeys - 1 {
		if err := l.Take(fmt.Sprint(i), rate); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(time.Minute)
	if err := l.Take("busy", rate); err != nil {
		t.Fatal(err)
	}
	if err := l.Take("one more", rate); err != nil {
		t.Fatal(err)
	}
	if len(l.keys) > 3 {
		t.Errorf("%d keys are kept", len(l.keys))
	}
	if l.Take("busy", rate) == nil {
		t.Error("a key that was used up was forgotten")
	}
	for i := range 2 * maxKeys {
		if err := l.Take(fmt.Sprint("flood", i), rate); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.keys) > maxKeys {
		t.Errorf("%d keys are kept", len(l.keys))
	}
}

func TestNetwork(t *testing.T) { // ENUM-4
	for ip, want := range map[string]string{
		"192.0.2.1":                 "192.0.2.1",
		"::ffff:192.0.2.1":          "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":      "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff:ffff::1": "2001:db8:1:2::/64",
		"fe80::1%eth0":              "fe80::/64",
		"":                          "",
		"@":                         "@",
	} {
		if got := Network(ip); got != want {
			t.Errorf("%s is limited as %s, want %s", ip, got, want)
		}
	}
}
