package signin_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// guessed are sign-ins whose failures are counted.
type guessed struct {
	*house.House
	signIns  *signin.SignIns
	failures *signin.Failures
}

func newGuessed(t *testing.T) *guessed {
	t.Helper()
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	g := &guessed{House: h, failures: signin.NewFailures(h.Store)}
	rate := limit.Rate{Burst: 1 << 20, PerMinute: 1 << 20}
	g.signIns = signin.New(signin.Config{
		Store: h.Store, Users: h.Wiring.Users, Browsers: h.Browsers, Failures: g.failures,
		Limits: signin.Limits{Limiter: limit.New(h.Clock.Now), PerNetwork: rate, PerAccount: rate},
	})
	return g
}

func (g *guessed) guess(name, ip string) {
	g.T.Helper()
	// One that is too long costs no hash.
	_, err := g.signIns.ByPassword(g.T.Context(), signin.Attempt{Identifier: user.Typed(name), Password: string(make([]byte, 5000)), IP: ip, UserAgent: "agent"})
	if !errors.Is(err, model.InvalidCredentials) {
		g.T.Fatal(err)
	}
}

func (g *guessed) of(name string) []model.FailedSignIns {
	g.T.Helper()
	all, err := g.failures.Of(g.T.Context(), g.UserID(name))
	g.Must(err)
	return all
}

// TestFailures: tries that failed are written later and in bulk, those of one network as one, and never for a name without
// an account (ENUM-1).
func TestFailures(t *testing.T) {
	g := newGuessed(t)
	before := g.Rows()
	for range 3 {
		g.guess("alice", "2001:db8::1")
		g.guess("alice", "2001:db8::2")
		g.guess("nobody", "2001:db8::1")
	}
	g.guess("alice", "192.0.2.1")
	if g.Rows() != before {
		t.Error("a guess is written")
	}
	g.Must(g.failures.Flush(t.Context()))
	if n := g.Count("failed_sign_ins"); n != 2 {
		t.Errorf("%d rows", n)
	}
	g.guess("alice", "2001:db8::3")
	for _, f := range g.of("alice") {
		want := map[string]int64{"2001:db8::/64": 7, "192.0.2.1": 1}[f.Network]
		if f.Tries != want || f.UserAgent != "agent" {
			t.Errorf("%+v, want %d tries", f, want)
		}
	}
	if got := g.of("bob"); len(got) != 0 {
		t.Errorf("bob has %+v", got)
	}
}

// TestFailuresWait: what cannot be written is counted still, and is written once.
func TestFailuresWait(t *testing.T) {
	g := newGuessed(t)
	g.guess("alice", "192.0.2.1")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if g.failures.Flush(over) == nil {
		t.Fatal("it was written by who went away")
	}
	g.guess("alice", "192.0.2.1")
	for range 2 {
		if got := g.of("alice"); len(got) != 1 || got[0].Tries != 2 {
			t.Errorf("%+v", got)
		}
	}
}

// TestFailuresWaitInSeveralBatches: if one batch cannot be written, those after it wait on as well.
func TestFailuresWaitInSeveralBatches(t *testing.T) {
	g := newGuessed(t)
	const tries = 2*signin.FlushBatch + 1
	for i := range tries {
		g.guess("alice", fmt.Sprintf("10.%d.%d.1", i>>8, i&0xff))
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if g.failures.Flush(over) == nil {
		t.Fatal("it was written by who went away")
	}
	if n := g.failures.Waiting(); n != tries {
		t.Errorf("%d of %d wait", n, tries)
	}
}

// TestFailuresAreBounded: what waits has a bound, and names without an account take one place of it, so that they push out
// nobody's.
func TestFailuresAreBounded(t *testing.T) {
	g := newGuessed(t)
	address := func(i int) string { return fmt.Sprintf("10.%d.%d.1", i>>8, i&0xff) }
	for i := range 100 {
		g.guess(fmt.Sprint("nobody", i), address(i))
	}
	if n := g.failures.Waiting(); n != 1 {
		t.Errorf("%d places for nobody", n)
	}
	for i := range bound.WaitingFailures + 1 {
		g.guess("alice", address(i))
	}
	if n := g.failures.Waiting(); n != bound.WaitingFailures {
		t.Errorf("%d wait", n)
	}
	if got := g.of("alice"); len(got) != bound.FailedSignIns {
		t.Errorf("%d are kept", len(got))
	}
}
