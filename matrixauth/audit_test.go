package matrixauth

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// audited are the events of an account, the oldest first, as "who action details".
func (h *house) audited(user string) (all []string) {
	h.t.Helper()
	asked := EventsAsked{User: user, Limit: 3} // so that there are pages
	for {
		page := act(h, ListEvents, asked)
		for _, e := range page.Events {
			line := strings.TrimSpace(e.By.Kind + " " + e.By.Name + " " + e.By.IP)
			line += ": " + e.Action
			for _, name := range slices.Sorted(maps.Keys(e.Details)) {
				if !strings.HasSuffix(name, "_id") && name != "until" {
					line += fmt.Sprintf(" %s=%v", name, e.Details[name])
				}
			}
			all = append(all, line)
		}
		if asked.Before = page.Next; page.Next == 0 {
			slices.Reverse(all)
			return all
		}
	}
}

// wantAudited compares them, from the mark on.
func (h *house) wantAudited(user string, mark int, want ...string) {
	h.t.Helper()
	if got := h.audited(user)[mark:]; !slices.Equal(got, want) {
		h.t.Errorf("the audit log of %s has\n%s\nwant\n%s", user, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestAudit keeps each change of an account and of its sessions, with who made it.
func TestAudit(t *testing.T) {
	t.Run("operators", func(t *testing.T) {
		h := newHouse(t, unlimited)
		act(h, AddUser, NewUser{Localpart: "alice", Password: alicesPassword, Email: "alice@example.org"})
		h.settle()
		alice := Name{User: "alice"}
		act(h, SetPassword, NameAndPassword{Name: alice, Password: alicesPassword})
		act(h, AddEmail, NameAndEmail{Name: alice, Email: "alice@example.net"})
		act(h, LockUser, alice)
		act(h, LockUser, alice) // changes nothing
		act(h, UnlockUser, alice)
		act(h, SetAdmin, AdminRight{Name: alice, Admin: true})
		act(h, AllowReset, alice)
		h.secret(act(h, IssueToken, NewToken{Name: alice, DeviceID: "BOT", Admin: true}).Token)
		act(h, SetAdmin, AdminRight{Name: alice, Admin: false})
		act(h, DeactivateUser, Deactivation{Name: alice, Erase: true})
		act(h, ReactivateUser, alice)
		const by = "operator unknown: "
		h.wantAudited("alice", 0,
			by+"user.add admin=false email=alice@example.org existing=false",
			by+"user.set-password",
			by+"user.add-email email=alice@example.net",
			by+"user.lock",
			by+"user.unlock",
			by+"user.set-admin admin=true",
			by+"user.allow-reset",
			by+"session.start kind=compat",
			by+"user.set-admin admin=false",
			by+"session.end kind=compat reason=killed_by_operator",
			by+"user.deactivate erase=true",
			by+"user.reactivate",
		)
	})
	t.Run("their holders", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		mark := len(h.audited("alice"))
		by := "user alice " + officeIP + ": "
		s := h.loginOn("alice", "PHONE")
		h.loginOn("alice", "PHONE")
		h.logout(s.AccessToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		s = h.loginOn("alice", "TABLET")
		h.logout(s.AccessToken).want(t, http.StatusOK, "")
		v := h.signedInAs("alice")
		v.get("/account/")
		v.submit("/account/logout")
		h.wantAudited("alice", mark,
			by+"session.start kind=compat",
			by+"session.end kind=compat reason=device_replaced",
			by+"session.start kind=compat",
			by+"session.start kind=compat",
			by+"session.end kind=compat reason=logout",
			by+"session.start kind=browser",
			by+"session.end kind=browser reason=signed_out",
		)
	})
	t.Run("the server", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		h.loginOn("alice", "PHONE")
		mark := len(h.audited("alice"))
		if followed, err := h.domain().Users.FollowDeactivation(t.Context(), h.userID("alice")); err != nil || !followed {
			t.Fatal(followed, err)
		}
		h.wantAudited("alice", mark, "server: user.deactivate", "server: session.end kind=compat reason=user_deactivated")
	})
	t.Run("nothing that was refused", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		mark := len(h.audited(""))
		h.do(call{method: http.MethodPost, path: loginPath, body: loginBody("alice", "wrong", nil)})
		h.do(call{method: http.MethodPost, path: loginPath, body: loginBody("nobody", "wrong", nil)})
		h.logout("mct_nothing")
		h.guest().get("/account/login")
		if _, err := AddEmail.Do(t.Context(), h.ops, NameAndEmail{Name: Name{User: "alice"}, Email: "none"}); err == nil {
			t.Error("an address that is none was added")
		}
		if _, err := IssueToken.Do(t.Context(), h.ops, NewToken{Name: Name{User: "alice"}, Admin: true}); err == nil {
			t.Error("a token for administration was issued")
		}
		if got := h.audited("")[mark:]; len(got) != 0 {
			t.Errorf("%q", got)
		}
	})
	t.Run("a change that failed leaves none", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		mark := len(h.audited(""))
		h.sql("ALTER TABLE outbox RENAME TO elsewhere") // the last that a lock writes
		if _, err := LockUser.Do(t.Context(), h.ops, Name{User: "alice"}); err == nil {
			t.Error("it did not fail")
		}
		h.sql("ALTER TABLE elsewhere RENAME TO outbox")
		if got := h.audited("")[mark:]; len(got) != 0 {
			t.Errorf("%q", got)
		}
		h.sql("ALTER TABLE events RENAME TO elsewhere") // and the other way round
		if _, err := LockUser.Do(t.Context(), h.ops, Name{User: "alice"}); err == nil {
			t.Error("it was done without an entry")
		}
		h.sql("ALTER TABLE elsewhere RENAME TO events")
		if u := act(h, ShowUser, Name{User: "alice"}); u.State != "active" {
			t.Errorf("alice is %s", u.State)
		}
	})
}
