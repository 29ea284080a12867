//go:build bench

package bench

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// turns is how often each of two servers is measured, after one another: what else the machine does meets both, and the
// middle of the ratios leaves out where it met one.
const turns = 9

// TestAgainst measures what is on everybody's way, introspection and refresh, of this checkout and of another commit, in
// one run, and prints ratios of the new one to the old one. It begins by the API alone, since each has its own schema.
func TestAgainst(t *testing.T) {
	commit := os.Getenv("BENCH_AGAINST")
	if commit == "" {
		t.Skip("BENCH_AGAINST names no commit")
	}
	table := &table{}
	old, now := startEmpty(t, rig.BinaryOf(t, commit)), startEmpty(t, "")
	tokens := map[server][]string{old: accessTokens(t, old), now: accessTokens(t, now)}
	compare(t, table, "introspection", old, now, func(s server) result {
		return load(t, s.address(), connections, during/3, func(r *rand.Rand) []byte {
			return introspect(s, "/oauth2/introspect", tokens[s][r.IntN(len(tokens[s]))])
		})
	})
	for _, clients := range []int{1, connections} {
		compare(t, table, fmt.Sprintf("refresh, clients: %d,", clients), old, now, func(s server) result {
			return refreshChains(t, s, clients, during/3, legacyChain(s))
		})
	}
	table.print(t)
}

// accessTokens signs everybody in.
func accessTokens(t *testing.T, s server) (tokens []string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for i := range connections {
		var got login
		if err := call(conn, r, loginRequest(s, i), &got); err != nil {
			t.Fatal(err)
		}
		if !active(t, s, got.AccessToken) {
			t.Fatal("a token is not active")
		}
		tokens = append(tokens, got.AccessToken)
	}
	return tokens
}

// compare measures two servers in turns. The processor's time tells most, as only the server itself adds to it.
func compare(t *testing.T, table *table, what string, old, now server, measure func(server) result) {
	t.Helper()
	type turn struct{ rate, late, each float64 }
	once := func(s server) turn {
		before, began := cpu(t, s.PID()), time.Now()
		r := measure(s)
		took := time.Since(began)
		return turn{r.perSecond, float64(r.p99), float64(cpu(t, s.PID())-before) / (r.perSecond * took.Seconds())}
	}
	for _, s := range []server{old, now} {
		measure(s) // to warm up
	}
	var rates, late, each []float64
	for n := range turns {
		a, b := turn{}, turn{}
		if n%2 == 0 {
			a, b = once(old), once(now)
		} else {
			b, a = once(now), once(old)
		}
		rates, late, each = append(rates, b.rate/a.rate), append(late, b.late/a.late), append(each, b.each/a.each)
	}
	for _, row := range []struct {
		of     string
		ratios []float64
		budget string
	}{{"a second", rates, ">= 1"}, {"p99", late, "<= 1"}, {"CPU of each", each, "<= 1"}} {
		slices.Sort(row.ratios)
		measured := fmt.Sprintf("%.2f (%.2f to %.2f)", row.ratios[turns/2], row.ratios[0], row.ratios[turns-1])
		table.row(what+" "+row.of+", new against old", measured, row.budget)
	}
}
