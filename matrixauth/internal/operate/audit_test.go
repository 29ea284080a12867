package operate_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// audited are the events of an account, the oldest first, as "who action details".
func audited(h *house.House, user string) (all []string) {
	h.T.Helper()
	asked := matrixauth.EventQuery{User: user, Limit: 3} // so that there are pages
	for {
		page := house.Act(h, matrixauth.ListEvents, asked)
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
func wantAudited(h *house.House, user string, mark int, want ...string) {
	h.T.Helper()
	if got := audited(h, user)[mark:]; !slices.Equal(got, want) {
		h.T.Errorf("the audit log of %s has\n%s\nwant\n%s", user, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestAudit keeps each change of an account and of its sessions, with who made it.
func TestAudit(t *testing.T) {
	t.Run("operators", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "alice", Password: house.AlicesPassword, Email: "alice@example.org"})
		h.Settle()
		alice := matrixauth.Name{User: "alice"}
		house.Act(h, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: alice, Password: house.AlicesPassword})
		house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: alice, Email: "alice@example.net"})
		house.Act(h, matrixauth.LockUser, alice)
		house.Act(h, matrixauth.LockUser, alice) // changes nothing
		house.Act(h, matrixauth.UnlockUser, alice)
		house.Act(h, matrixauth.SetAdmin, matrixauth.AdminRight{Name: alice, Admin: true})
		house.Act(h, matrixauth.AllowReset, alice)
		h.Secret(house.Act(h, matrixauth.IssueToken, matrixauth.NewToken{Name: alice, DeviceID: "BOT", Admin: true}).Token)
		house.Act(h, matrixauth.SetAdmin, matrixauth.AdminRight{Name: alice, Admin: false})
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: alice, Erase: true})
		house.Act(h, matrixauth.ReactivateUser, alice)
		const by = "operator unknown: "
		wantAudited(h, "alice", 0,
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
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		mark := len(audited(h, "alice"))
		by := "user alice " + house.OfficeIP + ": "
		s := h.LoginOn("alice", "PHONE")
		h.LoginOn("alice", "PHONE")
		h.Logout(s.AccessToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		s = h.LoginOn("alice", "TABLET")
		h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
		v := h.SignedInAs("alice")
		v.Get("/account/")
		v.Submit("/account/logout")
		wantAudited(h, "alice", mark,
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
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		h.LoginOn("alice", "PHONE")
		mark := len(audited(h, "alice"))
		if followed, err := h.Wiring.Users.FollowDeactivation(t.Context(), h.UserID("alice")); err != nil || !followed {
			t.Fatal(followed, err)
		}
		wantAudited(h, "alice", mark, "server: user.deactivate", "server: session.end kind=compat reason=user_deactivated")
	})
	t.Run("nothing that was refused", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		mark := len(audited(h, ""))
		h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody("alice", "wrong", nil)})
		h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody("nobody", "wrong", nil)})
		h.Logout("mct_nothing")
		h.Browser().Get("/account/login")
		if _, err := matrixauth.AddEmail.Do(t.Context(), h.Ops, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "none"}); err == nil {
			t.Error("an address that is none was added")
		}
		if _, err := matrixauth.IssueToken.Do(t.Context(), h.Ops, matrixauth.NewToken{Name: matrixauth.Name{User: "alice"}, Admin: true}); err == nil {
			t.Error("a token for administration was issued")
		}
		if got := audited(h, "")[mark:]; len(got) != 0 {
			t.Errorf("%q", got)
		}
	})
	t.Run("a change that failed leaves none", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		mark := len(audited(h, ""))
		h.SQL("ALTER TABLE outbox RENAME TO elsewhere") // the last that a lock writes
		if _, err := matrixauth.LockUser.Do(t.Context(), h.Ops, matrixauth.Name{User: "alice"}); err == nil {
			t.Error("it did not fail")
		}
		h.SQL("ALTER TABLE elsewhere RENAME TO outbox")
		if got := audited(h, "")[mark:]; len(got) != 0 {
			t.Errorf("%q", got)
		}
		h.SQL("ALTER TABLE events RENAME TO elsewhere") // and the other way round
		if _, err := matrixauth.LockUser.Do(t.Context(), h.Ops, matrixauth.Name{User: "alice"}); err == nil {
			t.Error("it was done without an entry")
		}
		h.SQL("ALTER TABLE elsewhere RENAME TO events")
		if u := house.Act(h, matrixauth.ShowUser, matrixauth.Name{User: "alice"}); u.State != "active" {
			t.Errorf("alice is %s", u.State)
		}
	})
}
