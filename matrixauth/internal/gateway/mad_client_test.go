package gateway_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const syncPath = "/_matrix/client/v3/sync"

// toldOften is how often a token is refused at once before its client is told to wait.
const toldOften = 20

// syncs asks for events n times with a token, and counts the answers and how many the homeserver saw.
func syncs(h *house.House, n int, token string) (refused, delayed, asked int) {
	h.T.Helper()
	before := h.Passed.Load()
	for range n {
		switch a := h.Do(house.Call{Path: syncPath, Bearer: token}); a.Status {
		case http.StatusUnauthorized:
			refused++
		case http.StatusTooManyRequests:
			delayed++
		default:
			h.T.Fatalf("got %d %s", a.Status, a.Body)
		}
	}
	return refused, delayed, int(h.Passed.Load() - before)
}

func tellRefusals(h *house.House) { h.Refusals.Tell(h.Logger, house.ServerName, false) }

// TestMadClient: a client goes on with the token of a session that has ended.
func TestMadClient(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	h.Answering(house.Refusing)
	s := h.LoginOn("alice", "PHONE")
	h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
	mark := len(h.Log.String())

	t.Run("SOFT-3 the first answers are exact", func(t *testing.T) {
		for range toldOften {
			if a := h.Do(house.Call{Path: syncPath, Bearer: s.AccessToken}); a.Status != http.StatusUnauthorized || a.Body != house.BadToken {
				t.Fatalf("got %d %s", a.Status, a.Body)
			}
		}
	})
	t.Run("SOFT-10 then it is told to wait", func(t *testing.T) {
		refused, delayed, asked := syncs(h, 500, s.AccessToken)
		if refused != 0 || delayed != 500 || asked != 0 {
			t.Errorf("%d refused, %d delayed, the homeserver was asked %d times", refused, delayed, asked)
		}
		a := h.Do(house.Call{Path: syncPath + "?access_token=" + s.AccessToken})
		a.Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
		if ms, _ := a.Document(t)["retry_after_ms"].(float64); err != nil || seconds < 1 || int(ms) > seconds*1000 || ms < 1 {
			t.Errorf("got %s %v", a.Body, a.Header)
		}
	})
	t.Run("others in its network are not concerned", func(t *testing.T) {
		fresh := h.LoginOn("alice", "LAPTOP")
		h.Answering(status(http.StatusOK))
		if a := h.Do(house.Call{Path: syncPath, Bearer: fresh.AccessToken}); a.Status != http.StatusOK {
			t.Errorf("got %d", a.Status)
		}
		h.Answering(house.Refusing)
		if a := h.Do(house.Call{Path: syncPath, Bearer: model.NewToken(model.CompatAccess)}); a.Status != http.StatusUnauthorized {
			t.Errorf("another token that is dead: got %d", a.Status)
		}
	})
	t.Run("who waits as told hears the truth", func(t *testing.T) {
		for range 5 {
			retry := h.Do(house.Call{Path: syncPath, Bearer: s.AccessToken}).Document(t)["retry_after_ms"].(float64)
			h.Clock.Move(time.Duration(retry) * time.Millisecond)
			if a := h.Do(house.Call{Path: syncPath, Bearer: s.AccessToken}); a.Status != http.StatusUnauthorized {
				t.Fatalf("got %d %s", a.Status, a.Body)
			}
		}
	})
	t.Run("the homeserver's own refusals count on", func(t *testing.T) {
		h.Clock.Move(3 * time.Minute) // the end of the session is long ago
		refused, delayed, asked := syncs(h, 100, s.AccessToken)
		if refused == 0 || refused > toldOften || refused != asked || refused+delayed != 100 {
			t.Errorf("%d refused, %d delayed, the homeserver was asked %d times", refused, delayed, asked)
		}
	})
	t.Run("it is in the log twice, with its name, and then in a count", func(t *testing.T) {
		tellRefusals(h)
		h.Clock.Move(2 * time.Minute)
		tellRefusals(h)
		requests, names, counted := 0, 0, 0.0
		for _, line := range h.Logged(mark, `"PHONE"`) {
			if line["user"] == "@alice:"+house.ServerName && line["user_id"] == h.UserID("alice") {
				names++
			}
			if line["msg"] == "request" {
				requests++
				continue
			}
			counted += line["refused"].(float64) + line["told_to_wait"].(float64)
		}
		if requests != 2 || names < 3 || int(counted)+requests != toldOften+501+10+100 {
			t.Errorf("%d lines, %d with names, %v counted:\n%s", requests, names, counted, h.Log.String()[mark:])
		}
	})
	t.Run("nothing is remembered once it has stopped", func(t *testing.T) {
		h.Clock.Move(time.Hour)
		tellRefusals(h)
		if refused, _, _ := syncs(h, toldOften, s.AccessToken); refused != toldOften {
			t.Errorf("%d refused", refused)
		}
	})
}

// TestNobodyElseWaits: no token that is live, may become so, or is not ours is ever told to wait.
func TestNobodyElseWaits(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	h.Answering(house.Refusing)
	s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	for name, token := range map[string]string{
		"a live token that the homeserver refuses": s.AccessToken,
		"an application service's":                 "as_token_of_a_bridge",
		"an older one of Synapse":                  "syt_YWxpY2U_abc_123",
	} {
		if refused, _, _ := syncs(h, 5*toldOften, token); refused != 5*toldOften {
			t.Errorf("%s: %d times refused", name, refused)
		}
	}
	t.Run("what it heard while locked counts for nothing", func(t *testing.T) {
		h.Add("carol")
		c := h.LoginOn("carol", "PHONE")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "carol"})
		syncs(h, 5*toldOften, c.AccessToken)
		house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "carol"})
		h.LoginOn("carol", "PHONE")
		if refused, _, _ := syncs(h, toldOften, c.AccessToken); refused != toldOften {
			t.Errorf("%d times refused", refused)
		}
	})
	t.Run("KEY-8 a clock that went wrong, and back", func(t *testing.T) {
		h.Clock.Move(10 * time.Minute)
		syncs(h, 2*toldOften, s.AccessToken)
		if _, delayed, _ := syncs(h, 1, s.AccessToken); delayed != 1 {
			t.Fatal("an expired token need not wait")
		}
		h.Clock.Move(-8 * time.Minute)
		h.Answering(status(http.StatusOK))
		if a := h.Do(house.Call{Path: syncPath, Bearer: s.AccessToken}); a.Status != http.StatusOK {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	})
	t.Run("REF-8 the client refreshes and goes on", func(t *testing.T) {
		h.Clock.Move(10 * time.Minute)
		h.Answering(house.Refusing)
		syncs(h, 2*toldOften, s.AccessToken)
		again := h.SignedIn(h.Refresh(s.RefreshToken))
		h.Answering(status(http.StatusOK))
		if a := h.Do(house.Call{Path: syncPath, Bearer: again.AccessToken}); a.Status != http.StatusOK {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	})
	t.Run("SOFT-7 nobody can tell", func(t *testing.T) {
		h.Answering(house.Refusing)
		token := model.NewToken(model.CompatAccess)
		syncs(h, 2*toldOften, token)
		h.Die()
		a := h.Do(house.Call{Path: syncPath, Bearer: token})
		h.Open()
		if a.Status != http.StatusServiceUnavailable {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	})
}

// TestDeadTokensElsewhere: a client goes on with dead tokens at routes of ours, or that of a locked user. The
// answers stay what they are, and the log stays short.
func TestDeadTokensElsewhere(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
	client := h.Register("01APP", "")
	signedOut := h.OauthSession("alice", client, "TABLET")
	h.Logout(signedOut.AccessToken).Want(t, http.StatusOK, "")
	h.Add("mallory")
	locked := h.LoginOn("mallory", "PHONE")
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "mallory"})
	const times = 100
	for name, again := range map[string]struct {
		do   func() house.Answer
		want int
	}{
		"logout":  {func() house.Answer { return h.Logout(s.AccessToken) }, http.StatusUnauthorized},
		"refresh": {func() house.Answer { return h.Refresh(s.RefreshToken) }, http.StatusUnauthorized},
		"gateway": {func() house.Answer { return h.Do(house.Call{Path: syncPath, Bearer: locked.AccessToken}) }, http.StatusUnauthorized},
		"token":   {func() house.Answer { return h.Renew(client, signedOut.RefreshToken) }, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			mark := len(h.Log.String())
			for range times {
				if a := again.do(); a.Status != again.want {
					t.Fatalf("got %d %s", a.Status, a.Body)
				}
			}
			lines := h.Logged(mark, fmt.Sprintf(`"route":%q`, name))
			if len(lines) != 1 || name == "gateway" && lines[0]["user"] != "@mallory:"+house.ServerName {
				t.Errorf("lines: %v", lines)
			}
			h.Clock.Move(2 * time.Minute)
			tellRefusals(h)
			if lines := h.Logged(mark, "went on with a refused token"); len(lines) != 1 || lines[0]["refused"] != times-1.0 {
				t.Errorf("counted: %v", lines)
			}
		})
	}
}
