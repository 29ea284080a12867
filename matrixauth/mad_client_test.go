package matrixauth

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const syncPath = "/_matrix/client/v3/sync"

// toldOften is how often a token is refused at once before its client is told to wait.
const toldOften = 20

// syncs asks for events n times with a token, and counts the answers and how many the homeserver saw.
func (h *house) syncs(n int, token string) (refused, delayed, asked int) {
	h.t.Helper()
	before := h.passed.Load()
	for range n {
		switch a := h.do(call{path: syncPath, bearer: token}); a.status {
		case http.StatusUnauthorized:
			refused++
		case http.StatusTooManyRequests:
			delayed++
		default:
			h.t.Fatalf("got %d %s", a.status, a.body)
		}
	}
	return refused, delayed, int(h.passed.Load() - before)
}

func (h *house) tellRefusals() { h.refusals.Tell(h.logger, serverName, false) }

// TestMadClient: a client goes on with the token of a session that has ended.
func TestMadClient(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	h.answering(refusing)
	s := h.loginOn("alice", "PHONE")
	h.logout(s.AccessToken).want(t, http.StatusOK, "")
	mark := len(h.log.String())

	t.Run("SOFT-3 the first answers are exact", func(t *testing.T) {
		for range toldOften {
			if a := h.do(call{path: syncPath, bearer: s.AccessToken}); a.status != http.StatusUnauthorized || a.body != badToken {
				t.Fatalf("got %d %s", a.status, a.body)
			}
		}
	})
	t.Run("SOFT-10 then it is told to wait", func(t *testing.T) {
		refused, delayed, asked := h.syncs(500, s.AccessToken)
		if refused != 0 || delayed != 500 || asked != 0 {
			t.Errorf("%d refused, %d delayed, the homeserver was asked %d times", refused, delayed, asked)
		}
		a := h.do(call{path: syncPath + "?access_token=" + s.AccessToken})
		a.want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
		if ms, _ := a.document(t)["retry_after_ms"].(float64); err != nil || seconds < 1 || int(ms) > seconds*1000 || ms < 1 {
			t.Errorf("got %s %v", a.body, a.header)
		}
	})
	t.Run("others in its network are not concerned", func(t *testing.T) {
		fresh := h.loginOn("alice", "LAPTOP")
		h.answering(status(http.StatusOK))
		if a := h.do(call{path: syncPath, bearer: fresh.AccessToken}); a.status != http.StatusOK {
			t.Errorf("got %d", a.status)
		}
		h.answering(refusing)
		if a := h.do(call{path: syncPath, bearer: model.NewToken(model.CompatAccess)}); a.status != http.StatusUnauthorized {
			t.Errorf("another token that is dead: got %d", a.status)
		}
	})
	t.Run("who waits as told hears the truth", func(t *testing.T) {
		for range 5 {
			retry := h.do(call{path: syncPath, bearer: s.AccessToken}).document(t)["retry_after_ms"].(float64)
			h.clock.Move(time.Duration(retry) * time.Millisecond)
			if a := h.do(call{path: syncPath, bearer: s.AccessToken}); a.status != http.StatusUnauthorized {
				t.Fatalf("got %d %s", a.status, a.body)
			}
		}
	})
	t.Run("the homeserver's own refusals count on", func(t *testing.T) {
		h.clock.Move(3 * time.Minute) // the end of the session is long ago
		refused, delayed, asked := h.syncs(100, s.AccessToken)
		if refused == 0 || refused > toldOften || refused != asked || refused+delayed != 100 {
			t.Errorf("%d refused, %d delayed, the homeserver was asked %d times", refused, delayed, asked)
		}
	})
	t.Run("it is in the log twice, with its name, and then in a count", func(t *testing.T) {
		h.tellRefusals()
		h.clock.Move(2 * time.Minute)
		h.tellRefusals()
		requests, names, counted := 0, 0, 0.0
		for _, line := range h.logged(mark, `"PHONE"`) {
			if line["user"] == "@alice:"+serverName && line["user_id"] == h.userID("alice") {
				names++
			}
			if line["msg"] == "request" {
				requests++
				continue
			}
			counted += line["refused"].(float64) + line["told_to_wait"].(float64)
		}
		if requests != 2 || names < 3 || int(counted)+requests != toldOften+501+10+100 {
			t.Errorf("%d lines, %d with names, %v counted:\n%s", requests, names, counted, h.log.String()[mark:])
		}
	})
	t.Run("nothing is remembered once it has stopped", func(t *testing.T) {
		h.clock.Move(time.Hour)
		h.tellRefusals()
		if refused, _, _ := h.syncs(toldOften, s.AccessToken); refused != toldOften {
			t.Errorf("%d refused", refused)
		}
	})
}

// TestNobodyElseWaits: no token that is live, may become so, or is not ours is ever told to wait.
func TestNobodyElseWaits(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	h.answering(refusing)
	s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
	for name, token := range map[string]string{
		"a live token that the homeserver refuses": s.AccessToken,
		"an application service's":                 "as_token_of_a_bridge",
		"an older one of Synapse":                  "syt_YWxpY2U_abc_123",
	} {
		if refused, _, _ := h.syncs(5*toldOften, token); refused != 5*toldOften {
			t.Errorf("%s: %d times refused", name, refused)
		}
	}
	t.Run("what it heard while locked counts for nothing", func(t *testing.T) {
		h.add("carol")
		c := h.loginOn("carol", "PHONE")
		act(h, LockUser, Name{User: "carol"})
		h.syncs(5*toldOften, c.AccessToken)
		act(h, UnlockUser, Name{User: "carol"})
		h.loginOn("carol", "PHONE")
		if refused, _, _ := h.syncs(toldOften, c.AccessToken); refused != toldOften {
			t.Errorf("%d times refused", refused)
		}
	})
	t.Run("KEY-8 a clock that went wrong, and back", func(t *testing.T) {
		h.clock.Move(10 * time.Minute)
		h.syncs(2*toldOften, s.AccessToken)
		if _, delayed, _ := h.syncs(1, s.AccessToken); delayed != 1 {
			t.Fatal("an expired token need not wait")
		}
		h.clock.Move(-8 * time.Minute)
		h.answering(status(http.StatusOK))
		if a := h.do(call{path: syncPath, bearer: s.AccessToken}); a.status != http.StatusOK {
			t.Errorf("got %d %s", a.status, a.body)
		}
	})
	t.Run("REF-8 the client refreshes and goes on", func(t *testing.T) {
		h.clock.Move(10 * time.Minute)
		h.answering(refusing)
		h.syncs(2*toldOften, s.AccessToken)
		again := h.signedIn(h.refresh(s.RefreshToken))
		h.answering(status(http.StatusOK))
		if a := h.do(call{path: syncPath, bearer: again.AccessToken}); a.status != http.StatusOK {
			t.Errorf("got %d %s", a.status, a.body)
		}
	})
	t.Run("SOFT-7 nobody can tell", func(t *testing.T) {
		h.answering(refusing)
		token := model.NewToken(model.CompatAccess)
		h.syncs(2*toldOften, token)
		h.die()
		a := h.do(call{path: syncPath, bearer: token})
		h.open()
		if a.status != http.StatusServiceUnavailable {
			t.Errorf("got %d %s", a.status, a.body)
		}
	})
}

// TestDeadTokensElsewhere: a client goes on with dead tokens at routes of ours, or that of a locked user. The
// answers stay what they are, and the log stays short.
func TestDeadTokensElsewhere(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
	h.logout(s.AccessToken).want(t, http.StatusOK, "")
	client := h.register("01APP", "")
	signedOut := h.oauthSession("alice", client, "TABLET")
	h.logout(signedOut.AccessToken).want(t, http.StatusOK, "")
	h.add("mallory")
	locked := h.loginOn("mallory", "PHONE")
	act(h, LockUser, Name{User: "mallory"})
	const times = 100
	for name, again := range map[string]struct {
		do   func() answer
		want int
	}{
		"logout":  {func() answer { return h.logout(s.AccessToken) }, http.StatusUnauthorized},
		"refresh": {func() answer { return h.refresh(s.RefreshToken) }, http.StatusUnauthorized},
		"gateway": {func() answer { return h.do(call{path: syncPath, bearer: locked.AccessToken}) }, http.StatusUnauthorized},
		"token":   {func() answer { return h.renew(client, signedOut.RefreshToken) }, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			mark := len(h.log.String())
			for range times {
				if a := again.do(); a.status != again.want {
					t.Fatalf("got %d %s", a.status, a.body)
				}
			}
			lines := h.logged(mark, fmt.Sprintf(`"route":%q`, name))
			if len(lines) != 1 || name == "gateway" && lines[0]["user"] != "@mallory:"+serverName {
				t.Errorf("lines: %v", lines)
			}
			h.clock.Move(2 * time.Minute)
			h.tellRefusals()
			if lines := h.logged(mark, "went on with a refused token"); len(lines) != 1 || lines[0]["refused"] != times-1.0 {
				t.Errorf("counted: %v", lines)
			}
		})
	}
}
