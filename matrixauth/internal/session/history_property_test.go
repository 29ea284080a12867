package session_test

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

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// history is a random history of one user over a few devices, with the state that must follow from it.
type history struct {
	*house.House
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
			y := &history{House: house.New(t, house.Unlimited), random: rand.New(rand.NewPCG(seed, 1)), live: map[string]string{}}
			y.Add("alice")
			defer func() {
				if t.Failed() {
					t.Log(strings.Join(y.steps, "\n"))
				}
			}()
			for range 30 {
				y.step()
			}
			y.recover()
			y.Settle()
			y.check()
		})
	}
}

// step does one thing at random.
func (y *history) step() {
	y.T.Helper()
	switch device := fewDevices[y.random.IntN(len(fewDevices))]; y.random.IntN(16) {
	case 0, 1, 2, 3, 4:
		y.logIn(device)
	case 5, 6:
		y.logOut(device)
	case 7:
		y.logOutAll(device)
	case 8:
		y.note("the homeserver stops")
		y.Fake.Stop()
	case 9:
		n := 1 + y.random.IntN(4)
		y.note("the homeserver loses %d answers", n)
		y.Fake.LoseAnswers(n)
	case 10, 11:
		y.recover()
	case 12:
		y.note("kill -9")
		y.Crash()
	case 13:
		y.dieDuring(device)
	case 14:
		d := time.Duration(y.random.IntN(600)) * time.Second
		y.note("%s pass, and the outbox works", d)
		y.Clock.Move(d)
		y.Pass()
	case 15:
		y.note("the operator ends all sessions")
		house.Act(y.House, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: "alice"})
		y.endAll()
	}
}

func (y *history) note(format string, args ...any) {
	y.steps = append(y.steps, fmt.Sprintf(format, args...))
}

func (y *history) recover() {
	y.note("the homeserver is well")
	y.Fake.LoseAnswers(0)
	y.Fake.Resume()
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
	y.T.Helper()
	a := y.TryLogin("alice", house.Object{"device_id": device})
	y.note("login on %s: %d", device, a.Status)
	if a.Status != http.StatusOK {
		if a.Status != http.StatusServiceUnavailable {
			y.T.Errorf("login: got %d %s", a.Status, a.Body)
		}
		return
	}
	y.end(device)
	y.live[device] = y.SignedIn(a).AccessToken
}

func (y *history) logOut(device string) {
	y.T.Helper()
	token, ok := y.live[device]
	if !ok {
		return
	}
	y.note("logout on %s", device)
	y.Logout(token).Want(y.T, http.StatusOK, "")
	y.end(device)
}

func (y *history) logOutAll(device string) {
	y.T.Helper()
	token, ok := y.live[device]
	if !ok {
		return
	}
	y.note("logout of everything")
	y.LogoutAll(token).Want(y.T, http.StatusOK, "")
	y.endAll()
}

// dieDuring kills the server while it waits for the homeserver's answer to a login or a logout. A logout
// was committed by then; a login was not.
func (y *history) dieDuring(device string) {
	y.T.Helper()
	var once sync.Once
	died := false
	y.Tap.Set(func(string) { once.Do(func() { died = true; y.Die() }) })
	if token, ok := y.live[device]; ok && y.random.IntN(2) == 0 {
		y.note("logout on %s, and kill -9 during it", device)
		y.Logout(token)
		y.end(device)
	} else {
		y.note("login on %s, and kill -9 during it", device)
		if a := y.TryLogin("alice", house.Object{"device_id": device}); a.Status == http.StatusOK {
			y.T.Errorf("a login was answered although the server was dead: %s", a.Body)
		}
	}
	y.Tap.Set(nil)
	if !died {
		y.Die()
	}
	y.Open()
}

// check compares what there is with what must be.
func (y *history) check() {
	y.T.Helper()
	devices := slices.Sorted(maps.Keys(y.live))
	y.WantSessions("alice", devices...)
	y.WantDevices("alice", devices...)
	for device, token := range y.live {
		y.WantActive(token, device)
	}
	for _, token := range y.dead {
		y.WantInactive(token)
	}
	if aside := y.SetAside(); len(aside) != 0 {
		y.T.Errorf("set aside: %+v", aside)
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
			h := house.New(t, house.Unlimited)
			h.Add("alice")
			for round := range 4 {
				var group sync.WaitGroup
				for client := range 4 {
					group.Go(func() { clientAtOnce(h, rand.New(rand.NewPCG(seed, uint64(round*10+client)))) })
				}
				group.Go(func() { h.Pass() })
				group.Wait()
				if round%2 == 1 {
					h.Crash()
				}
			}
			h.Fake.Recover()
			h.Settle()
			h.WantDevices("alice", h.LiveDevices("alice")...)
		})
	}
}

// clientAtOnce logs in and out for a while, and now and then the homeserver fails.
func clientAtOnce(h *house.House, random *rand.Rand) {
	token := ""
	for range 8 {
		var a house.Answer
		switch random.IntN(6) {
		case 0:
			if token != "" {
				a = h.Logout(token)
			}
		case 1:
			if token != "" {
				a = h.LogoutAll(token)
			}
		case 2:
			h.Fake.Fail(http.StatusBadGateway, "")
		case 3:
			h.Fake.Recover()
		default:
			a = h.TryLogin("alice", house.Object{"device_id": fewDevices[random.IntN(len(fewDevices))]})
			if a.Status == http.StatusOK {
				token, _ = a.Document(h.T)["access_token"].(string)
			}
		}
		switch a.Status {
		case 0, http.StatusOK, http.StatusServiceUnavailable:
		case http.StatusUnauthorized: // somebody else ended the session
		default:
			h.T.Errorf("got %d %s", a.Status, a.Body)
		}
	}
}
