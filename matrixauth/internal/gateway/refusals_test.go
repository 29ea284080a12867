package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

// desk is the counts on a clock that stands still, and what they logged.
type desk struct {
	*Refusals
	clock *testkit.Clock
	log   bytes.Buffer
}

func newDesk() *desk {
	d := &desk{clock: testkit.NewClock()}
	d.Refusals = NewRefusals(d.clock.Now)
	return d
}

// line is what matters of a line in the log.
type line struct {
	Level, Msg, Network string
	User                string `json:"user"`
	Device              string `json:"device_id"`
	Hash                string `json:"token_hash"`
	Refused             int
	Delayed             int `json:"told_to_wait"`
}

func (d *desk) tell(t testing.TB, all bool) (lines []line) {
	t.Helper()
	d.log.Reset()
	d.Tell(slog.New(slog.NewJSONHandler(&d.log, &slog.HandlerOptions{Level: slog.LevelDebug})), "example.test", all)
	decoder := json.NewDecoder(&d.log)
	for decoder.More() {
		var l line
		if err := decoder.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

var phone = model.Owner{UserID: "01USER", Localpart: "alice", DeviceID: "PHONE"}

func invented(n int) model.TokenHash { return model.HashToken(fmt.Sprint(n)) }

// TestRefusalsInTime: what is told when.
func TestRefusalsInTime(t *testing.T) {
	d := newDesk()
	refusal := Refusal{Token: invented(1), Dead: true, Owner: phone, IP: "192.0.2.1"}
	if !d.Note(refusal) {
		t.Error("the first refusal was not logged")
	}
	for range refusalBurst - 1 {
		if _, must := d.Wait(refusal.Token); must {
			t.Fatal("it must wait too early")
		}
		if d.Note(refusal) {
			t.Error("a further one was logged")
		}
	}
	wait, must := d.Wait(refusal.Token)
	if !must || wait != refusalEvery {
		t.Errorf("it must wait: %v, %v", must, wait)
	}
	if who, log := d.Delayed(refusal.Token); !log || who.Owner.DeviceID != "PHONE" {
		t.Errorf("the first delay: %v, %+v", log, who)
	}
	if _, log := d.Delayed(refusal.Token); log {
		t.Error("a further delay was logged")
	}
	if lines := d.tell(t, false); lines != nil {
		t.Errorf("told too early: %+v", lines)
	}
	d.clock.Move(tellQuiet)
	lines := d.tell(t, false)
	if len(lines) != 1 || lines[0] != (line{Level: "INFO", Msg: "a client went on with a refused token", User: "@alice:example.test", Device: "PHONE", Refused: refusalBurst - 1, Delayed: 1}) {
		t.Errorf("told %+v", lines)
	}
	if lines := d.tell(t, true); lines != nil {
		t.Errorf("told twice: %+v", lines)
	}
	if _, must := d.Wait(refusal.Token); must {
		t.Error("it waited and must wait again")
	}
	t.Run("it goes on and is told of now and then", func(t *testing.T) {
		count, told := 0, 0
		for range 60 {
			d.clock.Move(refusalEvery)
			d.Note(refusal)
			count++
			for _, l := range d.tell(t, false) {
				told += l.Refused
			}
		}
		if told < count*2/3 || len(d.tokens) != 1 {
			t.Errorf("of %d refusals %d were told", count, told)
		}
	})
	d.clock.Move(forgetAfter)
	d.tell(t, false)
	if len(d.tokens)+len(d.networks) != 0 || d.throttling.Load() {
		t.Errorf("it remembers %d tokens, %d networks", len(d.tokens), len(d.networks))
	}
	if !d.Note(refusal) {
		t.Error("it is not new again")
	}
}

// TestExpectedRefusals: expired tokens are refused all the time, and nobody wants to read of it, unless a
// client does not stop.
func TestExpectedRefusals(t *testing.T) {
	d := newDesk()
	refusal := Refusal{Token: invented(1), Dead: true, Expected: true, Owner: phone}
	for range refusalBurst {
		if d.Note(refusal) {
			t.Error("it was logged")
		}
	}
	if lines := d.tell(t, true); lines != nil {
		t.Errorf("told %+v", lines)
	}
	for range 2 {
		d.Delayed(refusal.Token)
	}
	if lines := d.tell(t, true); len(lines) != 1 || lines[0].Device != "PHONE" || lines[0].Refused != refusalBurst || lines[0].Delayed != 1 {
		t.Errorf("told %+v", lines)
	}
	d.Forget(refusal.Token)
	if len(d.tokens)+len(d.networks) != 0 {
		t.Error("it was not forgotten")
	}
}

// TestInventedTokens: a flood of invented tokens is bounded in memory and in the log, and does not push
// out what other networks did.
func TestInventedTokens(t *testing.T) {
	victim := Refusal{Token: model.HashToken("victim"), Dead: true, Owner: phone, IP: "192.0.2.1"}
	for name, flood := range map[string]func(n int) string{
		"one address":    func(int) string { return "198.51.100.1" },
		"one network":    func(n int) string { return fmt.Sprintf("2001:db8::%x", n%0xffff) },
		"a few networks": func(n int) string { return fmt.Sprintf("198.51.100.%d", n%30) },
		"many networks":  func(n int) string { return fmt.Sprintf("2001:db8:%x:%x::1", n>>12, n&0xfff) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk()
			for range refusalBurst {
				d.Note(victim)
			}
			const tokens = 40_000
			logged := 0
			for n := range tokens {
				d.clock.Move(time.Microsecond)
				if d.Note(Refusal{Token: invented(n), Dead: true, IP: flood(n)}) {
					logged++
				}
				if len(d.tokens) > bound.RefusedTokens || len(d.networks) > bound.RefusedTokens+1 {
					t.Fatalf("%d tokens, %d networks", len(d.tokens), len(d.networks))
				}
				if n%100 == 0 { // the client that never learns goes on
					d.Delayed(victim.Token)
				}
			}
			if logged > allLinesBurst {
				t.Errorf("%d lines", logged)
			}
			if _, must := d.Wait(victim.Token); !must {
				t.Error("the flood made the counts forget who must wait")
			}
			if own := d.networks["198.51.100.1"]; own != nil && own.tokens > bound.RefusedTokensOfNetwork {
				t.Errorf("%d tokens of one network", own.tokens)
			}
			d.clock.Move(forgetAfter)
			lines := d.tell(t, false)
			d.tell(t, false)
			if len(d.tokens)+len(d.networks) != 0 {
				t.Errorf("%d tokens, %d networks are left", len(d.tokens), len(d.networks))
			}
			if len(lines) > 2*allLinesBurst {
				t.Errorf("%d lines in the end", len(lines))
			}
			if name == "one address" && len(lines) > linesBurst+3 {
				t.Errorf("%d lines in the end", len(lines))
			}
		})
	}
}

// TestRefusalsAddUp: over random histories every request is in the log exactly once, be it by a line of
// its own or in a count.
func TestRefusalsAddUp(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 1))
		d := newDesk()
		requests, logged := 0, 0
		collect := func(lines []line) {
			for _, l := range lines {
				logged += l.Refused + l.Delayed
			}
		}
		for range 5000 {
			token := invented(random.IntN(1 + random.IntN(1000)))
			switch random.IntN(20) {
			case 0:
				d.clock.Move(time.Duration(random.Int64N(int64(2 * time.Minute))))
			case 1:
				d.clock.Move(-time.Duration(random.Int64N(int64(time.Minute)))) // KEY-8
			case 2:
				collect(d.tell(t, false))
			case 3:
				d.Forget(token)
			default:
				requests++
				if _, must := d.Wait(token); must {
					if _, log := d.Delayed(token); log {
						logged++
					}
					continue
				}
				if d.Note(Refusal{Token: token, Dead: random.IntN(2) == 0, IP: fmt.Sprintf("192.0.2.%d", random.IntN(5))}) {
					logged++
				}
			}
		}
		collect(d.tell(t, true))
		if logged != requests {
			t.Errorf("seed %d: of %d requests %d are in the log", seed, requests, logged)
		}
	}
}
