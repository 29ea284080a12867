//go:build bench

package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// The length of each measurement.
const (
	during = 6 * time.Second
	warmUp = 2 * time.Second
)

const (
	secret = "bench-secret"
	// peoplesPassword is that of every account.
	peoplesPassword = "bench correct horse"
)

// TestTable measures everything and prints the table.
func TestTable(t *testing.T) {
	table := &table{}
	bare := startBare(t)
	bareIdle := settled(t, bare.PID())
	bareStart := startTimes(t, bare)
	foreign := load(t, bare.address(), connections, during, func(*rand.Rand) []byte { return get("bench.test", "/foreign") })

	small := start(t, 1000)
	table.row("memory idle, above bare Caddy (MB)", fmt.Sprintf("%+.1f", settled(t, small.PID())-bareIdle), "+15")
	table.row("a foreign request, against no directive", ratio(load(t, small.address(), connections, during,
		func(*rand.Rand) []byte { return get("bench.test", "/foreign") }).perSecond, foreign.perSecond), "1.00")
	smallRate := introspection(t, table, small, "introspection", func(r *rand.Rand) string { return tokenOf(r.IntN(1000)) })
	table.row("memory after 100,000 introspections (MB)", fmt.Sprintf("%+.1f", afterIntrospections(t, small)-bareIdle), "+40")
	refreshes(t, table, small, "refresh", legacyChain(small))
	oauthRows(t, table, small)
	rowlessRows(t, table, small, 1000)
	logins(t, table, small, bareIdle)
	storage(t, table, small)
	small.Stop()

	const many = 1_000_000
	large := start(t, many)
	rate := load(t, large.address(), connections, during, large.introspect(many))
	table.row("introspection with 1,000,000 tokens: slower by", ratio(smallRate, rate.perSecond), "<= 1.2")
	table.row("start with 1,000,000 sessions, above bare Caddy", (startTimes(t, large) - bareStart).Round(time.Millisecond).String(), "<= 300ms")
	large.Stop()

	moves(t, table, bareIdle)
	table.print(t)
}

// TestMoveTable measures the move from Synapse alone.
func TestMoveTable(t *testing.T) {
	table := &table{}
	bare := startBare(t)
	moves(t, table, settled(t, bare.PID()))
	table.print(t)
}

// server is a Caddy of the rig under measurement.
type server struct{ *rig.Caddy }

func (s server) address() string { return strings.TrimPrefix(s.URL, "http://") }

const yardstick = `handle /yardstick {
		header Content-Type application/json
		header Cache-Control no-store
		respond "%s"
	}
	respond /foreign "foreign"`

// startBare starts the same Caddyfile without the directive.
func startBare(t *testing.T) server {
	c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: "bench.test", Synapse: synapse(t), Secret: secret, Ready: "/foreign"})
	c.Write(fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n}\n%s, http://bench.test:%d {\n\trespond /foreign \"foreign\"\n}\n", c.URL, c.SitePort))
	c.Start()
	return server{c}
}

// start starts Caddy on a database of so many sessions.
func start(t *testing.T, sessions int) server {
	t.Helper()
	s := startEmpty(t, "")
	s.Stop()
	seed(t, s.Database(), sessions)
	s.Start()
	return s
}

// startEmpty starts a program of Caddy, empty for that of this checkout, on a database that has people and no sessions.
func startEmpty(t *testing.T, program string) server {
	t.Helper()
	c := rig.NewCaddy(t, rig.CaddyConfig{
		Program:    program,
		ServerName: "bench.test", Synapse: synapse(t), Secret: secret,
		Options: "login_limit {\n\t\t\tnetwork 1000000 1000000\n\t\t\taccount 1000000 1000000\n\t\t}\n\t\trefresh_limit 1000000 1000000",
	})
	text := c.Text(fmt.Sprintf(yardstick, strings.Repeat("x", answerLength)))
	c.Write(strings.Replace(text, "auto_https off", "auto_https off\n\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t\ttrusted_proxies_strict\n\t}", 1))
	c.Start()
	for i := range connections {
		c.MustCommand(peoplesPassword+"\n", "user", "add", fmt.Sprintf("bench%d", i))
	}
	return server{c}
}

// synapse is a homeserver that agrees to everything at once: its time is not ours.
func synapse(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/delete_device") {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/query_user") {
			fmt.Fprintf(w, `{"user_id":%q,"display_name":null,"avatar_url":null,"is_suspended":false,"is_deactivated":false}`,
				"@"+r.FormValue("localpart")+":bench.test")
			return
		}
		fmt.Fprint(w, `{}`)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// answerLength is the length of an introspection's answer, for the yardstick to be as long.
const answerLength = 350

func (s server) introspect(tokens int) func(*rand.Rand) []byte {
	return func(r *rand.Rand) []byte { return introspect(s, "/oauth2/introspect", tokenOf(r.IntN(tokens))) }
}

// introspect asks about a token as Synapse does.
func introspect(s server, path, token string) []byte {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	return post(s.address(), path, "application/x-www-form-urlencoded", "Bearer "+secret, []byte(form.Encode()))
}

func introspection(t *testing.T, table *table, s server, what string, tokens func(*rand.Rand) string) (perSecond float64) {
	form := func(path string) func(*rand.Rand) []byte {
		return func(r *rand.Rand) []byte { return introspect(s, path, tokens(r)) }
	}
	ask, plain := form("/oauth2/introspect"), form("/yardstick")
	load(t, s.address(), connections, warmUp, ask)
	load(t, s.address(), connections, warmUp, plain)
	// In turns, so that a slow moment of the machine meets both.
	var ours, theirs result
	for range 3 {
		a, b := load(t, s.address(), connections, during/3, ask), load(t, s.address(), connections, during/3, plain)
		ours.perSecond, theirs.perSecond = ours.perSecond+a.perSecond/3, theirs.perSecond+b.perSecond/3
		ours.p99, theirs.p99 = ours.p99+a.p99/3, theirs.p99+b.p99/3
	}
	table.row(fmt.Sprintf("%s (%.0f/s) against respond (%.0f/s)", what, ours.perSecond, theirs.perSecond), ratio(ours.perSecond, theirs.perSecond), ">= 0.60")
	table.row(fmt.Sprintf("%s p99 (%s) against respond (%s)", what, ours.p99.Round(10*time.Microsecond), theirs.p99.Round(10*time.Microsecond)),
		ratio(float64(ours.p99), float64(theirs.p99)), "<= 2")
	return ours.perSecond
}

// afterIntrospections is the memory after at least 100,000 introspections.
func afterIntrospections(t *testing.T, s server) float64 {
	var left atomic.Int64
	left.Store(100_000)
	for left.Load() > 0 {
		r := load(t, s.address(), connections, during, s.introspect(1000))
		left.Add(-int64(r.perSecond * during.Seconds()))
	}
	return residentMB(t, s.PID())
}

type login struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

// call makes one request over a connection.
func call(conn net.Conn, r *bufio.Reader, request []byte, into any) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	body, err := readAnswer(r)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

func loginRequest(s server, user int) []byte {
	body := fmt.Sprintf(`{"type":"m.login.password","identifier":{"type":"m.id.user","user":"bench%d"},"password":%q,"refresh_token":true,"device_id":"BENCH"}`, user, peoplesPassword)
	return post(s.address(), "/_matrix/client/v3/login", "application/json", "", []byte(body))
}

// chain is how a client of an API begins, and how it refreshes.
type chain struct {
	begin func(conn net.Conn, r *bufio.Reader, client int) (login, error)
	next  func(client int, tokens login) []byte
}

func legacyChain(s server) chain {
	return chain{
		begin: func(conn net.Conn, r *bufio.Reader, client int) (tokens login, err error) {
			return tokens, call(conn, r, loginRequest(s, client), &tokens)
		},
		next: func(_ int, tokens login) []byte { return legacyRefresh(s, tokens.RefreshToken) },
	}
}

func legacyRefresh(s server, token string) []byte {
	return post(s.address(), "/_matrix/client/v3/refresh", "application/json", "", fmt.Appendf(nil, `{"refresh_token":%q}`, token))
}

// refreshChains has clients refresh one after another and measures the answers of all.
func refreshChains(t *testing.T, s server, clients int, during time.Duration, chain chain) result {
	var group sync.WaitGroup
	times := make([][]time.Duration, clients)
	begin := make(chan time.Time)
	for i := range clients {
		group.Go(func() {
			conn, err := net.Dial("tcp", s.address())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			tokens, err := chain.begin(conn, r, i)
			if err != nil {
				t.Error(err)
			}
			for end := (<-begin).Add(during); err == nil && time.Now().Before(end); {
				asked := time.Now()
				if err = call(conn, r, chain.next(i, tokens), &tokens); err != nil {
					t.Error(err)
				}
				times[i] = append(times[i], time.Since(asked))
			}
		})
	}
	now := time.Time{}
	for range clients {
		if now.IsZero() {
			now = time.Now()
		}
		begin <- now
	}
	group.Wait()
	all := slices.Concat(times...)
	if len(all) == 0 {
		t.Fatal("no refresh was answered")
	}
	slices.Sort(all)
	return result{float64(len(all)) / during.Seconds(), all[len(all)/2], all[len(all)*99/100]}
}

func refreshes(t *testing.T, table *table, s server, name string, chain chain) {
	// In turns: what a commit costs on a shared disk may change from one moment to the next.
	var raw, one, many, plain float64
	var least, p99 time.Duration
	const turns = 3
	yardstick := func(*rand.Rand) []byte {
		return post(s.address(), "/yardstick", "application/json", "", []byte(`{"refresh_token":"mcr_012345678901234567890123456789_012345"}`))
	}
	for range turns {
		raw += rawCommits(t, t.TempDir(), during/turns) / turns
		one += refreshChains(t, s, 1, during/turns, chain).perSecond / turns
		least += time.Duration(float64(time.Second)/load(t, s.address(), 1, during/turns, yardstick).perSecond) / turns
		all := refreshChains(t, s, connections, during/turns, chain)
		many, p99 = many+all.perSecond/turns, p99+all.p99/turns
		plain += load(t, s.address(), connections, during/turns, yardstick).perSecond / turns
	}
	table.row(fmt.Sprintf("%s by one client (%.0f/s) against bare commits (%.0f/s)", name, one, raw), ratio(one, raw), ">= 0.50")
	table.row(fmt.Sprintf("%s by %d clients (%.0f/s) against bare commits", name, connections, many), ratio(many, raw), "> 1.00")
	least += time.Duration(float64(time.Second) / raw)
	table.row(name+" by one client, beyond respond and one bare commit", (time.Duration(float64(time.Second)/one) - least).Round(time.Microsecond).String(), "<= 180us")
	table.row(fmt.Sprintf("%s by %d clients (%.0f/s) against respond (%.0f/s)", name, connections, many, plain), ratio(many, plain), ">= 0.15")
	table.row(fmt.Sprintf("%s by %d clients, p99", name, connections), p99.Round(10*time.Microsecond).String(), "<= 15ms at 0.2ms a sync")
}

func logins(t *testing.T, table *table, s server, bareIdle float64) {
	const count, at = 1000, 8
	hash := bareHash(t)
	before, start := cpu(t, s.PID()), time.Now()
	var group sync.WaitGroup
	for i := range at {
		group.Go(func() {
			conn, err := net.Dial("tcp", s.address())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			for range count / at {
				var tokens login
				if err := call(conn, r, loginRequest(s, i), &tokens); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	each := (cpu(t, s.PID()) - before) / count
	table.row(fmt.Sprintf("password login, CPU (%s) against one bare hash, as many at once (%s)", each.Round(10*time.Microsecond), hash.Round(10*time.Microsecond)),
		ratio(float64(each), float64(hash)), "<= 1.15")
	table.row(fmt.Sprintf("memory after %d logins, %d at once (%.0f/s) (MB)", count, at, count/time.Since(start).Seconds()),
		fmt.Sprintf("%+.1f", residentMB(t, s.PID())-bareIdle), "+90")
	time.Sleep(2 * time.Minute)
	table.row("memory two minutes later (MB)", fmt.Sprintf("%+.1f", residentMB(t, s.PID())-bareIdle), "falling")
}

// bareHash is the CPU time of one argon2id of the default parameters, as many at once as the server makes:
// they share the memory's bandwidth.
func bareHash(t *testing.T) time.Duration {
	const count = 100
	salt, atOnce := make([]byte, 16), max(1, runtime.GOMAXPROCS(0)/2)
	before := cpu(t, os.Getpid())
	var group sync.WaitGroup
	for range atOnce {
		group.Go(func() {
			for range count {
				argon2.IDKey([]byte(peoplesPassword), salt, 2, 19456, 1, 32)
			}
		})
	}
	group.Wait()
	return (cpu(t, os.Getpid()) - before) / time.Duration(count*atOnce)
}

// startTimes is the shortest of some starts, from the process to its first answer.
func startTimes(t *testing.T, s server) time.Duration {
	best := time.Hour
	for range 5 {
		s.Stop()
		begin := time.Now()
		s.Start()
		best = min(best, time.Since(begin))
	}
	return best
}

// settled is the memory of a process that has been left alone for a while.
func settled(t *testing.T, pid int) float64 {
	time.Sleep(5 * time.Second)
	return residentMB(t, pid)
}

func ratio(a, b float64) string { return fmt.Sprintf("%.2f", a/b) }

// table collects rows.
type table struct{ rows [][3]string }

func (r *table) row(what, measured, budget string) {
	r.rows = append(r.rows, [3]string{what, measured, budget})
	fmt.Fprintf(os.Stderr, "%s: %s\n", what, measured)
}

func (r *table) print(t *testing.T) {
	t.Helper()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nwhat\tmeasured\tbudget")
	for _, row := range r.rows {
		fmt.Fprintln(w, strings.Join(row[:], "\t"))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}
