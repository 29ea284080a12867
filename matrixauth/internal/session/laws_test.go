package session

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/sqlite"
)

// lawSeeds is how many months TestLaws lives through. Many more than it takes by itself are worth a run after a change
// of the rules:
//
//	go test ./matrixauth/internal/session -run TestLaws -laws 5000
var lawSeeds = flag.Int("laws", 0, "live through so many months of refreshes")

// usualMonths are two for each kind of thief.
const usualMonths = 2 * thieves

// TestLaws lives through months of sessions, begun here or by another server, whose owners sleep and roam, lose answers and have second windows, whose
// tokens are stolen by thieves of several kinds, and whose server crashes and goes back in time. Whatever happens:
//
//  1. One honest process never ends.
//  2. Two processes in one network that began within the grace never end, but for a restore.
//  3. The owner is never out while the thief is in.
//  4. A line of the thief's that has come to a second generation mints no more after two refreshes, whose answers arrive,
//     of the process from which it was stolen.
//  5. No token of a session that lives, or that the database has forgotten, is called invalid, but by a soft end.
//  6. A soft end deletes no device.
//  7. A token without a row gains neither scope nor life.
func TestLaws(t *testing.T) {
	months := *lawSeeds
	if months == 0 {
		if months = usualMonths; testing.Short() {
			months = 9
		}
	}
	seen := map[string]int{}
	for seed := range months {
		t.Run(fmt.Sprintf("seed_%d", seed), func(t *testing.T) {
			w := newMonth(t, uint64(seed))
			defer func() {
				if t.Failed() {
					t.Log(w.about() + "\n" + strings.Join(w.told, "\n"))
				}
			}()
			w.live()
			w.tally(seen)
		})
	}
	if months < usualMonths || seen["months"] < months { // or some were asked for by name
		return
	}
	// A model in which nothing happens proves nothing.
	for _, what := range []string{"ended, theft", "lives, theft", "lives, two windows", "restored", "lost answer", "without a row", "marked", "crash", "imported"} {
		if seen[what] == 0 {
			t.Errorf("in no month: %s (%v)", what, seen)
		}
	}
	t.Log(seen)
}

// A thief comes in one of these ways.
const (
	noThief  = iota
	eager    // refreshes as soon as it can, and goes on like a client
	follower // refreshes right after the owner
	poller   // refreshes each minute
	sprinter // refreshes many times at once
	nightly  // while the owner sleeps
	twoLines // keeps two lines
	holder   // holds what it stole until after a restore
	random   // whenever it likes
	thieves
)

// month is a month of one session.
type month struct {
	*bench
	random  *rand.Rand
	session model.Session
	thief   int
	// days are when the owner's machine is awake, and where.
	days []day
	// parties are the processes that have tokens: the owner's, a second window's, the thief's.
	owner, window *party
	stolen        []*party

	// backups are copies of the database, the newest last.
	backups [][]byte
	// restores are how many remain to be made, and restored whether one was.
	restores int
	restored bool
	// ownerSince is how often the owner refreshed since a line of the thief's came to a second generation; -1 before.
	ownerSince int
	over       bool
	told       []string
	// lived notes that the database lived until a time.
	lived  func(until time.Time)
	closed func()
	counts map[string]int
}

// day is a time in which the owner's machine is awake, with all windows that it has. It moves on each quarter of an hour.
type day struct {
	from, until time.Time
	places      []string
}

func (d day) place(at time.Time) string {
	return d.places[int(at.Sub(d.from)/(15*time.Minute))%len(d.places)]
}

// party is a process with tokens.
type party struct {
	name   string
	tokens Tokens
	ends   time.Time // of the access token
	// depth is how many generations it minted itself.
	depth int
	// honest parties are where the owner is.
	honest bool
	wakes  time.Time
}

func newMonth(t *testing.T, seed uint64) *month {
	w := &month{bench: newBenchOf(t, false), random: rand.New(rand.NewPCG(seed, 7)), ownerSince: -1, counts: map[string]int{}}
	w.thief = int(seed) % thieves
	if w.random.IntN(2) == 0 {
		w.restores = 1 + w.random.IntN(3)
	}
	w.lived, w.closed = sqlite.Clock(t, w.path)
	t.Cleanup(func() { w.closed() })
	w.pass(10 * time.Minute)
	w.plan()
	session, tokens := w.begin(int(seed)/thieves%2 == 1)
	w.session = session
	w.owner = w.party("owner", tokens, true)
	w.wakeUp(w.owner)
	return w
}

// begin begins the session here, or imports it from another server.
func (w *month) begin(imported bool) (session model.Session, tokens Tokens) {
	if imported {
		w.count("imported")
		return w.startOrImport(true)
	}
	session, tokens, err := w.sessions.commit(context.Background(), Start{
		Kind: model.CompatSession, User: w.user, DeviceID: "D", Scope: model.ScopeAPI, Refreshable: true, Source: model.Source{IP: home},
	}, 0)
	w.must(err)
	return session, tokens
}

func (w *month) party(name string, tokens Tokens, honest bool) *party {
	return &party{name: name, tokens: tokens, ends: w.clock.Now().Add(tokens.Life), honest: honest, wakes: w.clock.Now()}
}

func (w *month) about() string {
	kind := []string{"no thief", "eager", "follower", "poller", "sprinter", "nightly", "two lines", "holder", "random"}[w.thief]
	return fmt.Sprintf("%s; a second window: %v; restored: %v", kind, w.window != nil, w.restored)
}

func (w *month) note(format string, args ...any) {
	w.told = append(w.told, w.clock.Now().Format("02 15:04:05 ")+fmt.Sprintf(format, args...))
}

func (w *month) count(what string) { w.counts[what]++ }

func (w *month) tally(seen map[string]int) {
	seen["months"]++
	state := "lives"
	if w.over {
		state = "ended"
	}
	if w.thief != noThief && len(w.stolen) > 0 {
		seen[state+", theft"]++
	} else if w.window != nil {
		seen[state+", two windows"]++
	}
	if !w.row(w.session.ID).TwiceAt.IsZero() {
		seen["marked"]++
	}
	for what, n := range w.counts {
		seen[what] += n
	}
}

// pass lets time pass in which the database lives, and notes so each minute.
func (w *month) pass(d time.Duration) {
	w.clock.Move(d)
	w.lived(w.clock.Now())
}

// live is the month.
func (w *month) live() {
	start := w.clock.Now()
	theft := start.Add(time.Duration(1+w.random.IntN(120)) * time.Hour)
	twin := start.Add(time.Duration(1+w.random.IntN(48)) * time.Hour)
	hasTwin := w.random.IntN(2) == 0
	nextBackup := start.Add(time.Hour)
	restore := start.Add(time.Duration(150+w.random.IntN(200)) * time.Hour)
	for w.clock.Now().Before(start.Add(30*24*time.Hour)) && !w.over && !w.t.Failed() {
		p := w.next()
		now := w.clock.Now()
		if wait := p.wakes.Sub(now); wait > 0 {
			w.pass(wait)
			now = w.clock.Now()
		}
		switch {
		case !now.Before(nextBackup):
			w.backups = append(w.backups, w.copied())
			nextBackup = now.Add(24 * time.Hour)
		case w.restores > 0 && !now.Before(restore):
			w.restore()
			restore = now.Add(time.Duration(1+w.random.IntN(60)) * time.Hour)
		case hasTwin && w.window == nil && p == w.owner && !now.Before(twin):
			w.split()
		case w.thief != noThief && len(w.stolen) == 0 && p == w.owner && !now.Before(theft):
			w.steal()
			w.wakeUp(w.owner)
		case w.random.IntN(60) == 0:
			w.note("the server crashes")
			w.count("crash")
			w.crash()
		default:
			w.act(p)
		}
	}
}

// plan lays out when the owner's machine is awake.
func (w *month) plan() {
	at := w.clock.Now()
	w.days = []day{{at, at.Add(time.Hour), []string{home}}}
	for len(w.days) < 400 {
		at = w.days[len(w.days)-1].until.Add(time.Duration(20+w.random.IntN(14*60)) * time.Minute)
		next := day{at, at.Add(time.Duration(5+w.random.IntN(90)) * time.Minute), nil}
		for range 1 + w.random.IntN(2)*w.random.IntN(4) { // as a rule it stays where it is
			next.places = append(next.places, []string{home, mobile, office}[w.random.IntN(3)])
		}
		w.days = append(w.days, next)
	}
}

// awake is the first time from at on at which the machine is awake, some moments after it woke.
func (w *month) awake(at time.Time) time.Time {
	for _, d := range w.days {
		if at.Before(d.from) {
			return d.from.Add(time.Duration(w.random.IntN(120)) * time.Second)
		}
		if at.Before(d.until) {
			return at
		}
	}
	return at.Add(60 * 24 * time.Hour)
}

// where is where the owner's machine is.
func (w *month) where() string {
	now, last := w.clock.Now(), w.days[0]
	for _, d := range w.days {
		if d.from.After(now) {
			break
		}
		last = d
	}
	return last.place(now)
}

// next is the party that acts next.
func (w *month) next() *party {
	all := append([]*party{w.owner}, w.stolen...)
	if w.window != nil {
		all = append(all, w.window)
	}
	first := all[0]
	for _, p := range all {
		if p.wakes.Before(first.wakes) {
			first = p
		}
	}
	return first
}

// wakeUp plans when a party acts next.
func (w *month) wakeUp(p *party) {
	now := w.clock.Now()
	minutes := func(least, most int) time.Duration {
		return time.Duration(least*60+w.random.IntN((most-least)*60+1)) * time.Second
	}
	if p.honest {
		p.wakes = w.awake(now.Add(minutes(1, 6)))
		return
	}
	switch w.thief {
	case poller:
		p.wakes = now.Add(time.Minute)
	case nightly:
		night := now.Truncate(24 * time.Hour).Add(2 * time.Hour)
		if p.wakes = now.Add(minutes(4, 6)); now.Hour() < 2 || now.Hour() > 5 {
			for !night.After(now) {
				night = night.Add(24 * time.Hour)
			}
			p.wakes = night
		}
	case sprinter:
		p.wakes = now.Add(time.Second)
		if p.depth%20 == 19 {
			p.wakes = now.Add(minutes(60, 20*60))
		}
	case follower:
		p.wakes = w.owner.wakes.Add(time.Second)
	case holder:
		if p.wakes = now.Add(minutes(4, 6)); !w.restored {
			p.wakes = now.Add(6 * time.Hour)
		}
	case random:
		p.wakes = now.Add(minutes(0, 1+w.random.IntN(24*60)))
	default:
		p.wakes = now.Add(minutes(4, 6))
	}
}

// act has a party do what a client does: use its access token, or refresh if that has expired.
func (w *month) act(p *party) {
	defer w.wakeUp(p)
	if p.name == "holder" && !w.restored {
		return
	}
	if p.honest && w.clock.Now().Before(p.ends) && w.random.IntN(4) > 0 {
		w.access(p)
		return
	}
	w.refreshBy(p)
}

// access uses an access token.
func (w *month) access(p *party) {
	found, err := w.sessions.Access(p.tokens.Access)
	switch {
	case err == nil:
		if found.Scope != model.ScopeAPI || found.ExpiresAt.After(p.ends) { // law 7
			w.t.Errorf("law 7: %s has scope %q until %v, and was given one until %v", p.name, found.Scope, found.ExpiresAt, p.ends)
		}
	case errors.Is(err, model.ExpiredToken) && !w.clock.Now().Before(p.ends), model.AsError(err).Kind() == model.Unavailable:
	case errors.Is(err, model.ExpiredToken) && w.endedSoftly():
		w.out(p)
	default:
		w.t.Errorf("law 5: the access token of %s: %v", p.name, err)
	}
}

func (w *month) endedSoftly() bool {
	var session model.Session
	err := w.store.View(context.Background(), func(tx *store.Tx) (err error) {
		session, err = tx.Session(w.session.ID)
		return err
	})
	return err == nil && session.EndedSoftly()
}

func (w *month) place(p *party) string {
	if p.honest {
		return w.where()
	}
	return elsewhere
}

// refreshBy refreshes for a party. The answer of an honest one may be lost.
func (w *month) refreshBy(p *party) {
	_, gone := w.store.Token(model.HashToken(p.tokens.Refresh))
	got, err := w.from(w.place(p), p.tokens.Refresh)
	switch {
	case err == nil:
		if errors.Is(gone, model.ErrNotFound) {
			w.count("without a row")
		}
		w.refreshed(p, got)
	case errors.Is(err, model.EndedSoftly) && w.endedSoftly():
		w.out(p)
	case model.AsError(err).Kind() == model.Unavailable:
		w.note("%s has to wait", p.name)
	default:
		w.t.Errorf("law 5: the refresh of %s: %v", p.name, err)
	}
}

func (w *month) refreshed(p *party, got Tokens) {
	w.note("%s refreshes from %s", p.name, w.place(p))
	if p.honest {
		if w.random.IntN(8) == 0 {
			w.note("and never learns the answer")
			w.count("lost answer")
			return
		}
		if p == w.owner && w.ownerSince >= 0 {
			w.ownerSince++
		}
	} else {
		if p.depth >= 2 && w.ownerSince >= 2 {
			w.t.Errorf("law 4: the owner refreshed %d times since, and the thief mints", w.ownerSince)
		}
		if p.depth++; p.depth == 2 && w.ownerSince < 0 {
			w.ownerSince = 0
		}
	}
	p.tokens, p.ends = got, w.clock.Now().Add(got.Life)
	w.access(p)
}

// out is what becomes of a party that is out.
func (w *month) out(p *party) {
	w.note("%s is out", p.name)
	w.over = true
	honest := len(w.stolen) == 0 // nobody else had the tokens
	switch {
	case honest && w.window == nil:
		w.t.Error("law 1: one honest process is out")
	case honest && !w.restored:
		w.t.Error("law 2: two windows in one network are out")
	}
	for _, thief := range w.stolen { // law 3
		if _, err := w.from(elsewhere, thief.tokens.Refresh); !errors.Is(err, model.EndedSoftly) {
			w.t.Errorf("law 3: the session ended, and the thief's refresh gives %v", err)
		}
		if _, err := w.sessions.Access(thief.tokens.Access); !errors.Is(err, model.ExpiredToken) {
			w.t.Errorf("law 3: the session ended, and the thief's access token gives %v", err)
		}
	}
	w.must(w.store.View(context.Background(), func(tx *store.Tx) error { // law 6
		waits, err := tx.JobWaits(model.ToHomeserver.Lane(w.user.ID), model.JobDeleteDevice)
		if waits {
			w.t.Error("law 6: the device is to be deleted")
		}
		return err
	}))
}

// split has the owner open a second window, which races with the first.
func (w *month) split() {
	common := w.owner.tokens.Refresh
	for tokens := w.owner.tokens; w.owner.tokens == tokens && !w.over; { // until it learns the answer
		w.refreshBy(w.owner)
	}
	w.wakeUp(w.owner)
	w.pass(time.Duration(w.random.IntN(50)) * time.Second)
	got, err := w.from(w.where(), common)
	if err != nil {
		w.t.Errorf("the second window begins with %v", err)
		return
	}
	w.note("a second window opens at %s", w.where())
	w.window = w.party("window", got, true)
	w.access(w.window)
	w.wakeUp(w.window)
}

// steal copies the tokens of the owner.
func (w *month) steal() {
	name := "thief"
	if w.thief == holder {
		name = "holder"
	}
	w.note("a thief copies the owner's tokens")
	lines := 1
	if w.thief == twoLines {
		lines = 2
	}
	for range lines {
		p := w.party(name, w.owner.tokens, false)
		p.ends = w.owner.ends
		w.stolen = append(w.stolen, p)
		w.wakeUp(p)
	}
}

func (w *month) copied() []byte {
	made, err := w.store.Copy(context.Background())
	w.must(err)
	content, err := io.ReadAll(made)
	w.must(errors.Join(err, made.Close()))
	return content
}

// restore puts one of the last backups in the place of the database, which may be put back later.
func (w *month) restore() {
	if len(w.backups) == 0 {
		return
	}
	present := w.copied()
	back := w.random.IntN(min(4, len(w.backups)))
	kept := w.backups[len(w.backups)-1-back]
	w.note("the database goes back, to the backup before %d others", back)
	w.count("restored")
	w.restores--
	w.restored = true
	w.ownerSince = -1
	for _, p := range w.stolen {
		p.depth = 0
	}
	w.closed()
	w.must(w.store.Close())
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(w.path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.t.Fatal(err)
		}
	}
	w.must(os.WriteFile(w.path, kept, 0o600))
	w.open()
	w.lived, w.closed = sqlite.Clock(w.t, w.path)
	w.backups = append(w.backups, present)
}
