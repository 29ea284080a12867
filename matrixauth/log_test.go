package matrixauth

import (
	"fmt"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

// lineWith finds the one line since mark with a message.
func (h *house) lineWith(mark int, msg string) map[string]any {
	h.t.Helper()
	var found []map[string]any
	for _, line := range h.logged(mark, strconv.Quote(msg)) {
		if line["msg"] == msg {
			found = append(found, line)
		}
	}
	if len(found) != 1 {
		h.t.Fatalf("%d lines %q:\n%s", len(found), msg, h.log.String()[mark:])
	}
	return found[0]
}

// holds checks fields of a line.
func holds(t *testing.T, line map[string]any, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if fmt.Sprint(line[key]) != fmt.Sprint(value) {
			t.Errorf("%s is %v, want %v, in %v", key, line[key], value, line)
		}
	}
}

// TestOperatorsActionsAreLogged: who, what, whom and what came of it, in one line each.
func TestOperatorsActionsAreLogged(t *testing.T) {
	const msg = "an operator's action"
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, unlimited)
	h.must(h.core.Run())
	h.server.Start()
	defer h.server.Stop()
	o, err := Reach(t.Context(), Target{Database: h.file}, h.config, Deps{})
	h.must(err)
	defer func() { h.must(o.Close()) }()
	mark := 0
	next := func(action string, level string, more map[string]any) map[string]any {
		h.t.Helper()
		line := h.lineWith(mark, msg)
		mark = len(h.log.String())
		holds(t, line, map[string]any{"action": action, "level": level, "by": me.Username, "by_uid": me.Uid})
		holds(t, line, more)
		return line
	}
	must := func(_ any, err error) { h.t.Helper(); h.must(err) }
	do := func() (id string) {
		must(AddUser.Do(t.Context(), o, NewUser{Localpart: "alice", Password: alicesPassword}))
		id = h.userID("alice")
		next("user.add", "INFO", map[string]any{"user": "@alice:" + serverName, "user_id": id, "existing": false, "force": false, "code": "ok"})
		return id
	}
	alice := map[string]any{"user": "@alice:" + serverName, "user_id": do(), "code": "ok"}
	h.pass()
	must(SetPassword.Do(t.Context(), o, NameAndPassword{Name: Name{User: "alice"}, Password: alicesPassword}))
	next("user.set-password", "INFO", alice)
	must(AddEmail.Do(t.Context(), o, NameAndEmail{Name: Name{User: "alice"}, Email: "alice@example.org"}))
	next("user.add-email", "INFO", alice)
	must(LockUser.Do(t.Context(), o, Name{User: "ALICE"}))
	next("user.lock", "INFO", alice)
	must(UnlockUser.Do(t.Context(), o, Name{User: "alice"}))
	next("user.unlock", "INFO", alice)
	must(SetAdmin.Do(t.Context(), o, AdminRight{Name: Name{User: "alice"}, Admin: true}))
	next("user.set-admin", "INFO", map[string]any{"user_id": alice["user_id"], "admin": true})
	must(AllowReset.Do(t.Context(), o, Name{User: "alice"}))
	next("user.allow-reset", "INFO", alice)
	issued, err := IssueToken.Do(t.Context(), o, NewToken{Name: Name{User: "alice"}, DeviceID: "BOT"})
	h.must(err)
	h.secret(issued.Token)
	session := next("token.issue", "INFO", map[string]any{"user": "@alice:" + serverName, "device_id": "BOT"})["session_id"]
	must(EndSessions.Do(t.Context(), o, SessionsToEnd{Session: fmt.Sprint(session)}))
	next("session.end", "INFO", map[string]any{"user": "@alice:" + serverName, "session_id": session, "device_id": "BOT"})
	must(EndSessions.Do(t.Context(), o, SessionsToEnd{User: "@alice:" + serverName}))
	next("session.end", "INFO", map[string]any{"user": "@alice:" + serverName, "sessions": 0})
	must(WithdrawConsents.Do(t.Context(), o, Withdrawal{Name: Name{User: "alice"}, All: true}))
	next("consent.withdraw", "INFO", map[string]any{"user": "@alice:" + serverName, "client_id": "all"})
	must(DeactivateUser.Do(t.Context(), o, Deactivation{Name: Name{User: "alice"}, Erase: true}))
	next("user.deactivate", "INFO", map[string]any{"user": "@alice:" + serverName, "erase": true})
	must(ReactivateUser.Do(t.Context(), o, Name{User: "alice"}))
	next("user.reactivate", "INFO", alice)
	must(MendDifference.Do(t.Context(), o, Difference{Kind: LockedThere, User: "alice", UserID: h.userID("alice")}))
	next("doctor.mend", "INFO", map[string]any{"user": "@alice:" + serverName, "difference": LockedThere, "mended": false})
	h.must(o.Copy(t.Context(), discard{}))
	h.await(func() bool { return len(h.logged(mark, `"backup"`)) > 0 }) // the copy is there before its line
	next("backup", "INFO", map[string]any{"code": "ok"})
	t.Run("mistakes of people are no errors of ours", func(t *testing.T) {
		_, err := LockUser.Do(t.Context(), o, Name{User: "bob"})
		h.wantSentence(err, "no account")
		next("user.lock", "INFO", map[string]any{"given": "bob", "user": nil, "code": "user_not_found"})
		_, err = AddUser.Do(t.Context(), o, NewUser{Localpart: "bridge_x", Password: alicesPassword})
		h.wantSentence(err, "application service")
		next("user.add", "INFO", map[string]any{"given": "bridge_x", "code": "user_unavailable"})
		h.fake.Stop()
		defer h.fake.Resume()
		_, err = AddUser.Do(t.Context(), o, NewUser{Localpart: "bob", Password: alicesPassword})
		h.wantSentence(err, "cannot be asked")
		next("user.add", "WARN", map[string]any{"given": "bob", "code": "temporarily_unavailable"})
	})
	t.Run("a look is no news", func(t *testing.T) {
		must(ListUsers.Do(t.Context(), o, UsersAsked{}))
		next("user.list", "DEBUG", nil)
	})
	t.Run("a fault of ours is an error", func(t *testing.T) {
		h.sql("ALTER TABLE user_emails RENAME TO elsewhere")
		defer h.sql("ALTER TABLE elsewhere RENAME TO user_emails")
		if _, err := ListUsers.Do(t.Context(), o, UsersAsked{}); err == nil || !strings.Contains(err.Error(), "its log says why") {
			t.Errorf("got %v", err)
		}
		if line := next("user.list", "ERROR", nil); !strings.Contains(fmt.Sprint(line["cause"]), "user_emails") {
			t.Errorf("the cause is %v", line["cause"])
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// TestActionsWithoutServer: what is done while no server runs is told by the next one, with who and when.
func TestActionsWithoutServer(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	h.must(h.store.Close())
	o, err := Reach(t.Context(), Target{Database: h.file}, h.config, Deps{})
	h.must(err)
	_, err = LockUser.Do(t.Context(), o, Name{User: "alice"})
	h.must(err)
	_, err = LockUser.Do(t.Context(), o, Name{User: "bob"})
	h.wantSentence(err, "no account")
	_, err = ListUsers.Do(t.Context(), o, UsersAsked{})
	h.must(err)
	h.must(o.Copy(t.Context(), discard{}))
	if o.Kept() != 3 {
		t.Errorf("%d lines are kept, want 3", o.Kept())
	}
	h.must(o.Close())
	mark := len(h.log.String())
	h.open()
	h.server.Start()
	h.await(func() bool { return h.count("action_lines") == 0 })
	h.server.Stop()
	lines := h.logged(mark, "an operator's action while no server ran")
	if len(lines) != 3 {
		t.Fatalf("%d lines:\n%s", len(lines), h.log.String()[mark:])
	}
	holds(t, lines[0], map[string]any{"action": "user.lock", "user": "@alice:" + serverName, "user_id": h.userID("alice"), "code": "ok", "by_uid": os.Getuid()})
	holds(t, lines[1], map[string]any{"action": "user.lock", "given": "bob", "code": "user_not_found"})
	holds(t, lines[2], map[string]any{"action": "backup", "code": "ok"})
	if at, err := time.Parse(time.RFC3339, fmt.Sprint(lines[0]["at"])); err != nil || at.Before(testkit.Start) {
		t.Errorf("at %v", lines[0]["at"])
	}
	h.open2(t)
}

// open2 sees that a further start tells nothing twice.
func (h *house) open2(t *testing.T) {
	mark := len(h.log.String())
	h.crash()
	h.server.Start()
	h.server.Stop()
	if lines := h.logged(mark, "while no server ran"); len(lines) != 0 {
		t.Errorf("told again: %v", lines)
	}
}

// await polls until something is so.
func (h *house) await(so func() bool) {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if so() {
			return
		}
	}
	h.t.Fatal("it did not become so within a minute")
}

// TestFailedSignInsAreLogged: one shape at every door, the address first, with the code and the user.
func TestFailedSignInsAreLogged(t *testing.T) {
	const msg = "sign-in failed"
	h := newHouse(t, limits(many, Rate{Burst: 3, PerMinute: 1}))
	h.add("alice", "locked", "gone")
	act(h, LockUser, Name{User: "locked"})
	act(h, DeactivateUser, Deactivation{Name: Name{User: "gone"}})
	doors := map[string]func(name, clear string){
		"login": func(name, clear string) {
			h.do(call{method: http.MethodPost, path: loginPath, body: loginBody(name, clear, nil)})
		},
		"sign_in": func(name, clear string) {
			v := h.guest()
			v.get("/account/login")
			v.post("/account/login", "username", name, "password", clear)
		},
	}
	for door, try := range doors {
		t.Run(door, func(t *testing.T) {
			h.clock.Move(time.Hour) // the counts have recovered
			// A password in the wrong field must not be in the log.
			for _, one := range []struct{ name, clear, code, user string }{
				{"alice", "wrong", "invalid_credentials", "@alice:" + serverName},
				{"ALICE", "wrong", "invalid_credentials", "@alice:" + serverName},
				{alicesPassword, "wrong", "invalid_credentials", "unknown"},
				{"@alice:elsewhere.test", "wrong", "invalid_credentials", "unknown"},
				{strings.Repeat("x", 600), "wrong", "invalid_credentials", "unknown"},
				{"locked", alicesPassword, "user_locked", "@locked:" + serverName},
				{"gone", alicesPassword, "user_deactivated", "@gone:" + serverName},
				{"alice", "wrong", "invalid_credentials", "@alice:" + serverName},
				{"alice", alicesPassword, "rate_limited", "@alice:" + serverName},
			} {
				mark := len(h.log.String())
				try(one.name, one.clear)
				if len(one.name) > 512 && door == "login" {
					continue // a bad request there
				}
				line := h.lineWith(mark, msg)
				holds(t, line, map[string]any{"client_ip": officeIP, "code": one.code, "user": one.user, "level": "INFO", "route": door})
				if (line["user_id"] != nil) != (one.user != "unknown") {
					t.Errorf("ids: %v", line)
				}
				if want := `"msg":"` + msg + `","client_ip":"` + officeIP + `","code":"` + one.code + `","user":"`; !strings.Contains(h.log.String()[mark:], want) {
					t.Errorf("the shape differs:\n%s", h.log.String()[mark:])
				}
				if len(h.logged(mark, `"request"`)) > 0 && door == "login" {
					t.Error("it has a second line")
				}
			}
		})
	}
	t.Run("the page that asks again", func(t *testing.T) {
		h, v := resetHouse(t, 10*time.Minute)
		mark := len(h.log.String())
		v.post(resetPath, "password", "wrong")
		holds(t, h.lineWith(mark, msg), map[string]any{"code": "invalid_credentials", "user": "@alice:" + serverName, "client_ip": officeIP})
	})
	t.Run("who gets in is in a request's line", func(t *testing.T) {
		h.clock.Move(time.Hour)
		mark := len(h.log.String())
		s := h.loginOn("alice", "PHONE")
		holds(t, h.lineWith(mark, "request"), map[string]any{"user": "@alice:" + serverName, "user_id": h.userID("alice"), "device_id": "PHONE", "status": 200})
		mark = len(h.log.String())
		h.logout(s.AccessToken).want(t, http.StatusOK, "")
		holds(t, h.lineWith(mark, "request"), map[string]any{"user": "@alice:" + serverName, "device_id": "PHONE"})
	})
}

// The lines that there are at once: for a network that is told to wait, for the other requests of one network, and
// for those of all.
const (
	linesOfLimits  = 5
	linesOfNetwork = 300
	linesOfAll     = 3000
)

// TestLinesAreBounded: nobody fills the log, and a flood hides no guesses.
func TestLinesAreBounded(t *testing.T) {
	tell := func(h *house, all bool) { h.lines.Tell(h.logger, serverName, all) }
	t.Run("guesses beyond the limit are counted", func(t *testing.T) {
		h := newHouse(t, limits(many, Rate{Burst: 2, PerMinute: 1}))
		h.add("alice")
		mark := len(h.log.String())
		const times = 100
		for range times {
			h.do(call{method: http.MethodPost, path: loginPath, body: loginBody("alice", "wrong", nil)})
		}
		lines := h.logged(mark, `"sign-in failed"`)
		if want := 2 + linesOfLimits; len(lines) != want {
			t.Errorf("%d lines, want %d", len(lines), want)
		}
		tell(h, false)
		if len(h.logged(mark, "more requests had no line")) != 0 {
			t.Error("the count came too early")
		}
		h.clock.Move(time.Minute)
		tell(h, false)
		holds(t, h.lineWith(mark, "more requests had no line"), map[string]any{"network": officeIP, "requests": times - len(lines)})
		tell(h, true)
		if len(h.logged(mark, "more requests had no line")) != 1 {
			t.Error("it was told twice")
		}
	})
	t.Run("a flood of other requests hides no guess", func(t *testing.T) {
		h := newHouse(t, unlimited)
		for range linesOfNetwork + 50 {
			h.do(call{path: loginPath})
		}
		mark := len(h.log.String())
		h.do(call{path: loginPath})
		if lines := h.logged(mark, `"request"`); len(lines) != 0 {
			t.Errorf("it is not bounded: %v", lines)
		}
		h.do(call{method: http.MethodPost, path: loginPath, body: loginBody("alice", "wrong", nil)})
		h.lineWith(mark, "sign-in failed")
		h.do(call{path: loginPath, ip: "198.51.100.7"})
		h.lineWith(mark, "request")
	})
	t.Run("a flood of others hides nobody who is signed in", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		for i := range linesOfAll + 50 {
			h.do(call{path: loginPath, ip: fmt.Sprintf("10.%d.%d.1", i/200, i%200)})
		}
		mark := len(h.log.String())
		h.do(call{path: loginPath, ip: "198.51.100.7"})
		if lines := h.logged(mark, `"request"`); len(lines) != 0 {
			t.Errorf("all together are not bounded: %v", lines)
		}
		h.loginOn("alice", "PHONE")
		h.lineWith(mark, "request")
	})
	t.Run("a user is counted by name", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		v := h.signedInAs("alice")
		for range linesOfNetwork + 10 {
			v.get("/account/")
		}
		mark := len(h.log.String())
		tell(h, true)
		holds(t, h.lineWith(mark, "more requests had no line"), map[string]any{"user": "@alice:" + serverName, "user_id": h.userID("alice"), "requests": 10})
	})
}

// TestEveryActionIsLookOrDeed: an action that is new must be one or the other on purpose.
func TestEveryActionIsLookOrDeed(t *testing.T) {
	looks := newHouse(t).server.Table().Names(operate.Reads)
	slices.Sort(looks)
	// The backup that a note is of has its own line.
	want := []string{"audit.list", "backup.note", "client.list", "client.show", "consent.list", "doctor", "doctor.compare", "instance", "outbox.list", "session.list", "user.check", "user.list", "user.show"}
	if !slices.Equal(looks, want) {
		t.Errorf("these only look: %q, want %q", looks, want)
	}
}

// TestRefusedIntrospections: what happens all the time is no news, but a homeserver with another secret is.
func TestRefusedIntrospections(t *testing.T) {
	h := newHouse(t, unlimited)
	mark := len(h.log.String())
	h.introspect("nothing")
	holds(t, h.lineWith(mark, "request"), map[string]any{"route": "introspect", "level": "DEBUG"})
	mark = len(h.log.String())
	h.do(call{method: http.MethodPost, path: "/oauth2/introspect", inside: true, bearer: "another", body: form("token", "nothing"), header: formType})
	holds(t, h.lineWith(mark, "request"), map[string]any{"route": "introspect", "level": "INFO", "status": 401, "code": "invalid_client"})
}
