package operate_test

import (
	"fmt"
	"os"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

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
		line := h.LineWith(mark, msg)
		mark = len(h.Log.String())
		house.WantFields(t, line, map[string]any{"action": action, "level": level, "by": me.Username, "by_uid": me.Uid})
		house.WantFields(t, line, more)
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
	house.WantFields(t, lines[0], map[string]any{"action": "user.lock", "user": "@alice:" + house.ServerName, "user_id": h.UserID("alice"), "code": "ok", "by_uid": os.Getuid()})
	house.WantFields(t, lines[1], map[string]any{"action": "user.lock", "given": "bob", "code": "user_not_found"})
	house.WantFields(t, lines[2], map[string]any{"action": "backup", "code": "ok"})
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
