package matrixauth

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// history is a random history of one user over a few devices, with the state that must follow from it.
type history struct {
	*house
	random *rand.Rand
	// live is the token of the session that each device must have.
	live map[string]string
	// dead are tokens that must be of no worth.
	dead  []string
	steps []string
}

var fewDevices = []string{"A", "B", "C"}

// TestHistories: whatever happens in whatever order, once all is quiet the homeserver has exactly the
// devices of the live sessions, and exactly the promised tokens work (TOK-15, SYN-15, LEG-22, LEG-37, LEG-38).
func TestHistories(t *testing.T) {
	histories := 40
	if testing.Short() {
		histories = 5
	}
	for seed := range uint64(histories) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel() // one waits for the disk while the other computes
			y := &history{house: newHouse(t, unlimited), random: rand.New(rand.NewPCG(seed, 1)), live: map[string]string{}}
			y.add("alice")
			defer func() {
				if t.Failed() {
					t.Log(strings.Join(y.steps, "\n"))
				}
			}()
			for range 30 {
				y.step()
			}
			y.recover()
			y.settle()
			y.check()
		})
	}
}

// step does one thing at random.
func (y *history) step() {
	y.t.Helper()
	switch device := fewDevices[y.random.IntN(len(fewDevices))]; y.random.IntN(16) {
	case 0, 1, 2, 3, 4:
		y.logIn(device)
	case 5, 6:
		y.logOut(device)
	case 7:
		y.logOutAll(device)
	case 8:
		y.note("the homeserver stops")
		y.fake.Stop()
	case 9:
		n := 1 + y.random.IntN(4)
		y.note("the homeserver loses %d answers", n)
		y.fake.LoseAnswers(n)
	case 10, 11:
		y.recover()
	case 12:
		y.note("kill -9")
		y.crash()
	case 13:
		y.dieDuring(device)
	case 14:
		d := time.Duration(y.random.IntN(600)) * time.Second
		y.note("%s pass, and the outbox works", d)
		y.clock.Move(d)
		y.pass()
	case 15:
		y.note("the operator ends all sessions")
		act(y.house, EndSessions, SessionsToEnd{User: "alice"})
		y.endAll()
	}
}

func (y *history) note(format string, args ...any) {
	y.steps = append(y.steps, fmt.Sprintf(format, args...))
}

func (y *history) recover() {
	y.note("the homeserver is well")
	y.fake.LoseAnswers(0)
	y.fake.Resume()
}

func (y *history) end(device string) {
	if token, ok := y.live[device]; ok {
		y.dead = append(y.dead, token)
		delete(y.live, device)
	}
}

func (y *history) endAll() {
	for _, device := range fewDevices {
		y.end(device)
	}
}

// logIn signs in. What fails changes nothing.
func (y *history) logIn(device string) {
	y.t.Helper()
	a := y.tryLogin("alice", object{"device_id": device})
	y.note("login on %s: %d", device, a.status)
	if a.status != http.StatusOK {
		if a.status != http.StatusServiceUnavailable {
			y.t.Errorf("login: got %d %s", a.status, a.body)
		}
		return
	}
	y.end(device)
	y.live[device] = y.signedIn(a).AccessToken
}

func (y *history) logOut(device string) {
	y.t.Helper()
	token, ok := y.live[device]
	if !ok {
		return
	}
	y.note("logout on %s", device)
	y.logout(token).want(y.t, http.StatusOK, "")
	y.end(device)
}

func (y *history) logOutAll(device string) {
	y.t.Helper()
	token, ok := y.live[device]
	if !ok {
		return
	}
	y.note("logout of everything")
	y.logoutAll(token).want(y.t, http.StatusOK, "")
	y.endAll()
}

// dieDuring kills the server while it waits for the homeserver's answer to a login or a logout. A logout
// was committed by then; a login was not.
func (y *history) dieDuring(device string) {
	y.t.Helper()
	var once sync.Once
	died := false
	y.tap.set(func(string) { once.Do(func() { died = true; y.die() }) })
	if token, ok := y.live[device]; ok && y.random.IntN(2) == 0 {
		y.note("logout on %s, and kill -9 during it", device)
		y.logout(token)
		y.end(device)
	} else {
		y.note("login on %s, and kill -9 during it", device)
		if a := y.tryLogin("alice", object{"device_id": device}); a.status == http.StatusOK {
			y.t.Errorf("a login was answered although the server was dead: %s", a.body)
		}
	}
	y.tap.set(nil)
	if !died {
		y.die()
	}
	y.open()
}

// check compares what there is with what must be.
func (y *history) check() {
	y.t.Helper()
	devices := slices.Sorted(maps.Keys(y.live))
	y.wantSessions("alice", devices...)
	y.wantDevices("alice", devices...)
	for device, token := range y.live {
		y.wantActive(token, device)
	}
	for _, token := range y.dead {
		y.wantInactive(token)
	}
	if aside := y.setAside(); len(aside) != 0 {
		y.t.Errorf("set aside: %+v", aside)
	}
}

// TestHistoriesAtOnce: the same with several clients at the same time. Which of them wins is open, but
// not that homeserver and store agree.
func TestHistoriesAtOnce(t *testing.T) {
	histories := 8
	if testing.Short() {
		histories = 2
	}
	for seed := range uint64(histories) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel() // one waits for the disk while the other computes
			h := newHouse(t, unlimited)
			h.add("alice")
			for round := range 4 {
				var group sync.WaitGroup
				for client := range 4 {
					group.Go(func() { h.clientAtOnce(rand.New(rand.NewPCG(seed, uint64(round*10+client)))) })
				}
				group.Go(func() { h.pass() })
				group.Wait()
				if round%2 == 1 {
					h.crash()
				}
			}
			h.fake.Recover()
			h.settle()
			h.wantDevices("alice", h.liveDevices("alice")...)
		})
	}
}

// clientAtOnce logs in and out for a while, and now and then the homeserver fails.
func (h *house) clientAtOnce(random *rand.Rand) {
	token := ""
	for range 8 {
		var a answer
		switch random.IntN(6) {
		case 0:
			if token != "" {
				a = h.logout(token)
			}
		case 1:
			if token != "" {
				a = h.logoutAll(token)
			}
		case 2:
			h.fake.Fail(http.StatusBadGateway, "")
		case 3:
			h.fake.Recover()
		default:
			a = h.tryLogin("alice", object{"device_id": fewDevices[random.IntN(len(fewDevices))]})
			if a.status == http.StatusOK {
				token, _ = a.document(h.t)["access_token"].(string)
			}
		}
		switch a.status {
		case 0, http.StatusOK, http.StatusServiceUnavailable:
		case http.StatusUnauthorized: // somebody else ended the session
		default:
			h.t.Errorf("got %d %s", a.status, a.body)
		}
	}
}
