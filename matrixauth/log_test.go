package matrixauth_test

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

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

// lineWith finds the one line since mark with a message.
func lineWith(h *house.House, mark int, msg string) map[string]any {
	h.T.Helper()
	var found []map[string]any
	for _, line := range h.Logged(mark, strconv.Quote(msg)) {
		if line["msg"] == msg {
			found = append(found, line)
		}
	}
	if len(found) != 1 {
		h.T.Fatalf("%d lines %q:\n%s", len(found), msg, h.Log.String()[mark:])
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
	h := house.New(t, house.Unlimited)
	h.Must(h.Core.Run())
	h.Server.Start()
	defer h.Server.Stop()
	o, err := matrixauth.Reach(t.Context(), matrixauth.Target{Database: h.File}, h.Config, matrixauth.Deps{})
	h.Must(err)
	defer func() { h.Must(o.Close()) }()
	mark := 0
	next := func(action string, level string, more map[string]any) map[string]any {
		h.T.Helper()
		line := lineWith(h, mark, msg)
		mark = len(h.Log.String())
		holds(t, line, map[string]any{"action": action, "level": level, "by": me.Username, "by_uid": me.Uid})
		holds(t, line, more)
		return line
	}
	must := func(_ any, err error) { h.T.Helper(); h.Must(err) }
	do := func() (id string) {
		must(matrixauth.AddUser.Do(t.Context(), o, matrixauth.NewUser{Localpart: "alice", Password: house.AlicesPassword}))
		id = h.UserID("alice")
		next("user.add", "INFO", map[string]any{"user": "@alice:" + house.ServerName, "user_id": id, "existing": false, "force": false, "code": "ok"})
		return id
	}
	alice := map[string]any{"user": "@alice:" + house.ServerName, "user_id": do(), "code": "ok"}
	h.Pass()
	must(matrixauth.SetPassword.Do(t.Context(), o, matrixauth.NameAndPassword{Name: matrixauth.Name{User: "alice"}, Password: house.AlicesPassword}))
	next("user.set-password", "INFO", alice)
	must(matrixauth.AddEmail.Do(t.Context(), o, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "alice@example.org"}))
	next("user.add-email", "INFO", alice)
	must(matrixauth.LockUser.Do(t.Context(), o, matrixauth.Name{User: "ALICE"}))
	next("user.lock", "INFO", alice)
	must(matrixauth.UnlockUser.Do(t.Context(), o, matrixauth.Name{User: "alice"}))
	next("user.unlock", "INFO", alice)
	must(matrixauth.SetAdmin.Do(t.Context(), o, matrixauth.AdminRight{Name: matrixauth.Name{User: "alice"}, Admin: true}))
	next("user.set-admin", "INFO", map[string]any{"user_id": alice["user_id"], "admin": true})
	must(matrixauth.AllowReset.Do(t.Context(), o, matrixauth.Name{User: "alice"}))
	next("user.allow-reset", "INFO", alice)
	issued, err := matrixauth.IssueToken.Do(t.Context(), o, matrixauth.NewToken{Name: matrixauth.Name{User: "alice"}, DeviceID: "BOT"})
	h.Must(err)
	h.Secret(issued.Token)
	session := next("token.issue", "INFO", map[string]any{"user": "@alice:" + house.ServerName, "device_id": "BOT"})["session_id"]
	must(matrixauth.EndSessions.Do(t.Context(), o, matrixauth.SessionsToEnd{Session: fmt.Sprint(session)}))
	next("session.end", "INFO", map[string]any{"user": "@alice:" + house.ServerName, "session_id": session, "device_id": "BOT"})
	must(matrixauth.EndSessions.Do(t.Context(), o, matrixauth.SessionsToEnd{User: "@alice:" + house.ServerName}))
	next("session.end", "INFO", map[string]any{"user": "@alice:" + house.ServerName, "sessions": 0})
	must(matrixauth.WithdrawConsents.Do(t.Context(), o, matrixauth.Withdrawal{Name: matrixauth.Name{User: "alice"}, All: true}))
	next("consent.withdraw", "INFO", map[string]any{"user": "@alice:" + house.ServerName, "client_id": "all"})
	must(matrixauth.DeactivateUser.Do(t.Context(), o, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}, Erase: true}))
	next("user.deactivate", "INFO", map[string]any{"user": "@alice:" + house.ServerName, "erase": true})
	must(matrixauth.ReactivateUser.Do(t.Context(), o, matrixauth.Name{User: "alice"}))
	next("user.reactivate", "INFO", alice)
	must(matrixauth.MendDifference.Do(t.Context(), o, matrixauth.Difference{Kind: matrixauth.LockedThere, User: "alice", UserID: h.UserID("alice")}))
	next("doctor.mend", "INFO", map[string]any{"user": "@alice:" + house.ServerName, "difference": matrixauth.LockedThere, "mended": false})
	h.Must(o.Copy(t.Context(), discard{}))
	await(h, func() bool { return len(h.Logged(mark, `"backup"`)) > 0 }) // the copy is there before its line
	next("backup", "INFO", map[string]any{"code": "ok"})
	t.Run("mistakes of people are no errors of ours", func(t *testing.T) {
		_, err := matrixauth.LockUser.Do(t.Context(), o, matrixauth.Name{User: "bob"})
		h.WantSentence(err, "no account")
		next("user.lock", "INFO", map[string]any{"given": "bob", "user": nil, "code": "user_not_found"})
		_, err = matrixauth.AddUser.Do(t.Context(), o, matrixauth.NewUser{Localpart: "bridge_x", Password: house.AlicesPassword})
		h.WantSentence(err, "application service")
		next("user.add", "INFO", map[string]any{"given": "bridge_x", "code": "user_unavailable"})
		h.Fake.Stop()
		defer h.Fake.Resume()
		_, err = matrixauth.AddUser.Do(t.Context(), o, matrixauth.NewUser{Localpart: "bob", Password: house.AlicesPassword})
		h.WantSentence(err, "cannot be asked")
		next("user.add", "WARN", map[string]any{"given": "bob", "code": "temporarily_unavailable"})
	})
	t.Run("a look is no news", func(t *testing.T) {
		must(matrixauth.ListUsers.Do(t.Context(), o, matrixauth.UserQuery{}))
		next("user.list", "DEBUG", nil)
	})
	t.Run("a fault of ours is an error", func(t *testing.T) {
		h.SQL("ALTER TABLE user_emails RENAME TO elsewhere")
		defer h.SQL("ALTER TABLE elsewhere RENAME TO user_emails")
		if _, err := matrixauth.ListUsers.Do(t.Context(), o, matrixauth.UserQuery{}); err == nil || !strings.Contains(err.Error(), "its log says why") {
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
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	h.Must(h.Store.Close())
	o, err := matrixauth.Reach(t.Context(), matrixauth.Target{Database: h.File}, h.Config, matrixauth.Deps{})
	h.Must(err)
	_, err = matrixauth.LockUser.Do(t.Context(), o, matrixauth.Name{User: "alice"})
	h.Must(err)
	_, err = matrixauth.LockUser.Do(t.Context(), o, matrixauth.Name{User: "bob"})
	h.WantSentence(err, "no account")
	_, err = matrixauth.ListUsers.Do(t.Context(), o, matrixauth.UserQuery{})
	h.Must(err)
	h.Must(o.Copy(t.Context(), discard{}))
	if o.Kept() != 3 {
		t.Errorf("%d lines are kept, want 3", o.Kept())
	}
	h.Must(o.Close())
	mark := len(h.Log.String())
	h.Open()
	h.Server.Start()
	await(h, func() bool { return h.Count("action_lines") == 0 })
	h.Server.Stop()
	lines := h.Logged(mark, "an operator's action while no server ran")
	if len(lines) != 3 {
		t.Fatalf("%d lines:\n%s", len(lines), h.Log.String()[mark:])
	}
	holds(t, lines[0], map[string]any{"action": "user.lock", "user": "@alice:" + house.ServerName, "user_id": h.UserID("alice"), "code": "ok", "by_uid": os.Getuid()})
	holds(t, lines[1], map[string]any{"action": "user.lock", "given": "bob", "code": "user_not_found"})
	holds(t, lines[2], map[string]any{"action": "backup", "code": "ok"})
	if at, err := time.Parse(time.RFC3339, fmt.Sprint(lines[0]["at"])); err != nil || at.Before(testkit.Start) {
		t.Errorf("at %v", lines[0]["at"])
	}
	open2(h, t)
}

// open2 sees that a further start tells nothing twice.
func open2(h *house.House, t *testing.T) {
	mark := len(h.Log.String())
	h.Crash()
	h.Server.Start()
	h.Server.Stop()
	if lines := h.Logged(mark, "while no server ran"); len(lines) != 0 {
		t.Errorf("told again: %v", lines)
	}
}

// await polls until something is so.
func await(h *house.House, so func() bool) {
	h.T.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if so() {
			return
		}
	}
	h.T.Fatal("it did not become so within a minute")
}

// TestFailedSignInsAreLogged: one shape at every door, the address first, with the code and the user.
func TestFailedSignInsAreLogged(t *testing.T) {
	const msg = "sign-in failed"
	h := house.New(t, house.Limits(house.Many, matrixauth.Rate{Burst: 3, PerMinute: 1}))
	h.Add("alice", "locked", "gone")
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "locked"})
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "gone"}})
	doors := map[string]func(name, clear string){
		"login": func(name, clear string) {
			h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody(name, clear, nil)})
		},
		"sign_in": func(name, clear string) {
			v := h.Browser()
			v.Get("/account/login")
			v.Post("/account/login", "username", name, "password", clear)
		},
	}
	for door, try := range doors {
		t.Run(door, func(t *testing.T) {
			h.Clock.Move(time.Hour) // the counts have recovered
			// A password in the wrong field must not be in the log.
			for _, one := range []struct{ name, clear, code, user string }{
				{"alice", "wrong", "invalid_credentials", "@alice:" + house.ServerName},
				{"ALICE", "wrong", "invalid_credentials", "@alice:" + house.ServerName},
				{house.AlicesPassword, "wrong", "invalid_credentials", "unknown"},
				{"@alice:elsewhere.test", "wrong", "invalid_credentials", "unknown"},
				{strings.Repeat("x", 600), "wrong", "invalid_credentials", "unknown"},
				{"locked", house.AlicesPassword, "user_locked", "@locked:" + house.ServerName},
				{"gone", house.AlicesPassword, "user_deactivated", "@gone:" + house.ServerName},
				{"alice", "wrong", "invalid_credentials", "@alice:" + house.ServerName},
				{"alice", house.AlicesPassword, "rate_limited", "@alice:" + house.ServerName},
			} {
				mark := len(h.Log.String())
				try(one.name, one.clear)
				if len(one.name) > 512 && door == "login" {
					continue // a bad request there
				}
				line := lineWith(h, mark, msg)
				holds(t, line, map[string]any{"client_ip": house.OfficeIP, "code": one.code, "user": one.user, "level": "INFO", "route": door})
				if (line["user_id"] != nil) != (one.user != "unknown") {
					t.Errorf("ids: %v", line)
				}
				if want := `"msg":"` + msg + `","client_ip":"` + house.OfficeIP + `","code":"` + one.code + `","user":"`; !strings.Contains(h.Log.String()[mark:], want) {
					t.Errorf("the shape differs:\n%s", h.Log.String()[mark:])
				}
				if len(h.Logged(mark, `"request"`)) > 0 && door == "login" {
					t.Error("it has a second line")
				}
			}
		})
	}
	t.Run("the page that asks again", func(t *testing.T) {
		h.Clock.Move(time.Hour)
		v := h.Browser()
		v.SignIn("alice", "")
		h.Clock.Move(10 * time.Minute)
		v.Get("/account/?action=org.matrix.cross_signing_reset").WantPage(t, http.StatusOK, "Reset your digital identity?")
		mark := len(h.Log.String())
		v.Post("/account/cross-signing-reset", "password", "wrong")
		holds(t, lineWith(h, mark, msg), map[string]any{"code": "invalid_credentials", "user": "@alice:" + house.ServerName, "client_ip": house.OfficeIP})
	})
	t.Run("who gets in is in a request's line", func(t *testing.T) {
		h.Clock.Move(time.Hour)
		mark := len(h.Log.String())
		s := h.LoginOn("alice", "PHONE")
		holds(t, lineWith(h, mark, "request"), map[string]any{"user": "@alice:" + house.ServerName, "user_id": h.UserID("alice"), "device_id": "PHONE", "status": 200})
		mark = len(h.Log.String())
		h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
		holds(t, lineWith(h, mark, "request"), map[string]any{"user": "@alice:" + house.ServerName, "device_id": "PHONE"})
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
	tell := func(h *house.House, all bool) { h.Lines.Tell(h.Logger, house.ServerName, all) }
	t.Run("guesses beyond the limit are counted", func(t *testing.T) {
		h := house.New(t, house.Limits(house.Many, matrixauth.Rate{Burst: 2, PerMinute: 1}))
		h.Add("alice")
		mark := len(h.Log.String())
		const times = 100
		for range times {
			h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody("alice", "wrong", nil)})
		}
		lines := h.Logged(mark, `"sign-in failed"`)
		if want := 2 + linesOfLimits; len(lines) != want {
			t.Errorf("%d lines, want %d", len(lines), want)
		}
		tell(h, false)
		if len(h.Logged(mark, "more requests had no line")) != 0 {
			t.Error("the count came too early")
		}
		h.Clock.Move(time.Minute)
		tell(h, false)
		holds(t, lineWith(h, mark, "more requests had no line"), map[string]any{"network": house.OfficeIP, "requests": times - len(lines)})
		tell(h, true)
		if len(h.Logged(mark, "more requests had no line")) != 1 {
			t.Error("it was told twice")
		}
	})
	t.Run("a flood of other requests hides no guess", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		for range linesOfNetwork + 50 {
			h.Do(house.Call{Path: house.LoginPath})
		}
		mark := len(h.Log.String())
		h.Do(house.Call{Path: house.LoginPath})
		if lines := h.Logged(mark, `"request"`); len(lines) != 0 {
			t.Errorf("it is not bounded: %v", lines)
		}
		h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody("alice", "wrong", nil)})
		lineWith(h, mark, "sign-in failed")
		h.Do(house.Call{Path: house.LoginPath, IP: "198.51.100.7"})
		lineWith(h, mark, "request")
	})
	t.Run("a flood of others hides nobody who is signed in", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		for i := range linesOfAll + 50 {
			h.Do(house.Call{Path: house.LoginPath, IP: fmt.Sprintf("10.%d.%d.1", i/200, i%200)})
		}
		mark := len(h.Log.String())
		h.Do(house.Call{Path: house.LoginPath, IP: "198.51.100.7"})
		if lines := h.Logged(mark, `"request"`); len(lines) != 0 {
			t.Errorf("all together are not bounded: %v", lines)
		}
		h.LoginOn("alice", "PHONE")
		lineWith(h, mark, "request")
	})
	t.Run("a user is counted by name", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		v := h.SignedInAs("alice")
		for range linesOfNetwork + 10 {
			v.Get("/account/")
		}
		mark := len(h.Log.String())
		tell(h, true)
		holds(t, lineWith(h, mark, "more requests had no line"), map[string]any{"user": "@alice:" + house.ServerName, "user_id": h.UserID("alice"), "requests": 10})
	})
}

// TestEveryActionIsLookOrDeed: an action that is new must be one or the other on purpose.
func TestEveryActionIsLookOrDeed(t *testing.T) {
	looks := house.New(t).Server.Table().Names(operate.Reads)
	slices.Sort(looks)
	// The backup that a note is of has its own line.
	want := []string{"audit.list", "backup.note", "client.list", "client.show", "consent.list", "doctor", "doctor.compare", "instance", "outbox.list", "session.list", "user.check", "user.list", "user.show"}
	if !slices.Equal(looks, want) {
		t.Errorf("these only look: %q, want %q", looks, want)
	}
}

// TestRefusedIntrospections: what happens all the time is no news, but a homeserver with another secret is.
func TestRefusedIntrospections(t *testing.T) {
	h := house.New(t, house.Unlimited)
	mark := len(h.Log.String())
	h.Introspect("nothing")
	holds(t, lineWith(h, mark, "request"), map[string]any{"route": "introspect", "level": "DEBUG"})
	mark = len(h.Log.String())
	h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", Inside: true, Bearer: "another", Body: house.Form("token", "nothing"), Header: house.FormType})
	holds(t, lineWith(h, mark, "request"), map[string]any{"route": "introspect", "level": "INFO", "status": 401, "code": "invalid_client"})
}
